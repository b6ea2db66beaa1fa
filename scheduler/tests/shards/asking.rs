use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use shared_model::{Capability, ExecutionId, WorkerId};
use shared_plugin::{Effects, StageDescriptor, TaskDescriptor, When};
use shared_ports::messages::{AttemptReady, AttemptReport, Control, MESSAGE_VERSION, Report};
use shared_ports::{Consumer, Outgoing, Ports, Queue};
use tokio::time::timeout;

use crate::scene::World;

/// The longest wait for a message.
const LIMIT: Duration = Duration::from_secs(20);

/// What it does.
const CALL: &str = "call";

/// The stage type of what it does.
pub(crate) fn call() -> StageDescriptor {
    let task = TaskDescriptor {
        name: CALL.into(),
        capability: Capability::new(CALL),
        effects: Effects::None,
        when: When::Always,
    };
    StageDescriptor {
        name: CALL.into(),
        aliases: Vec::new(),
        summary: String::new(),
        schema: json!({ "type": "object" }),
        tasks: vec![task],
        timeout: SignedDuration::from_hours(1),
    }
}

/// A worker that asks before it begins.
pub(crate) struct Asking {
    name: WorkerId,
    ports: Ports,
    ready: Box<dyn Consumer>,
    told: Box<dyn Consumer>,
}

impl Asking {
    pub(crate) async fn of(world: &World, name: &str) -> Self {
        let (name, ports) = (WorkerId::new(name), world.ports.clone());
        let calls = Queue::Ready(Capability::new(CALL));
        let ready = ports.broker.consume(&calls, 64).await.unwrap();
        let told = ports.broker.consume(&Queue::Control(name.clone()), 64).await.unwrap();
        Self { name, ports, ready, told }
    }

    /// What it is given of an execution.
    pub(crate) async fn next_of(&mut self, id: &ExecutionId) -> AttemptReady {
        loop {
            let delivery = timeout(LIMIT, self.ready.next()).await.unwrap().unwrap();
            self.ready.ack(delivery.tag).await.unwrap();
            let ready: AttemptReady = serde_json::from_slice(&delivery.body).unwrap();
            if ready.attempt.execution == *id {
                return ready;
            }
        }
    }

    /// Asks whoever receives the reports of a shard.
    pub(crate) async fn ask(&self, ready: &AttemptReady, shard: u16) {
        let report = AttemptReport {
            v: MESSAGE_VERSION,
            attempt: ready.attempt.clone(),
            epoch: ready.epoch,
            worker: self.name.clone(),
            at: self.ports.clock.now(),
            held_by: None,
            waits: true,
            report: Report::Started,
        };
        let (id, body) = (format!("{}:{shard}", ready.attempt), serde_json::to_vec(&report));
        let message = Outgoing { queue: Queue::Reports(shard), id, body: body.unwrap().into() };
        self.ports.broker.publish(vec![message]).await.unwrap();
    }

    pub(crate) async fn hears_that_it_begins(&mut self, ready: &AttemptReady) {
        let delivery = timeout(LIMIT, self.told.next()).await.unwrap().unwrap();
        self.told.ack(delivery.tag).await.unwrap();
        let word: Control = serde_json::from_slice(&delivery.body).unwrap();
        let (attempt, epoch) = (ready.attempt.clone(), ready.epoch);
        assert_eq!(word, Control::Grant { v: MESSAGE_VERSION, attempt, epoch });
    }
}
