//! What the environment says. A bad value ends the process with one line and code 2.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::str::FromStr;
use std::time::Duration;
use std::{env, process};

pub struct Config {
    pub address: SocketAddrV4, // LAB_HOST, LAB_PORT
    pub backlog: u32,          // LAB_BACKLOG
    pub drain: Duration,       // LAB_DRAIN_S
    pub reuseport: bool,       // LAB_REUSEPORT
    pub nonce: Option<String>, // LAB_NONCE: which run started this server
    pub instance: Option<u16>, // LAB_INSTANCE: its number among those that share the port
}

/// The variable's value, if it is set and `is_right`.
fn read<T: FromStr>(name: &str, expected: &str, is_right: impl Fn(&T) -> bool) -> Option<T> {
    let text = env::var_os(name)?;
    let value = text.to_str().and_then(|text| text.parse().ok()).filter(is_right);
    if value.is_none() {
        eprintln!("{name}: expected {expected}, got '{}'", text.to_string_lossy());
        process::exit(2);
    }
    value
}

fn read_number(name: &str, least: u32, most: u32) -> Option<u32> {
    read(name, &format!("a whole number from {least} to {most}"), |value| (least..=most).contains(value))
}

impl Config {
    pub fn read() -> Config {
        let host = read("LAB_HOST", "an IPv4 address", |_| true).unwrap_or(Ipv4Addr::UNSPECIFIED);
        let drain_s = read("LAB_DRAIN_S", "seconds from 0 to 3600", |s| (0.0..=3600.0).contains(s)).unwrap_or(5.0);
        let is_nonce = |text: &String| {
            (16..=64).contains(&text.len()) && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        };
        Config {
            address: SocketAddrV4::new(host, read_number("LAB_PORT", 1, 65_535).unwrap_or(8080) as u16),
            backlog: read_number("LAB_BACKLOG", 1, 1 << 20).unwrap_or(4096),
            drain: Duration::from_secs_f64(drain_s),
            reuseport: read_number("LAB_REUSEPORT", 0, 1) == Some(1),
            nonce: read("LAB_NONCE", "16 to 64 hex digits in lower case", is_nonce),
            instance: read_number("LAB_INSTANCE", 0, 9999).map(|number| number as u16),
        }
    }
}
