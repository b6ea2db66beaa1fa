//! `capstan completion`: what a shell needs to complete our words.

use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::args::Cli;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct CompletionArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) const HELP: &str = "\
Examples:
  capstan completion bash > ~/.local/share/bash-completion/completions/capstan
  capstan completion zsh > \"${fpath[1]}/_capstan\"
  capstan completion fish > ~/.config/fish/completions/capstan.fish";

/// Writes the script.
///
/// # Errors
/// If stdout cannot be written to.
pub(crate) fn run(arguments: &CompletionArgs) -> Result<u8> {
    // Not straight to stdout: the generator panics when a pager closes it.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "capstan", &mut script);
    output::write(&script)?;
    Ok(0)
}
