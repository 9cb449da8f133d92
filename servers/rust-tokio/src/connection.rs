//! One client: read, answer every complete request, write once, read again.

use std::future::{pending, Future};
use std::io;
use std::pin::{pin, Pin};
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::futures::Notified;
use tokio::time::{sleep, sleep_until, timeout, timeout_at, Instant};

use crate::http::{Buffer, Parsed, Parser, Request, Route};
use crate::race::{race, Either};
use crate::reply::{put_reply, HELLO};
use crate::stats::STATS;
use crate::{Server, LAST_CALL};

const HEAD_TIMEOUT: Duration = Duration::from_secs(10); // from accept or a request's first byte to the end of its head
const BODY_TIMEOUT: Duration = Duration::from_secs(30); // from there to the end of its body
const SEND_TIMEOUT: Duration = Duration::from_secs(30); // how long a client may refuse to read
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
const LEAVING_TICK: Duration = Duration::from_millis(100);
const INPUT_MAX: usize = 96 * 1024; // the longest request, plus room to read pipelined ones
const OUTPUT_MAX: usize = 64 * 1024; // replies to pipelined requests go out together, up to here
const ROOM: usize = 2 * 1024; // an ordinary request fits several times

#[derive(Clone, Copy, PartialEq)]
enum Limit {
    Nothing,
    Head,
    Body,
}

/// What answering comes to.
#[derive(PartialEq)]
enum After {
    GoOn,
    Leave,
    Linger, // leave, but gently
}

pub struct Connection {
    pub server: &'static Server,
    stream: TcpStream,
    parser: Parser,
    input: Buffer,
    output: Vec<u8>,
    limit: Limit,
    deadline: Option<Instant>, // of the request that is coming in
}

/// Why nothing more is read: the client left, it was too slow, or the connection broke (and that is counted).
struct Over;

impl Connection {
    /// From here on it counts as accepted and active; who spawns it counts its end.
    pub fn new(server: &'static Server, stream: TcpStream) -> Connection {
        STATS.accepted.fetch_add(1, Relaxed);
        STATS.active.fetch_add(1, SeqCst);
        Connection {
            server,
            stream,
            parser: Parser::default(),
            input: Buffer::default(),
            output: Vec::new(),
            limit: Limit::Head, // the first request's time runs from accept
            deadline: Some(Instant::now() + HEAD_TIMEOUT),
        }
    }

    pub async fn talk(&mut self) {
        let mut drain = pin!(self.server.drain.notified());
        drain.as_mut().enable(); // before is_draining is read, so that it cannot be missed
        while self.receive(drain.as_mut()).await.is_ok() {
            match self.answer_all().await {
                After::GoOn => self.settle(),
                After::Leave => return,
                After::Linger => return self.discard().await,
            }
        }
    }

    // ---- reading ----

    async fn receive(&mut self, drain: Pin<&mut Notified<'_>>) -> Result<(), Over> {
        let is_idle = self.input.is_empty() && !self.parser.in_body();
        let deadline = self.deadline;
        if !is_idle {
            return match deadline {
                Some(at) => timeout_at(at, self.fill()).await.unwrap_or(Err(Over)),
                None => self.fill().await,
            };
        }
        if !self.server.is_draining.load(SeqCst) {
            let too_late = pin!(async {
                match deadline {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            });
            match race(pin!(self.fill()), race(drain, too_late)).await {
                Either::Left(filled) => return filled,
                Either::Right(Either::Left(())) => {}
                Either::Right(Either::Right(())) => return Err(Over),
            }
        }
        timeout(LAST_CALL, self.fill()).await.unwrap_or(Err(Over)) // unless a request has just come
    }

    /// Adds what has come to the input. Dropped before it is ready, it has read nothing.
    async fn fill(&mut self) -> Result<(), Over> {
        let read = async {
            self.stream.readable().await?; // first, so that nobody waits with a buffer in hand
            self.input.data.reserve(ROOM);
            self.stream.read_buf(&mut self.input.data).await
        };
        match read.await {
            Ok(0) => Err(Over),
            Ok(_) => Ok(()),
            Err(error) => Err(count(error)),
        }
    }

    /// Waits for `end`, and reads all the while: it is the end of input that tells that the client left.
    async fn wait(&mut self, mut end: Pin<&mut impl Future<Output = ()>>) -> Result<(), Over> {
        self.input.compact();
        loop {
            let heard = pin!(async {
                if self.input.data.len() < INPUT_MAX {
                    self.fill().await // it asks on already: that has to wait its turn
                } else {
                    self.leaves().await
                }
            });
            match race(end.as_mut(), heard).await {
                Either::Left(()) => return Ok(()),
                Either::Right(heard) => heard?,
            }
        }
    }

    /// For a client that asks on and on while it waits: no more is read, only its leaving is looked for. What is unread
    /// keeps the socket ready, so there is nothing to await but time.
    async fn leaves(&self) -> Result<(), Over> {
        loop {
            let ready = self.stream.ready(Interest::READABLE).await.map_err(count)?;
            if ready.is_read_closed() {
                return Err(Over);
            }
            sleep(LEAVING_TICK).await;
        }
    }

    /// The deadline of what is read next. Each byte does not move it: who sends slowly gains nothing.
    fn settle(&mut self) {
        self.input.compact();
        let (limit, most) = if self.parser.in_body() {
            (Limit::Body, BODY_TIMEOUT)
        } else if !self.input.is_empty() {
            (Limit::Head, HEAD_TIMEOUT)
        } else {
            self.deadline = None; // between two requests a client may be silent for ever
            return;
        };
        if self.limit != limit {
            self.limit = limit;
            self.deadline = Some(Instant::now() + most);
        }
    }

    /// Drops what the client still sends, so that the reply it has not read yet survives the close.
    async fn discard(&mut self) {
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let drop_all = async {
            while self.fill().await.is_ok() {
                self.input.data.clear();
                self.input.start = 0;
            }
        };
        let _ = timeout(LINGER_TIMEOUT, drop_all).await; // best effort
    }

    // ---- answering ----

    /// Answers every complete request held, in order; the replies go out together.
    async fn answer_all(&mut self) -> After {
        loop {
            let mut r = match self.parser.next(&mut self.input) {
                Parsed::Nothing => return self.flush(After::GoOn).await,
                Parsed::Continue => {
                    self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    continue;
                }
                Parsed::Request(r) => r,
            };
            self.limit = Limit::Nothing; // the next request gets limits of its own
            if !r.is_broken {
                STATS.requests.fetch_add(1, Relaxed);
            }
            if let Route::Delay(_) | Route::Hold = r.route {
                if self.postpone(r.route).await.is_err() {
                    return After::Leave;
                }
            }
            r.keep_alive = r.keep_alive && !self.server.is_draining.load(SeqCst);
            self.reply(&r);
            if !r.keep_alive {
                // Closing with unread input would make the kernel send a reset that can overtake the reply.
                let is_gentle = r.is_broken || !self.input.is_empty();
                return self.flush(if is_gentle { After::Linger } else { After::Leave }).await;
            }
            if self.output.len() > OUTPUT_MAX && self.flush(After::GoOn).await != After::GoOn {
                return After::Leave;
            }
        }
    }

    async fn postpone(&mut self, route: Route) -> Result<(), Over> {
        let now = Instant::now();
        if self.flush(After::GoOn).await != After::GoOn {
            return Err(Over); // an earlier reply does not wait for this one
        }
        match route {
            Route::Delay(ms) => self.wait(pin!(sleep_until(now + Duration::from_millis(ms)))).await,
            _ => {
                let server = self.server;
                self.wait(pin!(server.gate.hold())).await
            }
        }
    }

    fn reply(&mut self, r: &Request) {
        let out = &mut self.output;
        let server = self.server;
        match r.route {
            Route::Fail(_) | Route::NotAllowed(_) => put_reply(out, r, "text/plain", None, b""),
            Route::Plain | Route::Delay(_) | Route::Hold => put_reply(out, r, "text/plain", None, HELLO),
            Route::Echo => put_reply(out, r, "application/octet-stream", None, &self.input.data[r.body.clone()]),
            Route::Healthz => put_reply(out, r, "text/plain", server.config.nonce.as_deref(), b"ok\n"),
            Route::Stats => {
                let text = STATS.json(server.config.instance, server.gate.count());
                put_reply(out, r, "application/json", None, text.as_bytes());
            }
            Route::Release => {
                let text = format!("{{\"released\": {}}}", server.gate.open());
                put_reply(out, r, "application/json", None, text.as_bytes());
            }
        }
    }

    /// Sends what there is to say; returns `after`, or Leave when the client does not take it.
    async fn flush(&mut self, after: After) -> After {
        if self.output.is_empty() {
            return after;
        }
        // Dropped when sent: an idle connection holds no buffer. Nearly always the kernel takes all of it at once; only
        // what it does not take needs a timer.
        let output = std::mem::take(&mut self.output);
        let sent = match self.stream.try_write(&output) {
            Ok(sent) if sent == output.len() => return after,
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => {
                count(error);
                return After::Leave;
            }
        };
        match timeout(SEND_TIMEOUT, self.stream.write_all(&output[sent..])).await {
            Ok(Ok(())) => after,
            Ok(Err(error)) => {
                count(error);
                After::Leave
            }
            Err(_) => After::Leave, // too slow
        }
    }
}

fn count(error: io::Error) -> Over {
    STATS.count_error(&error);
    Over
}
