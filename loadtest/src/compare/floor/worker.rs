//! Does nothing, and says when.

use std::sync::mpsc::Sender;

use anyhow::Result;

use super::pump::Pump;
use crate::stand::working::nanoseconds;

pub(super) struct Worker {
    pump: Pump,
    lines: Sender<String>,
}

impl Worker {
    pub(super) fn new(pump: Pump, lines: Sender<String>) -> Self {
        Self { pump, lines }
    }

    pub(super) async fn run(mut self) -> Result<()> {
        let me = std::process::id();
        loop {
            let stages = self.pump.receive().await?;
            for stage in &stages {
                let (execution, number) = (stage.execution, stage.number);
                let (last, at) = (u8::from(stage.is_last), nanoseconds());
                let line = |moment| format!("{me} {execution} {number} {last} {moment} {at}\n");
                self.lines.send(line('B') + &line('D'))?;
            }
            self.pump.send(&stages).await?;
        }
    }
}
