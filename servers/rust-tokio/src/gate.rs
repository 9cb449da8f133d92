//! /hold and /release: clients wait until somebody opens the gate.

use std::pin::pin;
use std::sync::Mutex;

use tokio::sync::Notify;

#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Default)]
struct State {
    waiting: usize,
    times_opened: u64,
}

/// One client at the gate; counted as long as it exists and is not released.
struct Place<'a> {
    gate: &'a Gate,
    came_at: u64, // times_opened then
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.times_opened == self.came_at {
            state.waiting -= 1; // it left; who is released has been taken off the count already
        }
    }
}

impl Gate {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// Ends when the gate is opened after this was first polled.
    pub async fn hold(&self) {
        let mut opened = pin!(self.opened.notified());
        let place = {
            let mut state = self.lock();
            opened.as_mut().enable(); // from here on it hears of it
            state.waiting += 1;
            Place { gate: self, came_at: state.times_opened }
        };
        opened.await;
        drop(place);
    }

    /// Returns how many were waiting.
    pub fn open(&self) -> usize {
        let mut state = self.lock();
        state.times_opened += 1;
        self.opened.notify_waiters();
        std::mem::take(&mut state.waiting)
    }

    pub fn count(&self) -> usize {
        self.lock().waiting
    }
}
