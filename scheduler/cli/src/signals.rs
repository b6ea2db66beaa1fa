//! Which signal it was that asked us to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens beside the runtime, which does the stopping.
pub(crate) struct Signals {
    terminate: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// If signals cannot be listened for.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())? })
    }

    /// The exit code for the signal that came: SIGTERM's, else SIGINT's.
    pub(crate) async fn exit_code(&mut self) -> u8 {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => 143,
            () = std::future::ready(()) => 130,
        }
    }
}
