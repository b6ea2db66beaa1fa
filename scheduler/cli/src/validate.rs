//! `capstan validate`.

use anyhow::Result;
use scheduler::Registry;
use shared_model::Limits;

use crate::args::{Output, ValidateArgs};
use crate::terminal::Terminal;
use crate::{EXIT_USAGE, document, engine, problems, run};

/// Lists everything that is wrong with a document.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn validate(arguments: &ValidateArgs, terminal: &Terminal) -> Result<u8> {
    let limits = Limits::default();
    let Some(document) = document::read(&arguments.file, &limits, terminal)? else {
        return Ok(EXIT_USAGE);
    };
    let registry = Registry::new(engine::descriptors()?);
    let source = &document.source;
    let mut found = scheduler::start::check(&document.value, source.json(), &registry, &limits);
    source.place(&mut found);
    let failed = problems::show(source, &found, terminal);
    if found.is_empty() {
        terminal.say(&format!("{}: nothing is wrong with it", source.name));
    }
    if arguments.output == Output::Json {
        run::print_json(&serde_json::to_value(&found)?)?;
    }
    Ok(if failed { EXIT_USAGE } else { 0 })
}
