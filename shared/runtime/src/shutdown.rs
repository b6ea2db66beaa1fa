//! Signals. The first asks for an orderly stop, the second exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Supervisor;
use crate::supervisor::Kind;

/// Exit code of a process that a user interrupted.
pub const EXIT_INTERRUPTED: i32 = 130;

/// Stops `supervisor` on SIGINT or SIGTERM; a second signal exits at once.
///
/// # Errors
/// If signals cannot be listened for.
pub fn on_signals(supervisor: &Supervisor) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let owner = supervisor.clone();
    supervisor.spawn(Kind::Progress, async move {
        either(&mut interrupt, &mut terminate).await;
        owner.stop();
        Ok(())
    });
    second_signal_exits()
}

fn second_signal_exits() -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    #[expect(
        clippy::disallowed_methods,
        reason = "must outlive the orderly stop that it cuts short"
    )]
    tokio::spawn(async move {
        either(&mut interrupt, &mut terminate).await;
        either(&mut interrupt, &mut terminate).await;
        std::process::exit(EXIT_INTERRUPTED);
    });
    Ok(())
}

async fn either(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
