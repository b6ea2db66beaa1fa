//! The compose file, as far as it is about our own services.

use std::collections::BTreeMap;

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
