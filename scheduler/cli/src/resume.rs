//! The command that goes on with a run: with all that the first one was told, so that it can be pasted.

use std::path::Path;

use crate::args::{Output, RunArgs};
use crate::say::quoted;

/// What to type to go on with what is in the data folder.
pub(crate) fn command(arguments: &RunArgs) -> String {
    // As it was called: it need not be on the PATH.
    let program = std::env::args_os().next().unwrap_or_else(|| "capstan".into());
    let program = program.to_string_lossy().into_owned();
    let mut words = vec![program, "run".into(), "--resume".into()];
    words.extend(options(arguments));
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

fn options(arguments: &RunArgs) -> Vec<String> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let engine = &arguments.engine;
    let mut words = vec!["--data-dir".into(), path(&engine.data_dir)];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(file) = engine.kubeconfig() {
        option("--kubeconfig", path(&file));
    }
    for (name, context) in &engine.accounts {
        option("--account", format!("{name}={context}"));
    }
    if let Some(root) = &engine.artifacts_root {
        option("--artifacts-root", path(root));
    }
    if engine.helm != "helm" {
        option("--helm", engine.helm.clone());
    }
    for entry in &engine.allow_urls {
        option("--allow-url", entry.to_string());
    }
    if engine.packer != "packer" {
        option("--packer", engine.packer.clone());
    }
    if let Some(recipes) = &engine.recipes {
        option("--recipes", path(recipes));
    }
    if let Some(host) = engine.docker_host() {
        option("--docker-host", host.to_string_lossy().into_owned());
    }
    for name in &engine.packer_env {
        option("--packer-env", name.clone());
    }
    if let Some(folder) = &engine.secrets_dir {
        option("--secrets-dir", path(folder));
    }
    for name in &engine.secret_env {
        option("--secret-env", name.clone());
    }
    if arguments.output == Output::Json {
        option("-o", "json".into());
    }
    words
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[test]
    fn what_the_first_run_was_told_is_told_again() {
        let told = "--data-dir d --kubeconfig k --account a=b --artifacts-root r --helm ./h \
                    --allow-url *.x:80 --allow-url 10.0.0.0/8 --packer ./p --recipes c \
                    --docker-host unix:///s --packer-env A --secrets-dir s --secret-env B -o json";
        let words = "capstan run p.json -p x=1".split(' ').chain(told.split(' '));
        let Command::Run(arguments) = Cli::parse_from(words).command else { panic!("no run") };
        assert_eq!(options(&arguments).join(" "), told);
    }
}
