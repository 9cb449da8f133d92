//! rust-tokio: a task per connection on tokio.
//!
//! The code reads like go-net's: a loop that awaits bytes, answers, and awaits again. But where a goroutine keeps a stack
//! while it waits, the compiler turns each of these functions into a struct that holds exactly what is alive across
//! its awaits (640 bytes for all of them here), and its waiting into a state of it. A task is that struct on the heap. Nothing
//! runs by itself: on EAGAIN the task leaves its waker with the socket and returns to the executor's loop, which asks epoll
//! (one instance, edge-triggered, every socket registered once) when no task is ready; the waker puts the task back into
//! the queue. Dropping a future cancels it, so waiting for "the end of the delay, or the client" is two futures of
//! which the slower one is dropped (connection.rs).
//!
//! How many threads: with one CPU to run on, the current_thread runtime. It needs no second thread beside the waiting one,
//! and no atomics to pass tasks on. With more CPUs, the multi-thread runtime with a worker on each; idle workers steal
//! tasks from busy ones. Both run the same code.
//!
//! Needs: Linux 2.6.28 (epoll, accept4). Leaves out: TLS.
//! By hand: cargo run --release & curl -i 'http://127.0.0.1:8080/delay?ms=500'

mod config;
mod connection;
mod gate;
mod head;
mod http;
mod race;
mod reply;
mod stats;

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::Notify;
use tokio::time::{sleep, sleep_until, timeout, Instant};

use config::Config;
use connection::Connection;
use gate::Gate;
use race::{race, Either};
use stats::STATS;

pub const VARIANT: &str = "rust-tokio";
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100); // after EMFILE: not to spin, yet short beside a client's patience
/// At shutdown: who is queued, or has sent something, is there at once; so nothing within this time means nobody.
pub const LAST_CALL: Duration = Duration::from_millis(5);

/// What all tasks have in common. It lives as long as the process, so tasks share a plain reference.
pub struct Server {
    pub config: Config,
    pub gate: Gate,
    pub is_draining: AtomicBool, // every reply is its connection's last
    pub drain: Notify,           // for idle connections: leave
    stop: Notify,                // for the accepting task
    all_left: Notify,
}

// ---- the socket ----------------------------------------------------------------------------------------

fn listen(config: &Config) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?; // non-blocking, close-on-exec
    socket.set_reuseaddr(true)?;
    if config.reuseport {
        socket.set_reuseport(true)?;
    }
    socket.set_nodelay(true)?; // Linux hands it down to accepted sockets: one call here saves one per connection
    socket.bind(SocketAddr::V4(config.address))?;
    socket.listen(config.backlog) // the kernel cuts it to net.core.somaxconn in silence
}

// ---- the loop ------------------------------------------------------------------------------------------

/// Gives each client a task, until told to stop; then takes in who is already queued and closes the listener.
async fn accept_all(server: &'static Server, listener: TcpListener) {
    loop {
        match race(pin!(listener.accept()), pin!(server.stop.notified())).await {
            Either::Left(Ok((stream, _))) => start(Connection::new(server, stream)),
            Either::Left(Err(error)) => {
                STATS.count_error(&error); // EMFILE, ENFILE, ENOBUFS, ENOMEM: asking again at once would spin
                sleep(ACCEPT_BACKOFF).await;
            }
            Either::Right(()) => break,
        }
    }
    while let Ok(Ok((stream, _))) = timeout(LAST_CALL, listener.accept()).await {
        start(Connection::new(server, stream)); // closing the listener would reset them
    }
}

fn start(mut connection: Connection) {
    tokio::spawn(async move {
        let server = connection.server;
        connection.talk().await;
        drop(connection); // closed, and only then no longer counted
        if STATS.active.fetch_sub(1, SeqCst) == 1 {
            server.all_left.notify_one(); // remembered when nobody waits for it yet
        }
    });
}

// ---- shutdown ------------------------------------------------------------------------------------------

async fn serve(server: &'static Server) -> io::Result<()> {
    let listener = listen(&server.config)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    eprintln!("{VARIANT}: listening on {}, backlog {}", server.config.address, server.config.backlog);
    // A task of its own: this one runs on the main thread, which is not a worker of the multi-thread runtime.
    let accepting = tokio::spawn(accept_all(server, listener));
    race(pin!(terminate.recv()), pin!(interrupt.recv())).await;

    let end = Instant::now() + server.config.drain;
    server.is_draining.store(true, SeqCst);
    server.stop.notify_one();
    let _ = accepting.await; // best effort: it ends by itself
    server.drain.notify_waiters();
    let everyone = async {
        while STATS.active.load(SeqCst) > 0 {
            server.all_left.notified().await;
        }
    };
    let _ = race(pin!(everyone), pin!(sleep_until(end))).await; // whoever is left ends with the process
    Ok(())
}

fn build_runtime() -> io::Result<Runtime> {
    let cpus = available_parallelism().map_or(1, |n| n.get()); // those the process may run on
    let mut builder = if cpus == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    if cpus > 1 {
        builder.worker_threads(cpus);
    }
    builder.enable_all().build()
}

fn main() -> ExitCode {
    let server: &'static Server = Box::leak(Box::new(Server {
        config: Config::read(),
        gate: Gate::default(),
        is_draining: AtomicBool::new(false),
        drain: Notify::new(),
        stop: Notify::new(),
        all_left: Notify::new(),
    }));
    let done = build_runtime().and_then(|runtime| {
        let done = runtime.block_on(serve(server));
        runtime.shutdown_background(); // dropping it would wait for tasks
        done
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("listen on {}: {error}", server.config.address);
            ExitCode::FAILURE
        }
    }
}
