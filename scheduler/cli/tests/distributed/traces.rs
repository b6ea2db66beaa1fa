//! One execution is one trace through RabbitMQ, from the call to the tool, whichever worker dies.

use crate::collector::{Collector, Manner, expect_one_trace, one};
use crate::documents::bake;
use crate::http::send_with;
use crate::server::Server;

const CALLER_TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER_SPAN: &str = "00f067aa0ba902b7";

#[test]
fn an_execution_is_one_trace_over_a_takeover() {
    let collector = Collector::start(Manner::Takes);
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_BSP_SCHEDULE_DELAY", "50"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut server = Server::start_within(variables.to_vec(), |_| ());
    server.file("hold", "");
    let header = format!("traceparent: 00-{CALLER_TRACE}-{CALLER_SPAN}-01\r\n");
    let address = server.url.trim_start_matches("http://");
    let sent = send_with(address, "POST", "/pipelines/start", &header, &bake().to_string());
    let (status, _, answer) = sent.unwrap();
    assert_eq!(status, 202, "{answer}");
    let killed = server.who_bakes();
    server.workers[killed].kill();
    server.workers.remove(killed);
    server.who_bakes();
    std::fs::remove_file(server.folder.path().join("hold")).unwrap();
    collector.wait_for_each(&["run helm", "RUN bake"]);
    // Told when they end, a worker sends what it still has.
    for worker in server.workers.drain(..) {
        worker.signal("-TERM");
        assert_eq!(worker.ended(), Some(0));
    }
    let spans = collector.spans();
    expect_one_trace(&spans, CALLER_SPAN);

    let call = one(&spans, "POST /pipelines/start");
    assert_eq!((call.trace.as_str(), call.parent.as_str()), (CALLER_TRACE, CALLER_SPAN));
    let execution = one(&spans, "RUN bake");
    let stage = one(&spans, "Bake");
    assert_eq!((&execution.parent, &stage.parent), (&call.id, &execution.id));
    let below = |outcome: &'static str| {
        let attempts = spans.iter().filter(|span| span.parent == stage.id);
        attempts.filter(move |span| span.get("capstan.attempt.outcome") == outcome)
    };
    let lost: Vec<_> = below("lost").collect();
    assert_eq!(lost.len(), 1, "the killed worker's, told by a scheduler: {spans:#?}");
    let helm = one(&spans, "run helm");
    let attempt = below("succeeded").find(|attempt| attempt.id == helm.parent);
    let attempt =
        attempt.unwrap_or_else(|| panic!("helm ran below none that succeeded: {spans:#?}"));
    assert_eq!(attempt.get("capstan.attempt.number"), "1", "a takeover spends no attempt");
    assert_ne!(attempt.id, lost[0].id);
    assert_eq!(helm.get("process.exit.code"), "0");
}
