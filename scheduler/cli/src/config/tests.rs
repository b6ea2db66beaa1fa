use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use secrecy::ExposeSecret;

use super::*;

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Reads one file, variables and flags, as a role does.
fn read_all(
    role: Role,
    file: Option<&Path>,
    variables: &[(&str, &str)],
    flags: Vec<Given>,
) -> Result<Effective> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let groups = [of_file(file)?, given::of_environment(variables)?, flags];
    merged(Some(role), groups)
}

fn error(role: Role, file: Option<&Path>, variables: &[(&str, &str)]) -> String {
    match read_all(role, file, variables, Vec::new()) {
        Ok(_) => panic!("it was read"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "[worker]\nslots = 1\nname = \"a\"\nlease_ttl = \"20s\"\n[start]\nwait_max = \"5m\"\n";
    let path = file(folder.path(), "capstan.toml", text);
    let variables = [("CAPSTAN__WORKER__SLOTS", "2"), ("CAPSTAN__WORKER__NAME", "7")];
    let flags = vec![Given::flag("--slots", "worker.slots", 3)];
    let Effective { settings, figment } =
        read_all(Role::Worker, Some(&path), &variables, flags).unwrap();
    assert_eq!((settings.worker.slots, settings.worker.name.as_deref()), (3, Some("7")));
    assert_eq!(settings.worker.lease_ttl, SignedDuration::from_secs(20));
    assert_eq!(settings.start.wait_max, SignedDuration::from_mins(5));
    assert_eq!(settings.worker.heartbeat_interval, SignedDuration::from_secs(3));
    let from = |key: &str| figment.find_metadata(key).map(|about| about.name.to_string());
    assert_eq!(from("worker.slots").as_deref(), Some("--slots"));
    assert_eq!(from("worker.name").as_deref(), Some("CAPSTAN__WORKER__NAME"));
    assert_eq!(from("worker.lease_ttl"), Some(path.display().to_string()));
    assert_eq!(from("worker.helm"), None);
}

#[test]
fn lists_maps_and_sections_come_from_every_source() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        "worker:\n  allow_urls: [a]\n  accounts: {prod: one, 'eu.test': two}\namqp:\nstore:\n";
    let path = file(folder.path(), "capstan.yaml", text);
    let variables = [
        ("CAPSTAN__WORKER__ALLOW_URLS", "10.0.0.0/8, *.example.com"),
        ("CAPSTAN__AMQP__URL", "amqp://a"),
        ("CAPSTAN__FLEET__LOCAL_PROVIDER", "true"),
        ("CAPSTAN_SCHEDULER_PORT", "tcp://10.0.0.1:80"),
    ];
    let flags = vec![Given::account("test", "three")];
    let settings = read_all(Role::Worker, Some(&path), &variables, flags).unwrap().settings;
    assert_eq!(settings.worker.allow_urls, ["10.0.0.0/8", "*.example.com"]);
    let accounts: Vec<_> = settings.worker.accounts.into_iter().collect();
    let expected = [("eu.test", "two"), ("prod", "one"), ("test", "three")];
    assert_eq!(accounts, expected.map(|(name, context)| (name.to_owned(), context.to_owned())));
    assert_eq!(settings.amqp.unwrap().url.expose_secret(), "amqp://a");
    assert!(settings.fleet.local_provider && settings.store.is_none());
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "url", "amqp://u:pa55word@h/v\n");
    let shown = secret.to_str().unwrap();
    let text = format!("[amqp]\nurl_file = '{shown}'\n");
    let path = file(folder.path(), "capstan.toml", &text);
    let effective = read_all(Role::Worker, Some(&path), &[], Vec::new()).unwrap();
    let url = effective.settings.amqp.unwrap().url;
    assert_eq!(url.expose_secret(), "amqp://u:pa55word@h/v");
    let from = effective.figment.find_metadata("amqp.url").unwrap().name.to_string();
    assert_eq!(from, format!("{shown}, which {} names", path.display()));
    // What is said later wins, in whichever of the two ways.
    let by_variable = [("CAPSTAN__AMQP__URL", "amqp://other")];
    let settings = read_all(Role::Worker, Some(&path), &by_variable, Vec::new()).unwrap().settings;
    assert_eq!(settings.amqp.unwrap().url.expose_secret(), "amqp://other");
    let twice = [("CAPSTAN__AMQP__URL", "amqp://x"), ("CAPSTAN__AMQP__URL_FILE", shown)];
    let text = error(Role::Worker, None, &twice);
    assert!(text.contains("there is `amqp.url`, and there is `amqp.url_file`"), "{text}");
    let gone = [("CAPSTAN__AMQP__URL_FILE", "/nowhere")];
    assert!(
        error(Role::Worker, None, &gone).contains("`/nowhere` of `amqp.url_file` cannot be read")
    );
    let empty = file(folder.path(), "empty", "\n");
    let empty = [("CAPSTAN__AMQP__URL_FILE", empty.to_str().unwrap())];
    assert!(error(Role::Worker, None, &empty).contains("is empty; write the secret into it"));
}

#[test]
fn each_role_ignores_what_only_another_needs() {
    let folder = tempfile::tempdir().unwrap();
    let text = "store: {url_file: /nowhere}\nworker: {slots: -1}\n";
    let path = file(folder.path(), "capstan.yaml", text);
    let of = |role| read_all(role, Some(&path), &[], Vec::new());
    let wrong = of(Role::Worker).err().unwrap().to_string();
    assert!(wrong.contains("`worker.slots` cannot be used"), "{wrong}");
    let wrong = of(Role::Scheduler).err().unwrap().to_string();
    assert!(wrong.contains("`store.url_file` cannot be read"), "{wrong}");
}

#[test]
fn a_key_that_is_not_known_is_named_with_its_place_and_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "capstan.toml", "[worker]\nslot = 1\n");
    let text = error(Role::Worker, Some(&path), &[]);
    assert!(
        text.contains("capstan.toml: there is no setting `worker.slot`; is `slots` meant?"),
        "{text}"
    );
    for (name, why) in [
        ("CAPSTAN__WROKER__SLOTS", "no setting `wroker.slots`; is `worker` meant?"),
        ("CAPSTAN__WORKER__ZZZ", "no setting `worker.zzz`; there are `name`, "),
        ("CAPSTAN__WORKER", "`worker` is a section; it has `name`, "),
        ("CAPSTAN__WORKER__SLOTS__MORE", "no setting `worker.slots.more`"),
        ("CAPSTAN__WORKER__NAME_FILE", "no setting `worker.name_file`"),
    ] {
        let text = error(Role::Scheduler, None, &[(name, "1")]);
        assert!(text.starts_with(name) && text.contains(why), "{text}");
    }
}

#[test]
fn a_value_that_is_none_is_named_and_a_secret_never_shown() {
    for (name, value, why) in [
        ("CAPSTAN__WORKER__SLOTS", "many", "`worker.slots` cannot be used"),
        ("CAPSTAN__START__WAIT_MAX", "soon", "`start.wait_max` cannot be used"),
        ("CAPSTAN__WORKER__LISTEN", "here", "`worker.listen` cannot be used"),
        ("CAPSTAN__LOG__FORMAT", "xml", "`log.format` cannot be used"),
        ("CAPSTAN__REDIS__PREFIX", "p", "`redis.url` is not set"),
    ] {
        let text = error(Role::Worker, None, &[(name, value)]);
        assert!(text.contains(why), "{text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path =
        file(folder.path(), "capstan.yaml", "redis: {url: redis://a, sentinel_password: 5577}\n");
    let text = error(Role::Worker, Some(&path), &[]);
    assert!(text.contains("`redis.sentinel_password` is no text"), "{text}");
    assert!(!text.contains("5577"), "{text}");
}

#[test]
fn a_file_that_cannot_be_read_says_where_without_its_content() {
    let folder = tempfile::tempdir().unwrap();
    let toml = file(folder.path(), "a.toml", "[amqp]\nurl = \"pa55word\nx = 1\n");
    let yaml = file(folder.path(), "a.yaml", "amqp:\n  url: \"pa55word\n");
    let list = file(folder.path(), "b.yaml", "- 1\n");
    let other = file(folder.path(), "a.ini", "");
    for (path, why) in [
        (&toml, "a.toml`:2 is not TOML"),
        (&yaml, "is not YAML"),
        (&list, "holds no sections"),
        (&other, "neither TOML nor YAML by its name"),
        (&folder.path().join("none.toml"), "cannot be read"),
    ] {
        let text = error(Role::Worker, Some(path), &[]);
        assert!(text.contains(why) && !text.contains("pa55word"), "{text}");
    }
    let empty = file(folder.path(), "c.yaml", "# nothing yet\n");
    assert!(read_all(Role::Worker, Some(&empty), &[], Vec::new()).is_ok());
}

#[test]
fn every_default_is_what_it_was_read_from() {
    // What is shown can be read again, but for secrets.
    let shown = serde_json::to_value(Settings::default()).unwrap();
    let again: Settings = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!(serde_json::to_value(again).unwrap(), shown);
    assert_eq!(shown["worker"]["lease_ttl"], "15s");
}
