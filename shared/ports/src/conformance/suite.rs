use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

/// The longest that a check may take: a wake-up that was lost is a failure, not a hang.
const CHECK_TIME_MAX: Duration = Duration::from_secs(15);

/// A list of named checks, each of a fresh `S`.
pub struct Suite<S> {
    /// What it is about.
    pub name: &'static str,
    checks: Vec<(&'static str, Check<S>)>,
}

type Check<S> = fn(S) -> BoxFuture<'static, ()>;

impl<S> Suite<S> {
    pub(super) fn new(name: &'static str, checks: Vec<(&'static str, Check<S>)>) -> Self {
        Self { name, checks }
    }

    /// Runs every check.
    ///
    /// # Panics
    /// If any fails, naming all that failed and why.
    pub async fn pass(&self, new: impl AsyncFn() -> S) {
        let failures = self.run(new).await;
        let lines: Vec<String> =
            failures.iter().map(|(check, why)| format!("\n  {check}: {why}")).collect();
        assert!(lines.is_empty(), "{}: {} checks fail:{}", self.name, lines.len(), lines.concat());
    }

    /// Runs every check and names those that fail.
    pub async fn failures(&self, new: impl AsyncFn() -> S) -> Vec<&'static str> {
        self.run(new).await.into_iter().map(|(check, _)| check).collect()
    }

    async fn run(&self, new: impl AsyncFn() -> S) -> Vec<(&'static str, String)> {
        let mut failures = Vec::new();
        for (name, check) in &self.checks {
            let running = AssertUnwindSafe(check(new().await)).catch_unwind();
            let why = match tokio::time::timeout(CHECK_TIME_MAX, running).await {
                Ok(Ok(())) => continue,
                Ok(Err(panic)) => message(panic.as_ref()),
                Err(_) => format!("it did not end within {CHECK_TIME_MAX:?}"),
            };
            failures.push((*name, why));
        }
        failures
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}

/// A suite of async functions, named after them.
macro_rules! suite {
    ($name:literal: $($check:path),+ $(,)?) => {
        $crate::conformance::Suite::new($name, vec![$((
            stringify!($check),
            |subject| Box::pin($check(subject)),
        )),+])
    };
}
pub(super) use suite;
