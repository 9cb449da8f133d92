//! The head of a request: request line and fields (RFC 9112). What is ambiguous is refused, not guessed.

use crate::http::{Parser, Refused, Route, BODY_MAX, DELAY_MAX_MS, HEAD_MAX};

/// tchar of RFC 9110, section 5.6.2
fn is_token_char(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

fn token_len(s: &[u8]) -> usize {
    s.iter().take_while(|&&c| is_token_char(c)).count()
}

fn is_word(s: &[u8], word: &str) -> bool {
    s.eq_ignore_ascii_case(word.as_bytes())
}

fn find(s: &[u8], byte: u8) -> Option<usize> {
    s.iter().position(|&c| c == byte)
}

impl Parser {
    /// Looks for the empty line, from line feed to line feed, so that a bare one is refused as soon as it arrives and a
    /// head sent byte by byte is searched only once. False: not there yet.
    pub fn find_end(&mut self, input: &[u8]) -> Result<bool, Refused> {
        while let Some(i) = find(&input[self.scanned..], b'\n').map(|i| i + self.scanned) {
            if i == 0 || input[i - 1] != b'\r' {
                return Err(400);
            }
            self.scanned = i + 1;
            if i == 1 || input[i - 2] == b'\n' {
                self.head_len = self.scanned;
                return if self.head_len > HEAD_MAX { Err(431) } else { Ok(true) };
            }
        }
        self.scanned = input.len();
        if input.len() > HEAD_MAX {
            Err(431)
        } else {
            Ok(false)
        }
    }

    /// Takes a whole head, from the request line to the empty line inclusive.
    pub fn parse_head(&mut self, head: &[u8]) -> Result<(), Refused> {
        let line_end = find(head, b'\n').ok_or(400u16)?; // present: find_end() saw it, behind a \r
        self.parse_request_line(&head[..line_end - 1])?;
        let mut fields = &head[line_end + 1..head.len() - 2];
        while !fields.is_empty() {
            let (name, value, rest) = split_field(fields)?;
            self.use_field(name, value)?;
            fields = rest;
        }
        let is_http_1_0 = self.request.is_http_1_0;
        self.request.keep_alive = !self.says_close && (!is_http_1_0 || self.says_keep_alive);
        if !self.has_host && !is_http_1_0 {
            return Err(400);
        }
        if self.is_chunked && (self.length.is_some() || is_http_1_0) {
            return Err(400); // two framings: the classic way to smuggle a request
        }
        self.body_len = self.length.unwrap_or(0);
        if self.body_len > BODY_MAX {
            Err(413)
        } else {
            Ok(())
        }
    }

    fn parse_request_line(&mut self, line: &[u8]) -> Result<(), Refused> {
        let mut parts = line.splitn(3, |&c| c == b' ');
        let (Some(method), Some(mut target), Some(version)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(400);
        };
        if method.is_empty() || token_len(method) < method.len() {
            return Err(400);
        }
        if target.is_empty() || !target.iter().all(u8::is_ascii_graphic) {
            return Err(400);
        }
        match version {
            b"HTTP/1.1" => {}
            b"HTTP/1.0" => self.request.is_http_1_0 = true,
            [b'H', b'T', b'T', b'P', b'/', _, b'.', _] => return Err(505),
            _ => return Err(400),
        }
        if target.len() > 7 && is_word(&target[..7], "http://") {
            // absolute form: only its path matters here
            target = find(&target[7..], b'/').map_or(b"/", |slash| &target[7 + slash..]);
        }
        let mark = find(target, b'?').unwrap_or(target.len());
        self.choose_route(method, &target[..mark], target.get(mark + 1..).unwrap_or_default());
        Ok(())
    }

    fn choose_route(&mut self, method: &[u8], path: &[u8], query: &[u8]) {
        let r = &mut self.request;
        let (route, allow) = match path {
            b"/plain" => (Route::Plain, "GET, HEAD"),
            b"/delay" => (read_delay_ms(query).map_or(Route::Fail(400), Route::Delay), "GET, HEAD"),
            b"/hold" => (Route::Hold, "GET, HEAD"),
            b"/healthz" => (Route::Healthz, "GET, HEAD"),
            b"/stats" => (Route::Stats, "GET, HEAD"),
            b"/echo" => (Route::Echo, "POST"),
            b"/release" => (Route::Release, "POST"),
            _ => {
                r.is_head = method == b"HEAD";
                r.route = Route::Fail(404);
                return;
            }
        };
        r.is_head = method == b"HEAD";
        let is_allowed = if allow == "POST" { method == b"POST" } else { r.is_head || method == b"GET" };
        r.route = if is_allowed { route } else { Route::NotAllowed(allow) };
    }

    fn use_field(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refused> {
        match name.len() {
            // most fields are told apart by length alone
            4 if is_word(name, "host") => {
                if self.has_host {
                    return Err(400);
                }
                self.has_host = true;
            }
            // RFC 9110, 10.1.1
            6 if is_word(name, "expect") => {
                self.expects_continue |= is_word(value, "100-continue") && !self.request.is_http_1_0;
            }
            10 if is_word(name, "connection") => {
                for option in value.split(|&c| c == b',').map(trim) {
                    self.says_close |= is_word(option, "close");
                    self.says_keep_alive |= is_word(option, "keep-alive");
                }
            }
            14 if is_word(name, "content-length") => {
                // 18 digits cannot overflow; str::parse would take "+5"
                if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
                    return Err(400);
                }
                let length = value.iter().fold(0u64, |sum, c| sum * 10 + u64::from(c - b'0'));
                let length = length.min(BODY_MAX as u64 + 1) as usize;
                if self.length.is_some_and(|other| other != length) {
                    return Err(400);
                }
                self.length = Some(length);
            }
            17 if is_word(name, "transfer-encoding") => {
                if self.is_chunked {
                    return Err(400);
                }
                if !is_word(value, "chunked") {
                    return Err(501);
                }
                self.is_chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// ms=N among the query's pairs; the first one counts. None: missing, out of range or not a number.
fn read_delay_ms(query: &[u8]) -> Option<u64> {
    let digits = query.split(|&c| c == b'&').find_map(|pair| pair.strip_prefix(b"ms="))?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let ms = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (ms <= DELAY_MAX_MS).then_some(ms)
}

/// Takes "name: value\r\n" off the front. A folded line begins with a space, which no name does.
pub fn split_field(from: &[u8]) -> Result<(&[u8], &[u8], &[u8]), Refused> {
    let name_len = token_len(from);
    if name_len == 0 || from.get(name_len) != Some(&b':') {
        return Err(400);
    }
    let (name, rest) = (&from[..name_len], &from[name_len + 1..]);
    let value_len = rest.iter().take_while(|&&c| c >= b' ' && c != 127 || c == b'\t').count();
    if !rest[value_len..].starts_with(b"\r\n") {
        return Err(400); // NUL, another control, or a CR alone
    }
    Ok((name, trim(&rest[..value_len]), &rest[value_len + 2..]))
}

fn trim(mut s: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = s {
        s = rest;
    }
    s
}
