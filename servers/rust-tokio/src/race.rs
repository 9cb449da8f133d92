//! Waiting for two things at once.

use std::future::{poll_fn, Future};
use std::pin::pin;
use std::task::Poll;

pub enum Either<A, B> {
    Left(A),
    Right(B),
}

/// Returns what is ready first, `a` when both are; the other is dropped, which cancels it. (tokio::select! does the same
/// and more, with macros that must be compiled first.)
pub async fn race<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|context| {
        if let Poll::Ready(value) = a.as_mut().poll(context) {
            return Poll::Ready(Either::Left(value));
        }
        b.as_mut().poll(context).map(Either::Right)
    })
    .await
}
