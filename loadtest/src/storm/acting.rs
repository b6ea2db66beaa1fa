//! What workers of the storm do: work that lasts, then one effect on the target.

use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use jiff::SignedDuration;
use serde_json::{Value, json};
use shared_model::{Capability, Effects, TaskAnswer, TaskResult};
use shared_plugin::{Ending, StageDescriptor, StageType, TaskContext, TaskDescriptor, When};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long the target may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// How long until it is asked again.
const PAUSE: Duration = Duration::from_millis(300);

/// A stage type that has an effect.
pub(super) struct Act {
    /// The port of the ledger.
    pub(super) ledger: u16,
    /// Who works.
    pub(super) worker: String,
    /// Whether the target knows the effect by its key.
    pub(super) is_keyed: bool,
    /// Whether keys are other ones for each epoch: what they are for is switched off then.
    pub(super) keys_by_epoch: bool,
}

/// What came of an effect.
enum Done {
    Yes,
    No,
    Unknown,
}

#[async_trait]
impl StageType for Act {
    fn describe(&self) -> StageDescriptor {
        let name = if self.is_keyed { "act" } else { "actOnce" };
        let effects = if self.is_keyed { Effects::Keyed } else { Effects::Unkeyed };
        StageDescriptor {
            name: name.into(),
            aliases: Vec::new(),
            summary: "Changes the target once.".into(),
            schema: json!({"type": "object"}),
            tasks: vec![TaskDescriptor {
                name: "act".into(),
                capability: Capability::new("storm"),
                effects,
                when: When::Always,
            }],
            timeout: SignedDuration::from_hours(1),
        }
    }

    async fn run(&self, _: &str, cx: &TaskContext) -> TaskAnswer {
        let words = self.words(cx);
        // Nothing depends on either: they say who is at it, as does the end of the connection.
        let present = self.open_and_say(&format!("began {words}")).await;
        let answer = self.work(cx, &words).await;
        if let Ok((stream, _)) = present {
            let left = format!("left {words}");
            let _unheard = tokio::time::timeout(ANSWER_LIMIT, say(stream, &left)).await;
        }
        answer
    }
}

/// Where nobody cancelled it, that means that nobody knows what came of it.
fn unknown() -> TaskAnswer {
    TaskAnswer::Canceled { result: TaskResult::default() }
}

impl Act {
    async fn work(&self, cx: &TaskContext, words: &str) -> TaskAnswer {
        if self.is_keyed && self.was_done(cx).await {
            return TaskAnswer::done();
        }
        let lasts = cx.context().get("lastsMs").and_then(Value::as_u64).unwrap_or_default();
        tokio::select! {
            biased;
            why = cx.told_to_end() => return self.given_up(cx, why),
            () = cx.clock.sleep(Duration::from_millis(lasts)) => {}
        }
        loop {
            match self.act(words).await {
                Done::Yes => return TaskAnswer::done(),
                Done::Unknown if !self.is_keyed => return unknown(),
                Done::No | Done::Unknown => {}
            }
            tokio::select! {
                biased;
                why = cx.told_to_end() => return self.given_up(cx, why),
                () = cx.clock.sleep(PAUSE) => {}
            }
        }
    }

    fn given_up(&self, cx: &TaskContext, why: Ending) -> TaskAnswer {
        match why {
            Ending::HandOver if self.is_keyed => cx.handed_over(),
            Ending::HandOver | Ending::Cancel => unknown(),
        }
    }

    fn key(&self, cx: &TaskContext) -> String {
        let key = cx.effect(0).to_string();
        if self.keys_by_epoch { format!("{key}@{}", cx.epoch) } else { key }
    }

    /// Of a line of the ledger, all from the key on.
    fn words(&self, cx: &TaskContext) -> String {
        let (attempt, number) = (&cx.attempt, cx.text("number"));
        let stage = cx.input.stage_name.rsplit(' ').next().unwrap_or_default();
        let (key, epoch, worker) = (self.key(cx), cx.epoch, &self.worker);
        format!("{key} {epoch} {worker} {} {number} {stage} {}", attempt.execution, attempt.run)
    }

    async fn was_done(&self, cx: &TaskContext) -> bool {
        let answer = self.ask(&format!("look {}", self.key(cx))).await;
        answer.is_ok_and(|answer| answer == "true")
    }

    async fn act(&self, words: &str) -> Done {
        let word = if self.is_keyed { "act" } else { "act-once" };
        // Where nobody listens, nothing was said.
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.ledger)).await else {
            return Done::No;
        };
        match tokio::time::timeout(
            ANSWER_LIMIT,
            say(BufReader::new(stream), &format!("{word} {words}")),
        )
        .await
        {
            Ok(Ok((_, answer))) if ["acted", "known"].contains(&answer.as_str()) => Done::Yes,
            Ok(Ok(_)) => Done::No,
            Ok(Err(_)) | Err(_) => Done::Unknown,
        }
    }

    async fn ask(&self, question: &str) -> Result<String> {
        Ok(self.open_and_say(question).await?.1)
    }

    /// The connection stays open as long as it is kept.
    async fn open_and_say(&self, question: &str) -> Result<(BufReader<TcpStream>, String)> {
        let asked = async {
            let stream = TcpStream::connect(("127.0.0.1", self.ledger)).await?;
            stream.set_nodelay(true)?;
            say(BufReader::new(stream), question).await
        };
        tokio::time::timeout(ANSWER_LIMIT, asked).await?
    }
}

async fn say(
    mut stream: BufReader<TcpStream>,
    question: &str,
) -> Result<(BufReader<TcpStream>, String)> {
    stream.write_all(format!("{question}\n").as_bytes()).await?;
    let mut answer = String::new();
    ensure!(stream.read_line(&mut answer).await? > 0, "the ledger hung up");
    Ok((stream, answer.trim_end().to_owned()))
}
