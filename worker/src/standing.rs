//! Whether a worker may take work, and if not, why: for its loop, its log and its readiness.

use tokio::sync::watch;

/// Whose a worker's name is, for all that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    /// Nobody was asked yet.
    Unknown,
    /// Its own, or nobody can say.
    Own,
    /// Another live process has it, and had it first.
    Taken,
}

/// What keeps a worker from working as it should. Clones are handles on the same.
#[derive(Debug, Clone)]
pub struct Standing {
    worker: String,
    name: watch::Receiver<Name>,
}

impl Standing {
    pub(crate) fn new(worker: String, name: watch::Receiver<Name>) -> Self {
        Self { worker, name }
    }

    /// What is wrong, in words for people; empty if all is well.
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if *self.name.borrow() == Name::Taken {
            troubles.push(format!(
                "another worker that lives has the name `{}` and was first, so this one takes no work \
                 until that one is gone; give each worker a name of its own",
                self.worker
            ));
        }
        troubles
    }

    /// Waits until the name is another's, or is no more; never ends if it stays as it is.
    pub(crate) async fn name_changes(&mut self) -> Name {
        if self.name.changed().await.is_err() {
            return std::future::pending().await;
        }
        *self.name.borrow()
    }

    pub(crate) fn may_take(&self) -> bool {
        *self.name.borrow() == Name::Own
    }
}
