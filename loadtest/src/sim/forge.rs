//! Messages as they would be without a guard.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use shared_model::{AttemptId, Epoch};
use shared_ports::messages::{AttemptReady, AttemptReport, AttemptReports};

/// Makes every report one of the newest epoch, as if nobody looked at epochs.
#[derive(Default)]
pub(crate) struct Forger {
    /// The newest epoch of each attempt that was announced.
    epochs: Mutex<BTreeMap<AttemptId, Epoch>>,
}

impl Forger {
    /// Remembers announced epochs; makes every report one of the newest.
    pub(crate) fn forge(&self, body: &mut Bytes) {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let renew = |report: &mut AttemptReport| {
            let newest = epochs.get(&report.attempt);
            report.epoch = newest.copied().unwrap_or(report.epoch);
        };
        if let Ok(mut report) = serde_json::from_slice::<AttemptReport>(body) {
            renew(&mut report);
            *body = serde_json::to_vec(&report).unwrap_or_default().into();
        } else if let Ok(mut all) = serde_json::from_slice::<AttemptReports>(body) {
            all.reports.iter_mut().for_each(renew);
            *body = serde_json::to_vec(&all).unwrap_or_default().into();
        } else if let Ok(ready) = serde_json::from_slice::<AttemptReady>(body) {
            epochs.insert(ready.attempt, ready.epoch);
        }
    }
}

/// Lets an attempt begin before its claim is in the journal.
pub(crate) fn let_begin(body: &mut Bytes) {
    if let Ok(ready) = serde_json::from_slice::<AttemptReady>(body) {
        let ready = AttemptReady { needs_grant: false, ..ready };
        *body = serde_json::to_vec(&ready).unwrap_or_default().into();
    }
}

/// Hides how long an attempt's message has lain.
pub(crate) fn make_new(body: &mut Bytes) {
    if let Ok(ready) = serde_json::from_slice::<AttemptReady>(body) {
        let ready = AttemptReady { sent_at: None, ..ready };
        *body = serde_json::to_vec(&ready).unwrap_or_default().into();
    }
}
