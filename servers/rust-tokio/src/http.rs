//! From bytes to whole requests: the head (head.rs), then the body behind it. No I/O.
//!
//! By hand, although Debian has httparse: it lets a bare line feed end a line, which the contract forbids, and framing is
//! not its work. Bodies are handed out whole, so they are limited to 64 KiB.

use std::ops::Range;

use crate::head::split_field;

pub const HEAD_MAX: usize = 16 * 1024; // request line and fields; beyond: 431
pub const BODY_MAX: usize = 64 * 1024; // beyond: 413
pub const DELAY_MAX_MS: u64 = 120_000;
const CHUNK_LINE_MAX: usize = 256; // a size and its extensions; nobody sends longer ones in good faith

/// The status to refuse with.
pub type Refused = u16;

#[derive(Clone, Copy, Default, PartialEq)]
pub enum Route {
    Fail(u16),
    NotAllowed(&'static str), // what would be
    #[default]
    Plain,
    Delay(u64), // ms
    Hold,
    Release,
    Echo,
    Healthz,
    Stats,
}

#[derive(Clone, Default)]
pub struct Request {
    pub route: Route,
    pub keep_alive: bool,
    pub is_broken: bool, // what follows cannot be told apart: reply, discard the rest, close
    pub is_head: bool,
    pub is_http_1_0: bool,
    pub body: Range<usize>, // of the input's data, until that is next changed
}

/// Input: what is before `start` has been used, the rest has not.
#[derive(Default)]
pub struct Buffer {
    pub data: Vec<u8>,
    pub start: usize,
}

impl Buffer {
    pub fn is_empty(&self) -> bool {
        self.start == self.data.len()
    }

    /// Forgets what was used; with nothing left the memory goes, too: an idle connection holds no buffer.
    pub fn compact(&mut self) {
        if self.is_empty() {
            *self = Buffer::default();
        } else {
            self.data.drain(..self.start);
            self.start = 0;
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    #[default]
    Head,
    Length,
    ChunkSize,
    ChunkData,
    ChunkEnd,
    Trailer,
}

/// One connection's. Offsets count from the request's first byte.
#[derive(Default)]
pub struct Parser {
    stage: Stage,
    pub(crate) scanned: usize, // of the head: searched for its end so far
    pub(crate) head_len: usize,
    raw: usize, // chunked: where the undecoded bytes begin
    pub(crate) body_len: usize,
    pub(crate) length: Option<usize>, // Content-Length
    chunk_left: usize,
    trailer_len: usize,
    pub(crate) has_host: bool,
    pub(crate) is_chunked: bool,
    pub(crate) says_close: bool,
    pub(crate) says_keep_alive: bool,
    pub(crate) expects_continue: bool,
    told_continue: bool,
    pub(crate) request: Request,
}

pub enum Parsed {
    Nothing,  // read more, then call again
    Continue, // send "100 Continue", then call again
    Request(Request),
}

impl Parser {
    /// True between a head and the end of its body: the body's timeout applies.
    pub fn in_body(&self) -> bool {
        self.stage != Stage::Head
    }

    /// Takes one request off the input, if all of it is there.
    pub fn next(&mut self, input: &mut Buffer) -> Parsed {
        if input.is_empty() {
            return Parsed::Nothing;
        }
        let outcome = self.advance(input);
        if outcome == Ok(false) {
            let is_silent = input.data.len() - input.start == self.head_len;
            if self.in_body() && self.expects_continue && !self.told_continue && is_silent {
                self.told_continue = true;
                return Parsed::Continue;
            }
            return Parsed::Nothing;
        }
        let done = std::mem::take(self);
        let mut request = done.request;
        match outcome {
            Err(status) => {
                request.route = Route::Fail(status);
                request.is_broken = true;
                request.keep_alive = false;
                input.start = input.data.len();
            }
            Ok(_) => {
                let body = input.start + done.head_len;
                request.body = body..body + done.body_len;
                input.start += done.raw;
            }
        }
        Parsed::Request(request)
    }

    /// False: something is missing.
    fn advance(&mut self, input: &mut Buffer) -> Result<bool, Refused> {
        if self.stage == Stage::Head {
            loop {
                if !self.find_end(&input.data[input.start..])? {
                    return Ok(false);
                }
                if self.head_len > 2 {
                    break;
                }
                input.start += 2; // an empty line before a request is skipped (RFC 9112, 2.2)
                (self.scanned, self.head_len) = (0, 0);
            }
            self.parse_head(&input.data[input.start..input.start + self.head_len])?;
            self.raw = self.head_len;
            self.stage = if self.is_chunked { Stage::ChunkSize } else { Stage::Length };
        }
        if self.stage == Stage::Length {
            self.raw = self.head_len + self.body_len;
            return Ok(input.data.len() - input.start >= self.raw);
        }
        let is_done = self.decode_chunks(&mut input.data[input.start..])?;
        if !is_done {
            // close the gap that decoding left, so that framing cannot grow the buffer
            let end = self.head_len + self.body_len;
            input.data.drain(input.start + end..input.start + self.raw);
            self.raw = end;
        }
        Ok(is_done)
    }

    /// Works in place, so that the body lies whole behind the head.
    fn decode_chunks(&mut self, input: &mut [u8]) -> Result<bool, Refused> {
        loop {
            let left = &input[self.raw..];
            match self.stage {
                Stage::ChunkData => {
                    let take = left.len().min(self.chunk_left);
                    input.copy_within(self.raw..self.raw + take, self.head_len + self.body_len);
                    self.body_len += take;
                    self.chunk_left -= take;
                    self.raw += take;
                    if self.chunk_left > 0 {
                        return Ok(false);
                    }
                    self.stage = Stage::ChunkEnd;
                    continue;
                }
                Stage::ChunkEnd => {
                    match left {
                        [b'\r', b'\n', ..] => {}
                        [] | [b'\r'] => return Ok(false),
                        _ => return Err(400),
                    }
                    self.raw += 2;
                    self.stage = Stage::ChunkSize;
                    continue;
                }
                _ => {}
            }
            let is_size = self.stage == Stage::ChunkSize; // else a trailer line
            let Some(lf) = left.iter().position(|&c| c == b'\n') else {
                if is_size && left.len() > CHUNK_LINE_MAX {
                    return Err(400);
                }
                if !is_size && self.trailer_len + left.len() > HEAD_MAX {
                    return Err(431);
                }
                return Ok(false);
            };
            if lf == 0 || left[lf - 1] != b'\r' || is_size && lf > CHUNK_LINE_MAX {
                return Err(400);
            }
            self.raw += lf + 1;
            if is_size {
                self.chunk_left = parse_chunk_size(&left[..lf - 1])?;
                if self.chunk_left > BODY_MAX - self.body_len {
                    return Err(413);
                }
                self.stage = if self.chunk_left > 0 { Stage::ChunkData } else { Stage::Trailer };
                continue;
            }
            if lf == 1 {
                return Ok(true); // the empty line behind the trailers
            }
            self.trailer_len += lf + 1;
            if self.trailer_len > HEAD_MAX {
                return Err(431);
            }
            split_field(&left[..lf + 1])?; // trailers are checked and dropped
        }
    }
}

fn parse_chunk_size(line: &[u8]) -> Result<usize, Refused> {
    let digits = line.iter().take_while(|c| c.is_ascii_hexdigit()).count();
    let extension = &line[digits..];
    if digits == 0 || digits > 8 || !matches!(extension, [] | [b';', ..]) {
        return Err(400); // nine digits no longer fit 32 bits
    }
    if extension.iter().any(|&c| c < b' ' && c != b'\t' || c == 127) {
        return Err(400);
    }
    let size = line[..digits].iter().fold(0, |size, &c| size << 4 | (c as char).to_digit(16).unwrap_or(0) as usize);
    Ok(size)
}
