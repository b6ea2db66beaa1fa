//! `capstan config show`, and settings that a role refuses before it does anything.

use serde_json::Value;

use crate::ended::run;
use crate::file::file;
use crate::process::capstan;

#[test]
fn every_setting_is_shown_with_its_origin_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", "redis://:pa55word@h\n");
    let text = format!(
        "[amqp]\nurl = 'amqp://u:pa55word@h/v'\n[redis]\nurl_file = '{}'\n[worker]\nslots = 2\n\
         lease_ttl = '20s'\n",
        secret.display()
    );
    let config = file(folder.path(), "capstan.toml", &text);
    let mut command = capstan();
    command.args(["config", "show", "--role", "worker", "-o", "json", "--set", "worker.name=w"]);
    command.arg("--config").arg(&config).env("CAPSTAN__WORKER__SLOTS", "3");
    let ended = run(&mut command);
    ended.expect(0, &[]);
    assert!(!ended.out.contains("pa55word") && !ended.err.contains("pa55word"));
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    let config = config.display().to_string();
    let from_file = format!("{}, which {config} names", secret.display());
    for (key, value, from) in [
        ("amqp.url", "***", config.as_str()),
        ("redis.url", "***", &from_file),
        ("worker.name", "w", "--set"),
        ("worker.lease_ttl", "20s", &config),
        ("worker.heartbeat_interval", "3s", "default"),
    ] {
        assert_eq!(shown[key]["value"], value, "{key}");
        assert_eq!(shown[key]["from"], from, "{key}");
    }
    assert_eq!(shown["worker.slots"]["value"], 3);
    assert_eq!(shown["worker.slots"]["from"], "CAPSTAN__WORKER__SLOTS");
    assert!(shown.get("api.listen").is_none() && shown.get("store").is_none());
    let all = run(capstan().args(["config", "show"]));
    assert!(all.out.starts_with("KEY ") && all.out.contains("api.listen"), "{}", all.out);
}

#[test]
fn what_cannot_be_is_refused_by_every_command_that_reads_it() {
    for words in [&["config", "show"][..], &["scheduler"], &["worker"]] {
        let mut command = capstan();
        run(command.args(words).env("CAPSTAN__AMPQ__URL", "amqp://u:pa55word@h"))
            .expect(2, &["CAPSTAN__AMPQ__URL: there is no setting `ampq.url`; is `amqp` meant?"]);
        let mut command = capstan();
        run(command.args(words).args(["--config", "nowhere.toml"]))
            .expect(2, &["the configuration file `nowhere.toml` cannot be read"]);
    }
}
