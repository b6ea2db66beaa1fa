//! Reports on their way. Those of one queue that are at hand at once go in one message, where whoever
//! receives them reads that: what a broker does for a message costs more than the reports in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use shared_ports::messages::{AttemptReport, JOINED_ID, MESSAGE_VERSION, Report};
use shared_ports::{Broker, Outgoing, PortError, Queue};
use shared_runtime::{Kind, Supervisor};
use tokio::sync::{mpsc, oneshot};

/// Reports that wait to be sent; whoever brings more waits.
const WAITING_MAX: usize = 1_024;
/// Reports of one message, and its bytes (beyond the first report).
const JOINED_MAX: usize = 64;
const JOINED_BYTES_MAX: usize = 128 * 1_024;
/// Windows that wait for the broker's word at once: what comes meanwhile is joined.
const WINDOWS_MAX: usize = 2;

/// Whether the broker has a report.
type Told = Result<(), Arc<PortError>>;

/// Where reports are brought. Clones are handles on the same.
#[derive(Clone)]
pub(crate) struct Outbox(mpsc::Sender<Entry>);

/// A report to be sent.
struct Entry {
    shard: u16,
    /// Whether it may come with others.
    joins: bool,
    id: String,
    report: AttemptReport,
    told: oneshot::Sender<Told>,
}

impl Outbox {
    pub(crate) fn start(broker: Arc<dyn Broker>, supervisor: &Supervisor) -> Self {
        let (sender, entries) = mpsc::channel(WAITING_MAX);
        supervisor.spawn(Kind::Runner, run(broker, entries));
        Self(sender)
    }

    /// Sends a report; returns once the broker has it.
    ///
    /// # Errors
    /// [`PortError`] if it may not have it.
    pub(crate) async fn send(&self, shard: u16, joins: bool, report: AttemptReport) -> Told {
        let (told, hears) = oneshot::channel();
        let entry = Entry { shard, joins, id: id_of(&report), report, told };
        let gone = || {
            let doing = "sending a report".to_owned();
            Arc::new(PortError::Unavailable { doing, source: "the worker has stopped".into() })
        };
        self.0.send(entry).await.map_err(|_| gone())?;
        hears.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn id_of(report: &AttemptReport) -> String {
    let kind = match report.report {
        Report::Started => "started",
        Report::LeaseEnded => "lease-ended",
        Report::Finished(_) | Report::FinishedBlob(_) => "finished",
    };
    format!("{}@{}:{kind}", report.attempt, report.epoch)
}

/// Sends what is brought until nobody can bring more.
async fn run(broker: Arc<dyn Broker>, mut entries: mpsc::Receiver<Entry>) -> anyhow::Result<()> {
    let mut sending = FuturesUnordered::new();
    loop {
        let mut some = Vec::new();
        tokio::select! {
            biased;
            Some(()) = sending.next() => {}
            count = entries.recv_many(&mut some, WAITING_MAX), if sending.len() < WINDOWS_MAX => {
                if count == 0 {
                    break;
                }
                sending.push(send(Arc::clone(&broker), some));
            }
        }
    }
    while sending.next().await.is_some() {}
    Ok(())
}

/// Sends a window of messages, and tells everybody in it.
async fn send(broker: Arc<dyn Broker>, entries: Vec<Entry>) {
    let (messages, waiting) = messages(entries);
    let sent = broker.publish(messages).await.map_err(Arc::new);
    for told in waiting {
        // Whoever brought it may be gone.
        drop(told.send(sent.clone()));
    }
}

fn messages(entries: Vec<Entry>) -> (Vec<Outgoing>, Vec<oneshot::Sender<Told>>) {
    let (mut messages, mut waiting) = (Vec::new(), Vec::new());
    let mut open: BTreeMap<u16, Message> = BTreeMap::new();
    for Entry { shard, joins, id, report, told } in entries {
        waiting.push(told);
        let body = serde_json::to_vec(&report).unwrap_or_default();
        if !joins {
            messages.push(Outgoing { queue: Queue::Reports(shard), id, body: body.into() });
            continue;
        }
        let message = open.entry(shard).or_default();
        if !message.has_room_for(body.len()) {
            messages.extend(std::mem::take(message).into_outgoing(shard));
        }
        message.add(id, body);
    }
    messages.extend(open.into_iter().filter_map(|(shard, message)| message.into_outgoing(shard)));
    (messages, waiting)
}

/// Reports that go in one message.
#[derive(Default)]
struct Message {
    /// The id of the first.
    id: Option<String>,
    /// As JSON, separated by commas.
    reports: Vec<u8>,
    count: usize,
}

impl Message {
    fn has_room_for(&self, bytes: usize) -> bool {
        let is_small = self.reports.len() + bytes <= JOINED_BYTES_MAX;
        self.count == 0 || (self.count < JOINED_MAX && is_small)
    }

    fn add(&mut self, id: String, mut body: Vec<u8>) {
        self.id.get_or_insert(id);
        if self.count > 0 {
            self.reports.push(b',');
        }
        self.reports.append(&mut body);
        self.count += 1;
    }

    /// One that is alone goes as it always did.
    fn into_outgoing(self, shard: u16) -> Option<Outgoing> {
        let (id, queue) = (self.id?, Queue::Reports(shard));
        if self.count == 1 {
            return Some(Outgoing { queue, id, body: self.reports.into() });
        }
        // An `AttemptReports`; each of them is JSON already.
        let begin = format!("{{\"v\":{MESSAGE_VERSION},\"reports\":[");
        let body = [begin.as_bytes(), &self.reports, b"]}"].concat();
        Some(Outgoing { queue, id: format!("{JOINED_ID}{id}"), body: body.into() })
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use shared_model::{AttemptId, Epoch, ExecutionId, StageRef, TaskAnswer, TaskResult, WorkerId};
    use shared_ports::messages::AttemptReports;

    use super::*;

    fn entry(shard: u16, joins: bool, number: u32, bytes: usize) -> Entry {
        let (execution, stage) = (ExecutionId::new("e"), StageRef::new("1"));
        let mut result = TaskResult::default();
        result.context.insert("text".to_owned(), "x".repeat(bytes).into());
        let report = AttemptReport {
            v: MESSAGE_VERSION,
            attempt: AttemptId { execution, stage, run: 1, task: 0, number },
            epoch: Epoch(1),
            worker: WorkerId::new("w"),
            at: Timestamp::UNIX_EPOCH,
            held_by: None,
            waits: false,
            report: Report::Finished(Box::new(TaskAnswer::Succeeded { result })),
        };
        let (told, _) = oneshot::channel();
        Entry { shard, joins, id: id_of(&report), report, told }
    }

    /// The numbers of the reports of each message.
    fn sent(entries: Vec<Entry>) -> Vec<(u16, Vec<u32>)> {
        let read = |message: &Outgoing| {
            let Queue::Reports(shard) = message.queue else { panic!("no queue of reports") };
            let reports = match message.id.starts_with(JOINED_ID) {
                true => serde_json::from_slice::<AttemptReports>(&message.body).unwrap().reports,
                false => vec![serde_json::from_slice(&message.body).unwrap()],
            };
            (shard, reports.iter().map(|report| report.attempt.number).collect())
        };
        messages(entries).0.iter().map(read).collect()
    }

    #[test]
    fn what_is_at_hand_for_one_queue_is_joined_where_that_is_read() {
        let entries = [(1, true), (2, true), (1, true), (1, false), (2, true)];
        let entries = (0_u32..).zip(entries).map(|(n, (shard, joins))| entry(shard, joins, n, 0));
        let found = sent(entries.collect());
        assert_eq!(found, [(1, vec![3]), (1, vec![0, 2]), (2, vec![1, 4])]);
    }

    #[test]
    fn no_message_grows_without_bound() {
        let many = sent((0..150).map(|n| entry(1, true, n, 0)).collect());
        assert_eq!(many.iter().map(|(_, of)| of.len()).collect::<Vec<_>>(), [64, 64, 22]);
        let long = sent((0..3).map(|n| entry(1, true, n, 100_000)).collect());
        assert_eq!(long.iter().map(|(_, of)| of.len()).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
