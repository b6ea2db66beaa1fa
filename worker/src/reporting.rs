//! What a worker tells of its attempts, until the broker has it.

use std::time::Duration;

use bytes::Bytes;
use shared_model::{TaskAnswer, WorkerId};
use shared_ports::messages::{
    AttemptReady, AttemptReport, INPUTS_INLINE_BYTES_MAX, MESSAGE_VERSION, Report,
};

use crate::attempt::Bench;
use crate::in_flight::Why;

/// First and longest pause between tries to send a report.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Bench {
    /// Reports how an attempt ended.
    pub(crate) async fn finish(&self, ready: &AttemptReady, answer: TaskAnswer) {
        let report = self.finished(answer).await;
        self.report(ready, report).await;
    }

    async fn finished(&self, answer: TaskAnswer) -> Report {
        let json = serde_json::to_vec(&answer).unwrap_or_default();
        if json.len() <= INPUTS_INLINE_BYTES_MAX {
            return Report::Finished(Box::new(answer));
        }
        match self.ports.blobs.put(Bytes::from(json)).await {
            Ok(blob) => Report::FinishedBlob(blob),
            Err(error) => {
                tracing::warn!(%error, "a long answer cannot be stored beside its report");
                Report::Finished(Box::new(answer))
            }
        }
    }

    /// Reports that another's lease has ended. What waits for a grant may not have begun: whether it has,
    /// the journal alone knows.
    pub(crate) async fn lease_ended(&self, ready: &AttemptReady, holder: WorkerId) {
        let held_by = (!ready.needs_grant).then_some(holder);
        let report = AttemptReport { held_by, ..self.draft(ready, Report::LeaseEnded) };
        self.send(ready, report).await;
    }

    /// Asks whether an attempt that was claimed may begin.
    pub(crate) async fn ask_to_begin(&self, ready: &AttemptReady) {
        let report = AttemptReport { waits: true, ..self.draft(ready, Report::Started) };
        self.send(ready, report).await;
    }

    pub(crate) async fn report(&self, ready: &AttemptReady, report: Report) {
        self.send(ready, self.draft(ready, report)).await;
    }

    fn draft(&self, ready: &AttemptReady, report: Report) -> AttemptReport {
        AttemptReport {
            v: MESSAGE_VERSION,
            attempt: ready.attempt.clone(),
            epoch: ready.epoch,
            worker: self.config.id.clone(),
            at: self.ports.clock.now(),
            held_by: None,
            waits: false,
            report,
        }
    }

    /// Sends a report until the broker has it, or nobody wants it any more.
    async fn send(&self, ready: &AttemptReady, report: AttemptReport) {
        let (attempt, epoch) = (&ready.attempt, ready.epoch);
        let (mut pause, longest) = PAUSE;
        while let Err(error) = self.outbox.send(ready.shard, ready.joins, report.clone()).await {
            tracing::warn!(%error, %attempt, "a report cannot be sent for now; it is sent again");
            if self.in_flight.why(attempt, epoch) == Some(Why::LeaseLost) {
                return;
            }
            self.ports.clock.sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
