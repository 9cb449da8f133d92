//! Waiting for two things at once.

use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::Poll;

pub enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Returns what is ready first, `a` when both are. It only borrows the two (pin! them): a future that is moved into another
/// takes its place in both, and a connection is as large as the futures it is made of. Who drops the slower one cancels it.
/// (tokio::select! does the same and more, with macros that must be compiled first.)
pub fn race<A, B>(mut a: A, mut b: B) -> impl Future<Output = Either<A::Output, B::Output>>
where
    A: Future + Unpin,
    B: Future + Unpin,
{
    poll_fn(move |context| {
        if let Poll::Ready(value) = Pin::new(&mut a).poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        Pin::new(&mut b).poll(context).map(Either::Right)
    })
}
