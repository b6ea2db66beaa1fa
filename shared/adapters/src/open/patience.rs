//! Waits for servers that are not there yet.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::OpenError;
use crate::backoff::Backoff;

/// How long servers that are not there yet are waited for, all together, and who is told.
pub struct Patience {
    until: Option<Instant>,
    /// What was told already.
    told: Vec<String>,
    tell: Box<dyn FnMut(&str) + Send>,
}

impl Patience {
    /// Waits for nothing.
    pub fn none() -> Self {
        Self { until: None, told: Vec::new(), tell: Box::new(|_| ()) }
    }

    /// Waits for so long from now on; each cause is told once.
    pub fn of(wait_max: Duration, tell: impl FnMut(&str) + Send + 'static) -> Self {
        let until = Some(Instant::now() + wait_max);
        Self { until, told: Vec::new(), tell: Box::new(tell) }
    }

    /// Opens something, again and again as long as waiting may help.
    ///
    /// # Errors
    /// The last error, if waiting does not help, or did not.
    pub async fn open<T, F>(&mut self, mut open: impl FnMut() -> F) -> Result<T, OpenError>
    where
        F: Future<Output = Result<T, OpenError>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let error = match open().await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            let turn = Instant::now() + backoff.next();
            if !error.may_pass() || self.until.is_none_or(|until| turn > until) {
                return Err(error);
            }
            self.tell_once(&error);
            sleep(turn.saturating_duration_since(Instant::now())).await;
        }
    }

    fn tell_once(&mut self, error: &OpenError) {
        let text = chain(error);
        if !self.told.contains(&text) {
            (self.tell)(&text);
            self.told.push(text);
        }
    }
}

impl std::fmt::Debug for Patience {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Patience").field("until", &self.until).finish_non_exhaustive()
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _never_fails = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use shared_ports::PortError;

    use super::*;

    fn away(tries: u32) -> OpenError {
        let source = format!("refused {}", tries / 3).into();
        PortError::Unavailable { doing: "connecting".to_owned(), source }.into()
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_waited_for_and_told_once() {
        let told: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&told);
        let note = move |text: &str| noted.lock().unwrap().push(text.to_owned());
        let mut patience = Patience::of(Duration::from_secs(60), note);
        let mut tries = 0;
        let opened = patience.open(|| {
            tries += 1;
            std::future::ready(if tries > 6 { Ok(tries) } else { Err(away(tries)) })
        });
        assert_eq!(opened.await.unwrap(), 7);
        let told = told.lock().unwrap();
        let expected = ["refused 0", "refused 1", "refused 2"];
        let expected = expected.map(|cause| format!("connecting failed for now: {cause}"));
        assert_eq!(*told, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_has_an_end_and_what_cannot_pass_has_none() {
        let began = Instant::now();
        let mut patience = Patience::of(Duration::from_secs(60), |_| ());
        let late = patience.open(|| std::future::ready(Err::<(), _>(away(0)))).await;
        assert!(late.is_err() && began.elapsed() > Duration::from_secs(50));
        let refused = || PortError::Refused { doing: "a".to_owned(), why: "b".to_owned() };
        let mut tries = 0;
        let mut patience = Patience::of(Duration::from_secs(60), |_| ());
        let at_once = patience.open(|| {
            tries += 1;
            std::future::ready(Err::<(), _>(refused().into()))
        });
        assert!(at_once.await.is_err());
        assert_eq!(tries, 1);
    }
}
