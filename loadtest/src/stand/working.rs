//! A worker as a process of its own whose only stage type does nothing, and says when.

use std::io::{BufWriter, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::json;
use shared_adapters::{Patience, Workplace, open_worker};
use shared_model::{Capability, Effects, TaskAnswer, WorkerId};
use shared_plugin::{Catalog, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};
use shared_runtime::Supervisor;

use super::settings_of;

const STOP_LIMIT: Duration = Duration::from_secs(20);
const WAIT_MAX: Duration = Duration::from_secs(60);

/// One worker.
#[derive(Debug, clap::Args)]
pub struct Working {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Attempts that it runs at once.
    #[arg(long)]
    slots: u16,
    /// How long each takes on average, in milliseconds.
    #[arg(long)]
    work_ms: u64,
    /// The folder of everything.
    #[arg(long)]
    folder: std::path::PathBuf,
}

impl Working {
    /// Works until a signal.
    ///
    /// # Errors
    /// What could not be reached.
    pub async fn run(self) -> Result<()> {
        let workplace = workplace(&self.folder, &self.name)?;
        let mut patience = Patience::of(WAIT_MAX, |_| ());
        let (ports, guard) = open_worker(&workplace, &mut patience).await?;
        let lines = tell(&self.folder.join("ledger"))?;
        let lasts = Duration::from_millis(self.work_ms);
        let catalog = Catalog::default().with(Nothing { lines, lasts });
        let config = worker::Config {
            slots: self.slots,
            announces: true,
            ..worker::Config::named(WorkerId::new(self.name))
        };
        let supervisor = Supervisor::new();
        worker::start(config, ports, catalog, &supervisor).await?;
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?.recv().await;
        supervisor.shut_down(STOP_LIMIT).await;
        guard.close().await?;
        Ok(())
    }
}

/// The same servers as the schedulers'.
fn workplace(folder: &Path, name: &str) -> Result<Workplace> {
    let settings = settings_of(folder)?;
    let local =
        json!({ "data_dir": folder.join(name), "shared_dir": settings["local"]["shared_dir"] });
    let own = json!({ "amqp": settings["amqp"], "redis": settings["redis"], "local": local });
    Ok(serde_json::from_value(own)?)
}

/// What is sent there is written behind whoever sends it.
pub(crate) fn tell(ledger: &Path) -> Result<Sender<String>> {
    let stream = UnixStream::connect(ledger)
        .with_context(|| format!("nobody listens at {}", ledger.display()))?;
    let (sender, lines) = channel();
    std::thread::spawn(move || write(BufWriter::new(stream), &lines));
    Ok(sender)
}

fn write(mut to: BufWriter<UnixStream>, lines: &Receiver<String>) -> std::io::Result<()> {
    while let Ok(line) = lines.recv() {
        to.write_all(line.as_bytes())?;
        while let Ok(line) = lines.try_recv() {
            to.write_all(line.as_bytes())?;
        }
        to.flush()?;
    }
    Ok(())
}

struct Nothing {
    lines: Sender<String>,
    lasts: Duration,
}

impl Nothing {
    /// From half to one and a half of the average: where all work is equally long, it ends in waves.
    fn lasts(&self) -> Duration {
        let average = u64::try_from(self.lasts.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(average / 2 + nanoseconds() % average)
    }

    fn say(&self, cx: &TaskContext, moment: char) {
        let (stage, last) = (cx.text("number"), u8::from(cx.text("last") == "true"));
        let (execution, pid, at) = (&cx.attempt.execution, std::process::id(), nanoseconds());
        // Whoever reads it has ended: so does this process soon.
        let _gone = self.lines.send(format!("{pid} {execution} {stage} {last} {moment} {at}\n"));
    }
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the machine's own clock")]
pub(crate) fn nanoseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[async_trait]
impl StageType for Nothing {
    fn describe(&self) -> StageDescriptor {
        StageDescriptor {
            name: "nothing".into(),
            aliases: Vec::new(),
            summary: "Does nothing.".into(),
            schema: json!({"type": "object"}),
            tasks: vec![TaskDescriptor {
                name: "nothing".into(),
                capability: Capability::new("nothing"),
                effects: Effects::None,
                when: When::Always,
            }],
            timeout: SignedDuration::from_mins(10),
        }
    }

    async fn run(&self, _: &str, cx: &TaskContext) -> TaskAnswer {
        self.say(cx, 'B');
        if !self.lasts.is_zero() {
            cx.clock.sleep(self.lasts()).await;
        }
        self.say(cx, 'D');
        TaskAnswer::done()
    }
}
