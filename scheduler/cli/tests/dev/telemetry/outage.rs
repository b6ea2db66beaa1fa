//! A collector that hangs, or is not there, costs spans and nothing else.

use std::time::{Duration, Instant};

use super::collector::{Collector, Manner};
use super::exposition::read;
use super::scene::{Scene, ended, quick, start};
use crate::dev::Dev;
use crate::http;

/// Executions whose time is taken.
const EXECUTIONS: usize = 150;
/// How long a stop may take although nobody takes the last spans; what they wait is a part of it.
const STOP_MAX: Duration = Duration::from_secs(10);

fn run(dev: &Dev) -> Duration {
    let began = Instant::now();
    let ids: Vec<String> =
        (0..EXECUTIONS).map(|n| start(dev, "", &quick(&format!("p{n}")))).collect();
    for id in &ids {
        assert_eq!(ended(dev, id)["status"], "SUCCEEDED");
    }
    began.elapsed()
}

fn dropped(dev: &Dev) -> f64 {
    let (_, _, body) = http::send_with(&dev.address, "GET", "/metrics", "", "").unwrap();
    let metrics = read(&body);
    let family = metrics.get("capstan_telemetry_spans_dropped_total");
    family.map_or(0.0, |family| family.series.values().sum())
}

#[test]
fn nobody_waits_for_a_collector() {
    let alone = run(&Scene::new().start(&[], &[]));
    let collector = Collector::start(Manner::Hangs);
    // Nothing listens on a port that was given back.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (name, url) in [("hangs", collector.url.clone()), ("is gone", format!("http://{gone}"))] {
        let scene = Scene::new();
        let dev = scene.start(
            &[],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", &url), ("OTEL_BSP_MAX_QUEUE_SIZE", "64")],
        );
        let took = run(&dev);
        println!(
            "{EXECUTIONS} executions: {alone:?} without a collector, {took:?} while it {name}"
        );
        assert!(took < alone * 3 + Duration::from_secs(2), "it {name}: {took:?}, else {alone:?}");
        if name == "hangs" {
            assert!(dropped(&dev) > 0.0, "spans are counted that did not fit");
        }
        let began = Instant::now();
        assert_eq!(dev.end("-TERM"), Some(0));
        assert!(began.elapsed() < STOP_MAX, "it {name}: a stop took {:?}", began.elapsed());
    }
}
