//! A body that says when it is over.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// Calls `over` once: at the body's end, or when it is dropped before.
pub(super) struct Watched<B, F: FnOnce()> {
    body: B,
    over: Option<F>,
}

impl<B, F: FnOnce()> Watched<B, F> {
    pub(super) fn new(body: B, over: F) -> Self {
        Self { body, over: Some(over) }
    }

    fn is_over(&mut self) {
        if let Some(over) = self.over.take() {
            over();
        }
    }
}

impl<B: Body + Unpin, F: FnOnce() + Unpin> Body for Watched<B, F> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) {
            self.is_over();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B, F: FnOnce()> Drop for Watched<B, F> {
    fn drop(&mut self) {
        self.is_over();
    }
}
