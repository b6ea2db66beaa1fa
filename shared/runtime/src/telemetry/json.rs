//! Logs as JSON, one flat object a line: `time`, `level`, `target`, `message`, then the fields of the
//! spans around it, outermost first, then its own; of two with one name the inner one counts.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes an event as a line.
pub(super) struct Lines;

impl<S> FormatEvent<S, JsonFields> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let about = event.metadata();
        let mut line = head(about.level().as_str(), about.target(), "");
        for span in context.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let Some(fields) = extensions.get::<FormattedFields<JsonFields>>() else { continue };
            line.extend(serde_json::from_str::<Map<String, Value>>(fields).unwrap_or_default());
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// A line that is no event of the log but stands between those.
pub fn line(level: &str, target: &str, message: &str) -> String {
    Value::Object(head(level, target, message)).to_string()
}

fn head(level: &str, target: &str, message: &str) -> Map<String, Value> {
    let mut time = String::new();
    // A text takes whatever is written to it.
    let _written = SystemTime.format_time(&mut Writer::new(&mut time));
    let fields =
        [("time", time.as_str()), ("level", level), ("target", target), ("message", message)];
    fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect()
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: Value) {
        self.0.insert(field.name().to_owned(), value);
    }
}

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_holds_the_fields_of_the_spans_around_it() {
        let out = Said::default();
        let writer = out.clone();
        let logs = tracing_subscriber::fmt().with_writer(move || writer.clone());
        let logs = logs.json().with_ansi(false).event_format(Lines).finish();
        tracing::subscriber::with_default(logs, || {
            let execution = tracing::info_span!("execution", execution.id = "e", attempt = 0);
            let _in_it = execution.enter();
            let attempt = tracing::info_span!("attempt", stage.ref = %"1", attempt = 2);
            let _in_it = attempt.enter();
            tracing::warn!(why = "line one\nline \"two\"", ratio = 0.5, lost = true, "it failed");
        });
        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Map<String, Value> = serde_json::from_str(&text).unwrap();
        let time = line.remove("time").unwrap();
        assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
        let target = line.remove("target").unwrap();
        assert!(target.as_str().unwrap().starts_with("shared_runtime"), "{target}");
        let rest = serde_json::json!({
            "level": "WARN", "message": "it failed", "execution.id": "e", "stage.ref": "1",
            "attempt": 2, "why": "line one\nline \"two\"", "ratio": 0.5, "lost": true,
        });
        assert_eq!(Value::Object(line), rest);
    }
}
