//! bare-rust: what tokio costs when nothing else is done. Every request gets the contract's answer to GET /plain, whatever it
//! asked: no parser, no limits of time, no counters, no drain.

use std::cell::RefCell;
use std::env::var;
use std::io;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::runtime::Builder;

thread_local! {
    static HELLO: RefCell<(libc::time_t, Vec<u8>)> = const { RefCell::new((0, Vec::new())) };
}

/// Lets `use_it` have the whole reply, which is made anew each second.
fn with_hello<T>(use_it: impl FnOnce(&[u8]) -> T) -> T {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as libc::time_t);
    HELLO.with_borrow_mut(|(second, text)| {
        if *second != now {
            *second = now;
            *text = format!(
                "HTTP/1.1 200 OK\r\nServer: bare-rust\r\nDate: {}\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!",
                date(now)
            )
            .into_bytes();
        }
        use_it(text)
    })
}

fn date(now: libc::time_t) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // SAFETY: gmtime_r writes one tm, which is all zeroes before, a valid value of it.
    let t = unsafe {
        let mut parts = std::mem::zeroed();
        libc::gmtime_r(&now, &mut parts);
        parts
    };
    format!(
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        DAYS[t.tm_wday as usize], t.tm_mday, MONTHS[t.tm_mon as usize], 1900 + t.tm_year, t.tm_hour, t.tm_min, t.tm_sec
    )
}

async fn talk(mut stream: TcpStream) -> io::Result<()> {
    let mut input = [0; 4096];
    loop {
        let len = stream.read(&mut input).await?;
        if len == 0 {
            return Ok(());
        }
        if !input[..len].ends_with(b"\r\n\r\n") {
            continue;
        }
        // Nearly every reply goes at once; then it need not be copied out of the cell.
        let rest = with_hello(|text| match stream.try_write(text) {
            Ok(sent) if sent == text.len() => Vec::new(),
            Ok(sent) => text[sent..].to_vec(),
            Err(_) => text.to_vec(), // EAGAIN; what is worse comes again below
        });
        if !rest.is_empty() {
            stream.write_all(&rest).await?;
        }
    }
}

async fn serve(address: SocketAddr, backlog: u32) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(address)?;
    let listener = socket.listen(backlog)?;
    eprintln!("bare-rust: listening on {address}, backlog {backlog}");
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(talk(stream));
    }
}

fn main() -> io::Result<()> {
    let told = |name: &str, fallback: &str| var(name).unwrap_or_else(|_| fallback.to_string());
    let address = format!("{}:{}", told("LAB_HOST", "0.0.0.0"), told("LAB_PORT", "8080"));
    let address = address.parse::<SocketAddr>().map_err(io::Error::other)?;
    let backlog = told("LAB_BACKLOG", "4096").parse::<u32>().map_err(io::Error::other)?;
    Builder::new_current_thread().enable_all().build()?.block_on(serve(address, backlog))
}
