//! A collector of spans on a port of its own: OTLP over HTTP, byte by byte.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::process::wait_for;

/// What it does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Takes it.
    Takes,
    /// Reads it and never answers.
    Hangs,
}

/// It ends with the process of the test.
pub(crate) struct Collector {
    pub(crate) url: String,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&bodies);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                let body = receive(&stream);
                if manner == Manner::Hangs {
                    held.push(stream);
                    continue;
                }
                taken.lock().unwrap().extend(body);
                let _gone = (&stream).write_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        });
        Self { url, bodies }
    }

    /// Everything that came, as it came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bodies.lock().unwrap().concat()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let bodies = self.bodies.lock().unwrap();
        bodies.iter().map(|body| ExportTraceServiceRequest::decode(&body[..]).unwrap()).collect()
    }

    /// What the sender says of itself.
    pub(crate) fn resource(&self, name: &str) -> Option<String> {
        let requests = self.requests();
        let resources = requests.iter().flat_map(|request| &request.resource_spans);
        let mut attributes =
            resources.filter_map(|spans| spans.resource.as_ref()).flat_map(|all| &all.attributes);
        let found = attributes.find(|attribute| attribute.key == name)?;
        text(found.value.as_ref()?.value.as_ref()?)
    }

    /// Every span of an execution's trace, once a span of such a name is among them.
    pub(crate) fn wait_for(&self, name: &str) -> Vec<Seen> {
        self.wait_for_each(&[name])
    }

    /// Every span, once one of each name came: processes send theirs when they like.
    pub(crate) fn wait_for_each(&self, names: &[&str]) -> Vec<Seen> {
        wait_for(&format!("the spans {names:?}"), || {
            let spans = self.spans();
            let came = |name: &&str| spans.iter().any(|span| span.name == **name);
            names.iter().all(came).then_some(spans)
        })
    }

    pub(crate) fn spans(&self) -> Vec<Seen> {
        let requests = self.requests();
        let groups = requests.into_iter().flat_map(|request| request.resource_spans);
        let scopes = groups.flat_map(|group| group.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(Seen::of).collect()
    }
}

/// A span that came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) name: String,
    pub(crate) nanoseconds: (u64, u64),
    attributes: Vec<(String, String)>,
}

impl Seen {
    fn of(span: Span) -> Self {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let attributes = span
            .attributes
            .into_iter()
            .filter_map(|attribute| Some((attribute.key, text(attribute.value?.value.as_ref()?)?)));
        Self {
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            name: span.name,
            nanoseconds: (span.start_time_unix_nano, span.end_time_unix_nano),
            attributes: attributes.collect(),
        }
    }

    /// An attribute as text; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    }
}

/// The only span of a name.
#[track_caller]
pub(crate) fn one<'a>(spans: &'a [Seen], name: &str) -> &'a Seen {
    let found: Vec<&Seen> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "`{name}` in {spans:#?}");
    found[0]
}

/// That every span stands in one trace, below another of it or below the caller.
#[track_caller]
pub(crate) fn expect_one_trace(spans: &[Seen], caller: &str) {
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "a span came twice: {spans:#?}");
    for span in spans {
        assert_eq!(span.trace, spans[0].trace, "{spans:#?}");
        let is_known = span.parent == caller || ids.contains(span.parent.as_str());
        assert!(is_known, "{} has no parent in {spans:#?}", span.name);
        assert!(span.nanoseconds.0 <= span.nanoseconds.1, "{span:?}");
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        Value::DoubleValue(_)
        | Value::ArrayValue(_)
        | Value::KvlistValue(_)
        | Value::BytesValue(_)
        | Value::StringValueStrindex(_) => None,
    }
}

/// The body of a request for spans.
fn receive(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut lines) = (0, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        lines += 1;
        if lines == 1 {
            assert!(line.starts_with("POST /v1/traces "), "{line}");
        }
        let Some((name, value)) = line.trim().split_once(": ") else {
            if lines > 1 {
                break;
            }
            continue;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().ok()?,
            "content-type" => assert_eq!(value, "application/x-protobuf"),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}
