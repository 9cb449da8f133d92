//! What GET /stats tells.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::Mutex;
use std::{fs, io};

use crate::VARIANT;

pub struct Stats {
    pub accepted: AtomicU64,
    pub active: AtomicI64,
    pub requests: AtomicU64,
    errors: Mutex<BTreeMap<i32, u64>>,
}

pub static STATS: Stats = Stats {
    accepted: AtomicU64::new(0),
    active: AtomicI64::new(0),
    requests: AtomicU64::new(0),
    errors: Mutex::new(BTreeMap::new()),
};

/// The errors a socket of ours can meet; std has only their sentences.
fn errno_name(number: i32) -> String {
    let known = [
        (libc::EMFILE, "EMFILE"),
        (libc::ENFILE, "ENFILE"),
        (libc::ENOBUFS, "ENOBUFS"),
        (libc::ENOMEM, "ENOMEM"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::ECONNABORTED, "ECONNABORTED"),
        (libc::ECONNRESET, "ECONNRESET"),
        (libc::EPIPE, "EPIPE"),
        (libc::EPROTO, "EPROTO"),
        (libc::ETIMEDOUT, "ETIMEDOUT"),
        (libc::ENOTCONN, "ENOTCONN"),
        (libc::EHOSTUNREACH, "EHOSTUNREACH"),
    ];
    known.iter().find(|(n, _)| *n == number).map_or_else(|| format!("errno {number}"), |(_, name)| name.to_string())
}

/// A count that could not be taken is null, never 0. These need a descriptor each, so at EMFILE they cannot be.
fn count_entries(folder: &str) -> String {
    fs::read_dir(folder).map_or_else(|_| "null".into(), |entries| entries.count().to_string())
}

impl Stats {
    pub fn count_error(&self, error: &io::Error) {
        if let Some(number) = error.raw_os_error() {
            *self.errors.lock().expect("nobody panics while holding it").entry(number).or_default() += 1;
        }
    }

    /// held: clients waiting in /hold.
    pub fn json(&self, instance: Option<u16>, held: usize) -> String {
        let errors: Vec<String> = self
            .errors
            .lock()
            .expect("nobody panics while holding it")
            .iter()
            .map(|(number, count)| format!("\"{}\":{count}", errno_name(*number)))
            .collect();
        format!(
            "{{\"variant\":\"{VARIANT}\",\"accepted\":{},\"active\":{},\"held\":{held},\"requests\":{},\"errors\":{{{}}},\
             \"instance\":{},\"open_fds\":{},\"threads\":{}}}",
            self.accepted.load(Relaxed),
            self.active.load(Relaxed),
            self.requests.load(Relaxed),
            errors.join(","),
            instance.map_or_else(|| "null".into(), |number| number.to_string()),
            count_entries("/proc/self/fd"),
            count_entries("/proc/self/task"),
        )
    }
}
