//! How a task is told to end before it is done, and what it is to do with what it made.

use tokio_util::sync::CancellationToken;

/// Why a task is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Nobody wants it any more: its execution was cancelled, or its time is up. What stands half-done
    /// is undone, and the answer is `Canceled`.
    Cancel,
    /// Another worker goes on with it, for this one stops or lost its lease. What was made is left
    /// where it is, and the answer is `HandedOver`.
    HandOver,
}

/// Tells a task to end. Clones are handles on the same signal.
#[derive(Debug, Clone, Default)]
pub struct EndSignal {
    cancel: CancellationToken,
    hand_over: CancellationToken,
    any: CancellationToken,
}

impl EndSignal {
    /// Tells the task to undo what stands half-done, and to end.
    pub fn cancel(&self) {
        self.cancel.cancel();
        self.any.cancel();
    }

    /// Tells the task to leave what it made to whoever goes on with it, and to end.
    pub fn hand_over(&self) {
        self.hand_over.cancel();
        self.any.cancel();
    }

    /// Why the task is to end; `None` as long as it is not. A cancel counts for more, whichever came
    /// first.
    pub fn why(&self) -> Option<Ending> {
        match () {
            () if self.cancel.is_cancelled() => Some(Ending::Cancel),
            () if self.hand_over.is_cancelled() => Some(Ending::HandOver),
            () => None,
        }
    }

    /// Completes when the task is to end, and says why.
    pub async fn told(&self) -> Ending {
        self.any.cancelled().await;
        self.why().unwrap_or(Ending::HandOver)
    }

    /// Completes when the task is cancelled; not for a mere hand-over.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Cancelled when the task is to end, for whatever reason: for what has to stop either way.
    pub fn token(&self) -> &CancellationToken {
        &self.any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_counts_for_more_than_a_hand_over() {
        let end = EndSignal::default();
        assert_eq!(end.why(), None);
        end.hand_over();
        assert_eq!(end.why(), Some(Ending::HandOver));
        assert!(end.token().is_cancelled());
        end.clone().cancel();
        assert_eq!(end.why(), Some(Ending::Cancel));
        end.hand_over();
        assert_eq!(end.why(), Some(Ending::Cancel));
    }
}
