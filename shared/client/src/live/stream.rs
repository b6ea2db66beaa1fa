//! Streams that go on after a lost connection.

use std::time::Duration;

use reqwest::{Method, Response, header};
use serde::Deserialize;
use tokio::time::{Instant, sleep_until, timeout};

use super::Entry;
use crate::sse::{Event, Parser};
use crate::{Client, Error};

/// Silence after which a connection counts as lost; the server says that it lives every 15 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// The first pause before another connection is tried; each further one is twice as long.
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// The longest pause.
const RETRY_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// Connections that fail in a row before we give up: about a minute, a restart takes seconds.
const FAILURES_MAX: u32 = 15;

/// What happens in an execution.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// An entry of its history.
    Entry(Entry),
    /// The connection is lost; we go on as soon as the server answers.
    Lost(String),
    /// Nothing more will happen.
    Ended {
        /// How it ended.
        status: String,
    },
}

/// What happens in an execution, one by one.
#[derive(Debug)]
pub struct Happenings {
    stream: Stream,
    is_over: bool,
}

#[derive(Deserialize)]
struct End {
    status: String,
}

impl Happenings {
    pub(super) fn new(client: &Client, id: &str, after: u64) -> Self {
        let segments = ["v1", "executions", id, "events"];
        Self { stream: Stream::new(client, &segments, after), is_over: false }
    }

    /// What happens next; `None` after the end.
    ///
    /// # Errors
    /// [`Error`] if the server refuses, or is away for too long.
    pub async fn next(&mut self) -> Result<Option<Happening>, Error> {
        while !self.is_over {
            let event = match self.stream.next().await? {
                Item::Event(event) => event,
                Item::Lost(why) => return Ok(Some(Happening::Lost(why))),
                // Only `end` is an end: a server that stops closes its streams too.
                Item::Closed => match self.stream.lose(self.stream.closed())? {
                    Some(why) => return Ok(Some(Happening::Lost(why))),
                    None => continue,
                },
            };
            if event.name == "end" {
                self.is_over = true;
                let End { status } = self.stream.read(&event)?;
                return Ok(Some(Happening::Ended { status }));
            }
            if event.name == "history" {
                return Ok(Some(Happening::Entry(self.stream.read(&event)?)));
            }
        }
        Ok(None)
    }
}

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its lines, each with its end.
    pub text: Vec<u8>,
    /// The byte after it.
    pub offset: u64,
}

/// A stage's log as it grows.
#[derive(Debug)]
pub struct LogStream {
    stream: Stream,
    execution: String,
    stage: String,
    offset: u64,
    is_over: bool,
}

impl LogStream {
    pub(super) fn new(client: &Client, id: &str, stage: &str, offset: u64) -> Self {
        let segments = ["v1", "executions", id, "stages", stage, "log", "stream"];
        Self {
            stream: Stream::new(client, &segments, offset),
            execution: id.to_owned(),
            stage: stage.to_owned(),
            offset,
            is_over: false,
        }
    }

    /// The next lines; `None` once the stage has ended and all was given.
    ///
    /// # Errors
    /// [`Error`] if the server refuses, or is away for too long.
    pub async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        while !self.is_over {
            match self.stream.next().await? {
                Item::Event(event) if event.name == "end" => break,
                Item::Event(event) => return Ok(Some(self.chunk(event))),
                Item::Lost(_) => {}
                Item::Closed if self.has_ended().await? => break,
                Item::Closed => drop(self.stream.lose(self.stream.closed())?),
            }
        }
        self.rest().await
    }

    fn chunk(&mut self, event: Event) -> Chunk {
        let said = event.id.and_then(|id| id.parse().ok());
        let offset = said.unwrap_or(self.offset + event.data.len() as u64 + 1);
        // An event cannot show whether its last line has an end: it has one if the offset counts
        // more bytes than we see. Bytes that are no UTF-8 came as longer ones.
        let seen = self.offset + event.data.len() as u64;
        let has_end = seen < offset || event.data.contains('\u{fffd}');
        let mut text = event.data.into_bytes();
        if has_end {
            text.push(b'\n');
        }
        self.offset = offset;
        Chunk { text, offset }
    }

    async fn has_ended(&self) -> Result<bool, Error> {
        let execution = self.stream.client.execution(&self.execution).await?;
        Ok(execution.is_over() || execution.stage(&self.stage).is_none_or(|stage| stage.is_over()))
    }

    /// What came between the last event and the end, such as a line without an end; page by page,
    /// until there is no more.
    async fn rest(&mut self) -> Result<Option<Chunk>, Error> {
        self.is_over = true;
        let client = &self.stream.client;
        let text = client.log(&self.execution, &self.stage, self.offset).await?;
        self.offset += text.len() as u64;
        Ok((!text.is_empty()).then_some(Chunk { text, offset: self.offset }))
    }
}

/// Events of one route, over as many connections as it takes.
#[derive(Debug)]
struct Stream {
    client: Client,
    segments: Vec<String>,
    last_id: String,
    connection: Option<Response>,
    parser: Parser,
    failures: u32,
    /// Kept here so that a dropped `next` does not begin the pause again.
    retry_at: Option<Instant>,
}

enum Item {
    Event(Event),
    Lost(String),
    Closed,
}

impl Stream {
    fn new(client: &Client, segments: &[&str], after: u64) -> Self {
        Self {
            client: client.clone(),
            segments: segments.iter().map(|segment| (*segment).to_owned()).collect(),
            last_id: after.to_string(),
            connection: None,
            parser: Parser::default(),
            failures: 0,
            retry_at: None,
        }
    }

    async fn next(&mut self) -> Result<Item, Error> {
        loop {
            if let Some(event) = self.parser.pop() {
                event.id.iter().for_each(|id| id.clone_into(&mut self.last_id));
                return Ok(Item::Event(event));
            }
            match self.advance().await {
                Ok(true) => {}
                Ok(false) => {
                    self.connection = None;
                    return Ok(Item::Closed);
                }
                Err(error) => {
                    if let Some(why) = self.lose(error)? {
                        return Ok(Item::Lost(why));
                    }
                }
            }
        }
    }

    /// Connects, or takes the next bytes; false once the server has closed the stream.
    async fn advance(&mut self) -> Result<bool, Error> {
        let Some(connection) = &mut self.connection else {
            return self.connect().await.map(|()| true);
        };
        let read = timeout(IDLE_TIMEOUT, connection.chunk()).await;
        let read = read.map_err(|_| self.client.too_slow(&self.name(), IDLE_TIMEOUT))?;
        let broken = |error: reqwest::Error| self.client.failure(&self.name(), error.without_url());
        let Some(bytes) = read.map_err(broken)? else { return Ok(false) };
        self.failures = 0;
        self.parser.push(&bytes).map_err(|_| self.foreign("an event without end"))?;
        Ok(true)
    }

    async fn connect(&mut self) -> Result<(), Error> {
        if let Some(at) = self.retry_at {
            sleep_until(at).await;
        }
        let segments: Vec<&str> = self.segments.iter().map(String::as_str).collect();
        let url = self.client.address.of(&segments, &[])?;
        let mut call = self.client.call(Method::GET, url);
        call.request = call
            .request
            .header(header::ACCEPT, "text/event-stream")
            .header("last-event-id", &self.last_id);
        let name = call.name.clone();
        let (_, response) = self.client.within(&name, self.client.send(call)).await?;
        let kind = response.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
            return Err(self.foreign("the answer is no stream of events"));
        }
        self.connection = Some(response);
        self.parser = Parser::default();
        Ok(())
    }

    /// Plans another connection; says why the last one is lost, once.
    fn lose(&mut self, error: Error) -> Result<Option<String>, Error> {
        if !error.is_passing() || self.failures >= FAILURES_MAX {
            return Err(error);
        }
        let pause = RETRY_INTERVAL.saturating_mul(1 << self.failures).min(RETRY_INTERVAL_MAX);
        self.connection = None;
        self.retry_at = Some(Instant::now() + pause);
        self.failures += 1;
        Ok((self.failures == 1).then(|| error.to_string()))
    }

    fn read<T: serde::de::DeserializeOwned>(&self, event: &Event) -> Result<T, Error> {
        serde_json::from_str(&event.data)
            .map_err(|error| self.foreign(&format!("an event is not readable: {error}")))
    }

    fn closed(&self) -> Error {
        Error::Broken { server: self.client.server(), call: self.name(), source: None }
    }

    fn foreign(&self, why: &str) -> Error {
        self.client.foreign(&self.name(), why)
    }

    fn name(&self) -> String {
        format!("GET /{}", self.segments.join("/"))
    }
}
