//! Publishes for everybody: one task takes what is at hand, in windows.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shared_ports::PortError;
use shared_ports::broker::Outgoing;
use shared_runtime::{Kind, Supervisor};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use super::fault::{NoQueue, NotTaken, OutOfTime, unavailable};
use super::link::Link;
use super::settings::{self, Amqp};
use super::topology::Topology;
use super::window::{Lane, Verdict};
use crate::memory::lock;

/// Messages of a window. Confirmed one by one 0.5 to 2 thousand pass in a second, so 20 to 30.
const WINDOW_LEN_MAX: usize = 256;
/// Bytes of a window: it must be confirmed in time on a slow network, too.
const WINDOW_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one message. What is longer belongs into a blob.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Callers that may wait for the task.
const REQUESTS_WAITING_MAX: usize = 1024;
/// How much later than told a caller gives up by itself: the task knows why, the caller does not.
const GRACE: Duration = Duration::from_secs(1);

/// Hands messages to the task that publishes them.
pub(super) struct Publisher {
    /// None once it was closed.
    requests: Mutex<Option<mpsc::Sender<Request>>>,
    publish_max: Duration,
}

struct Request {
    messages: Vec<Outgoing>,
    until: Instant,
    answer: oneshot::Sender<Result<(), PortError>>,
}

impl Publisher {
    pub(super) fn start(
        tasks: &Supervisor,
        link: Link,
        topology: Arc<Topology>,
        settings: &Amqp,
    ) -> Self {
        let (requests, received) = mpsc::channel(REQUESTS_WAITING_MAX);
        let confirm_max = settings::duration(settings.confirm_max);
        let publish_max = settings::duration(settings.publish_max);
        let sender = Sender { link, topology, confirm_max, lane: None };
        tasks.spawn(Kind::Store, serve(received, sender));
        Self { requests: Mutex::new(Some(requests)), publish_max }
    }

    pub(super) fn close(&self) {
        *lock(&self.requests) = None;
    }

    pub(super) async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), PortError> {
        if messages.is_empty() {
            return Ok(());
        }
        let doing = format!("publishing {} messages", messages.len());
        if let Some(long) = messages.iter().find(|message| message.body.len() > MESSAGE_BYTES_MAX) {
            let Outgoing { id, body, .. } = long;
            let why = format!(
                "message `{id}` has {} bytes, more than {MESSAGE_BYTES_MAX}; put them into a blob",
                body.len()
            );
            return Err(PortError::Refused { doing, why });
        }
        let until = Instant::now() + self.publish_max;
        let late = |_| Err(unavailable(doing.as_str(), OutOfTime(self.publish_max)));
        let asked = self.ask(messages, until);
        timeout_at(until + GRACE, asked).await.unwrap_or_else(late)
    }

    async fn ask(&self, messages: Vec<Outgoing>, until: Instant) -> Result<(), PortError> {
        let closed = || PortError::Refused {
            doing: "publishing messages".to_owned(),
            why: "the connection to RabbitMQ was closed, this process is ending".to_owned(),
        };
        let requests = lock(&self.requests).clone().ok_or_else(closed)?;
        let (answer, answered) = oneshot::channel();
        let request = Request { messages, until, answer };
        requests.send(request).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

async fn serve(mut received: mpsc::Receiver<Request>, mut sender: Sender) -> anyhow::Result<()> {
    let mut at_hand = Vec::new();
    while received.recv_many(&mut at_hand, WINDOW_LEN_MAX).await > 0 {
        sender.deliver(Work::of(std::mem::take(&mut at_hand))).await;
    }
    sender.link.close().await;
    Ok(())
}

struct Sender {
    link: Link,
    topology: Arc<Topology>,
    confirm_max: Duration,
    lane: Option<Lane>,
}

impl Sender {
    /// Publishes all of it, over lost connections, until it is confirmed or out of time.
    async fn deliver(&mut self, mut work: Work) {
        while let Some(window) = work.next_window() {
            let until = work.until(&window);
            let messages = window.iter().map(|job| job.message.clone()).collect();
            match timeout_at(until, self.send(messages)).await {
                Ok(Ok(verdicts)) => self.settle(&mut work, window, verdicts),
                Ok(Err(error)) => {
                    self.clear_up().await;
                    work.put_back(window, Some(error));
                }
                Err(_) => {
                    self.clear_up().await;
                    work.put_back(window, None);
                }
            }
        }
    }

    async fn send(&mut self, messages: Vec<Outgoing>) -> Result<Vec<Verdict>, PortError> {
        let lane = match &mut self.lane {
            Some(lane) => lane,
            None => {
                let connection = self.link.connection().await?;
                let topology = Arc::clone(&self.topology);
                let lane = Lane::open(connection, topology, self.confirm_max).await?;
                self.lane.insert(lane)
            }
        };
        lane.send(messages).await
    }

    /// After an error what was under way is of unknown fate, so its channel is of no use.
    async fn clear_up(&mut self) {
        if let Some(lane) = self.lane.take_if(|lane| !lane.is_usable()) {
            self.link.give_up(lane.connection()).await;
        }
    }

    fn settle(&mut self, work: &mut Work, window: Vec<Job>, verdicts: Vec<Verdict>) {
        for (job, verdict) in window.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Confirmed => work.confirmed(&job),
                Verdict::Failed(error) => work.failed(&job, error),
                Verdict::NotTaken => work.failed(&job, self.not_taken(&job)),
                Verdict::Returned => self.returned(work, job),
            }
        }
    }

    /// Its queue was deleted meanwhile: it is made again, once.
    fn returned(&mut self, work: &mut Work, job: Job) {
        if let Some(lane) = &mut self.lane {
            lane.forget(&job.message.queue);
        }
        tracing::warn!(queue = ?job.message.queue, "a queue of RabbitMQ is gone; it is made again");
        if job.was_returned {
            let queue = format!("{:?}", job.message.queue);
            return work.failed(&job, unavailable("publishing a message", NoQueue(queue)));
        }
        work.jobs.push_back(Job { was_returned: true, ..job });
    }

    fn not_taken(&self, job: &Job) -> PortError {
        let Amqp { queue_len_max, queue_bytes_max, .. } = *self.topology.settings();
        let queue = format!("{:?}", job.message.queue);
        let why = NotTaken { queue, queue_len_max, queue_bytes_max };
        unavailable(format!("publishing message `{}`", job.message.id), why)
    }
}

/// What is to be published now.
struct Work {
    callers: Vec<Caller>,
    jobs: VecDeque<Job>,
}

struct Caller {
    left: usize,
    until: Instant,
    /// None once it was given.
    answer: Option<oneshot::Sender<Result<(), PortError>>>,
    /// Why it has not worked so far.
    last: Option<String>,
}

struct Job {
    caller: usize,
    message: Outgoing,
    was_returned: bool,
}

/// Why a message was not published in time.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotInTime(String);

impl Work {
    fn of(requests: Vec<Request>) -> Self {
        let mut work = Self { callers: Vec::new(), jobs: VecDeque::new() };
        for (caller, Request { messages, until, answer }) in requests.into_iter().enumerate() {
            let left = messages.len();
            work.callers.push(Caller { left, until, answer: Some(answer), last: None });
            let job = |message| Job { caller, message, was_returned: false };
            work.jobs.extend(messages.into_iter().map(job));
        }
        work
    }

    /// The next messages whose caller still waits; at least one, unless there are none.
    fn next_window(&mut self) -> Option<Vec<Job>> {
        let now = Instant::now();
        for caller in &mut self.callers {
            caller.give_up_after(now);
        }
        let (mut window, mut bytes) = (Vec::new(), 0);
        while window.len() < WINDOW_LEN_MAX && bytes < WINDOW_BYTES_MAX {
            let Some(job) = self.jobs.pop_front() else { break };
            if self.callers.get(job.caller).is_some_and(Caller::is_waiting) {
                bytes += job.message.body.len();
                window.push(job);
            }
        }
        (!window.is_empty()).then_some(window)
    }

    /// When the first of a window's callers gives up.
    fn until(&self, window: &[Job]) -> Instant {
        let until = |job: &Job| self.callers.get(job.caller).map(|caller| caller.until);
        window.iter().filter_map(until).min().unwrap_or_else(Instant::now)
    }

    fn confirmed(&mut self, job: &Job) {
        let Some(caller) = self.callers.get_mut(job.caller) else { return };
        caller.left -= 1;
        if caller.left == 0 {
            caller.answer(Ok(()));
        }
    }

    fn failed(&mut self, job: &Job, error: PortError) {
        if let Some(caller) = self.callers.get_mut(job.caller) {
            caller.answer(Err(error));
        }
    }

    /// Nothing is known of a window: it is sent again, unless somebody has to do something first.
    /// Without an error the time of one of its callers is over.
    fn put_back(&mut self, window: Vec<Job>, error: Option<PortError>) {
        if let Some(PortError::Refused { doing, why }) = error {
            for job in &window {
                let (doing, why) = (doing.clone(), why.clone());
                self.failed(job, PortError::Refused { doing, why });
            }
            return;
        }
        let said = error.as_ref().map(|error| chain(error));
        tracing::debug!(error = said, "a window of messages was not confirmed; it is sent again");
        for job in window.into_iter().rev() {
            if let Some(caller) = self.callers.get_mut(job.caller) {
                caller.last = said.clone().or_else(|| caller.last.take());
            }
            self.jobs.push_front(job);
        }
    }
}

impl Caller {
    fn is_waiting(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| !answer.is_closed())
    }

    fn answer(&mut self, answer: Result<(), PortError>) {
        if let Some(caller) = self.answer.take() {
            // It may have given up waiting.
            let _ = caller.send(answer);
        }
    }

    fn give_up_after(&mut self, now: Instant) {
        if self.until <= now {
            let late = || "RabbitMQ has not confirmed them".to_owned();
            let why = self.last.take().unwrap_or_else(late);
            self.answer(Err(unavailable("publishing messages in time", NotInTime(why))));
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
