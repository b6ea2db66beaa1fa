//! Signals. The first asks for an orderly stop, the second exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Supervisor;

/// Exit code of a process that a user interrupted (SIGINT).
pub const EXIT_INTERRUPTED: i32 = 130;
/// Exit code of a process that was told to end (SIGTERM).
pub const EXIT_TERMINATED: i32 = 143;

/// Stops `supervisor` on SIGINT or SIGTERM; a second signal exits at once, whatever still runs
/// (tools end with us: their guards see our end).
///
/// # Errors
/// If signals cannot be listened for.
pub fn on_signals(supervisor: &Supervisor) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let owner = supervisor.clone();
    #[expect(
        clippy::disallowed_methods,
        reason = "the second signal cuts short what a supervisor waits for, so none may own this"
    )]
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        tracing::info!("stopping; a second signal exits at once");
        owner.stop();
        std::process::exit(either(&mut interrupt, &mut terminate).await);
    });
    Ok(())
}

/// Waits for a signal; the exit code that stands for it.
async fn either(interrupt: &mut Signal, terminate: &mut Signal) -> i32 {
    tokio::select! {
        _ = interrupt.recv() => EXIT_INTERRUPTED,
        _ = terminate.recv() => EXIT_TERMINATED,
    }
}
