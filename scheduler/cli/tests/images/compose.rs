//! The compose file, as far as it is about our own services.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Output};

use serde_json::Value;
use shared_testkit::env;

/// One of its services.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) settings: Value,
}

/// Our services, with the variables of the `.env` file in their places.
pub(crate) fn services(variables: &[(&str, &str)]) -> Vec<Service> {
    let path = env::checkout().join("scheduler/packaging/compose/compose.yaml");
    let mut text = std::fs::read_to_string(path).unwrap();
    for (name, value) in variables {
        for default in [":?", ":-./artifacts"] {
            text = text.replace(&format!("${{{name}{default}}}"), value);
        }
    }
    let file: Value = serde_saphyr::from_str(&text).unwrap();
    let services = file["services"].as_object().unwrap().clone().into_iter();
    let services = services.map(|(name, settings)| Service { name, settings });
    services.filter(Service::is_ours).collect()
}

impl Service {
    fn is_ours(&self) -> bool {
        self.name.starts_with("scheduler-") || self.name.starts_with("worker-")
    }

    pub(crate) fn role(&self) -> &str {
        self.settings["command"][0].as_str().unwrap()
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.settings["environment"].clone()).unwrap()
    }

    /// A list of texts.
    pub(crate) fn list(&self, key: &str) -> Vec<String> {
        serde_json::from_value(self.settings[key].clone()).unwrap()
    }
}

/// What `docker-compose` makes of the file with a copy of `env.example` that is filled in so far.
fn compose(variables: &[(&str, &str)], args: &[&str]) -> Output {
    let folder = env::checkout().join("scheduler/packaging/compose");
    let own = tempfile::tempdir().unwrap();
    let filled = own.path().join("env");
    let mut text = std::fs::read_to_string(folder.join("env.example")).unwrap();
    // Of two lines for one variable the last one counts.
    variables.iter().for_each(|(name, value)| writeln!(text, "{name}={value}").unwrap());
    std::fs::write(&filled, text).unwrap();
    let mut command = Command::new("docker-compose");
    command.arg("--env-file").arg(&filled).arg("-f").arg(folder.join("compose.yaml")).args(args);
    command.output().unwrap()
}

#[test]
fn compose_takes_the_file_once_its_variables_are_filled_in() {
    let empty = compose(&[], &["config", "--quiet"]);
    let said = String::from_utf8_lossy(&empty.stderr).into_owned();
    assert!(!empty.status.success() && said.contains("CAPSTAN_PASSWORD"), "{said}");
    let images = ["POSTGRESQL_IMAGE", "RABBITMQ_IMAGE", "REDIS_IMAGE", "MINIO_IMAGE"];
    let mut filled = images.map(|name| (name, "an-image")).to_vec();
    let token = "t".repeat(32);
    filled.extend([("CAPSTAN_PASSWORD", "letters"), ("CAPSTAN_TOKEN", token.as_str())]);
    let listed = compose(&filled, &["config", "--services"]);
    assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in ["scheduler-1", "scheduler-2", "worker-1", "worker-2", "worker-3", "postgresql"] {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
    }
}
