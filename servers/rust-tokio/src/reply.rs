//! Renders replies.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::http::{Request, Route};
use crate::VARIANT;

pub const HELLO: &[u8] = b"Hello, world!";

/// Writes seconds since 1970 as RFC 9110 wants dates. Days become a date as in Howard Hinnant's "chrono-compatible
/// low-level date algorithms": years that begin in March have their leap day last.
fn http_date(now: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]; // 1970 began on a Thursday
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (now / 86_400, now % 86_400);
    let since_0000_03 = days + 719_468;
    let (era, day_of_era) = (since_0000_03 / 146_097, since_0000_03 % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12; // 0: January
    let year = era * 400 + year_of_era + u64::from(month < 2);
    format!(
        "{}, {day:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[month as usize],
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// "Server: x\r\nDate: y\r\n", made once per second and thread: formatting costs more than all else in a small reply.
fn put_server_and_date(out: &mut Vec<u8>) {
    thread_local!(static CACHED: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    CACHED.with_borrow_mut(|(second, text)| {
        if *second != now {
            *text = format!("Server: {VARIANT}\r\nDate: {}\r\n", http_date(now));
            *second = now;
        }
        out.extend_from_slice(text.as_bytes());
    });
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[first..]);
        }
    }
}

fn status_line(status: u16) -> &'static str {
    match status {
        200 => "HTTP/1.1 200 OK\r\n",
        404 => "HTTP/1.1 404 Not Found\r\n",
        405 => "HTTP/1.1 405 Method Not Allowed\r\n",
        413 => "HTTP/1.1 413 Content Too Large\r\n",
        431 => "HTTP/1.1 431 Request Header Fields Too Large\r\n",
        501 => "HTTP/1.1 501 Not Implemented\r\n",
        505 => "HTTP/1.1 505 HTTP Version Not Supported\r\n",
        _ => "HTTP/1.1 400 Bad Request\r\n",
    }
}

/// Adds a reply. nonce: of /healthz.
pub fn put_reply(out: &mut Vec<u8>, r: &Request, content_type: &str, nonce: Option<&str>, body: &[u8]) {
    let (status, allow) = match r.route {
        Route::Fail(status) => (status, None),
        Route::NotAllowed(allow) => (405, Some(allow)),
        _ => (200, None),
    };
    out.reserve(256 + body.len());
    let put = |out: &mut Vec<u8>, text: &str| out.extend_from_slice(text.as_bytes());
    put(out, status_line(status));
    put_server_and_date(out);
    put(out, "Content-Type: ");
    put(out, content_type);
    put(out, "\r\nContent-Length: ");
    put_number(out, body.len());
    for (name, value) in [("\r\nAllow: ", allow), ("\r\nLab-Nonce: ", nonce)] {
        if let Some(value) = value {
            put(out, name);
            put(out, value);
        }
    }
    if !r.keep_alive {
        put(out, "\r\nConnection: close");
    } else if r.is_http_1_0 {
        put(out, "\r\nConnection: keep-alive");
    }
    put(out, "\r\n\r\n");
    if !r.is_head {
        out.extend_from_slice(body);
    }
}
