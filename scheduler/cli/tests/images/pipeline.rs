//! A pipeline through two schedulers and three workers, each in a container.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use shared_testkit::env;
use shared_testkit::stack::{Management, sql};

use crate::compose::services;
use crate::container::Container;
use crate::ended::run;
use crate::file::file;
use crate::image::Images;
use crate::process::capstan;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// The servers of the test stack in the place of those of the compose file, in places of their own.
fn servers(role: &str) -> BTreeMap<String, String> {
    let place = place();
    let (key, secret) = env::s3_keys();
    let postgres = env::postgres_url();
    let mut changes = vec![
        ("CAPSTAN__AMQP__URL", env::amqp_url().replace("%2f", &place)),
        ("CAPSTAN__REDIS__URL", env::redis_url()),
        ("CAPSTAN__REDIS__PREFIX", place.clone()),
        ("CAPSTAN__BLOBS__URL", format!("s3://{}/{place}", env::s3_bucket())),
        ("CAPSTAN__BLOBS__OPTIONS__ENDPOINT", env::s3_endpoint()),
        ("CAPSTAN__BLOBS__OPTIONS__ACCESS_KEY_ID", key),
        ("CAPSTAN__BLOBS__OPTIONS__SECRET_ACCESS_KEY", secret),
    ];
    if role == "scheduler" {
        let store = format!("{}/{place}", postgres.rsplit_once('/').unwrap().0);
        changes.push(("CAPSTAN__STORE__URL", store));
        // All containers have one network here.
        changes.push(("CAPSTAN__API__LISTEN", "127.0.0.1:0".to_owned()));
    }
    changes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn place() -> String {
    format!("images_{}", std::process::id())
}

/// A virtual host and a database, which go with the test.
struct Place;

impl Place {
    fn make() -> Self {
        Management::at(&env::rabbitmq_management_url()).make_vhost(&place()).unwrap();
        sql(&env::postgres_url(), &format!("CREATE DATABASE {}", place())).unwrap();
        Self
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let management = Management::at(&env::rabbitmq_management_url());
        let _gone = management.request("DELETE", &format!("/api/vhosts/{}", place()), "");
        let drop = format!("DROP DATABASE {} WITH (FORCE)", place());
        let _gone = sql(&env::postgres_url(), &drop);
    }
}

/// A pipeline that bakes a chart of the artifacts' folder.
fn bakes() -> Value {
    let chart = json!({ "type": "local/file", "name": "shop", "reference": "shop" });
    let matched = json!({ "type": "embedded/base64", "name": "shop" });
    json!({ "application": "shop", "name": "bakes", "stages": [
        { "refId": "1", "type": "bakeManifest", "name": "Bake", "templateRenderer": "HELM3",
          "outputName": "shop", "inputArtifacts": [{ "artifact": chart }],
          "expectedArtifacts": [{ "id": "m", "matchArtifact": matched }] },
        { "refId": "2", "type": "wait", "name": "Wait", "waitTime": 1, "requisiteStageRefIds": ["1"] },
    ]})
}

#[test]
fn a_pipeline_runs_through_the_images_as_compose_starts_them() {
    let images = Images::build();
    for (tag, command) in [(&images.scheduler, "[scheduler]"), (&images.worker, "[worker]")] {
        assert_eq!(
            Images::says(tag, "{{.Config.User}} {{.Config.Cmd}}"),
            format!("65532:65532 {command}")
        );
    }
    let size = |tag| Images::says(tag, "{{.Size}}").parse::<u64>().unwrap() / 1_000_000;
    println!("MB: scheduler {}, worker {}", size(&images.scheduler), size(&images.worker));
    let _place = Place::make();
    let (mut schedulers, mut workers) = (Vec::new(), Vec::new());
    let charts = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/charts");
    let variables = [
        ("CAPSTAN_PASSWORD", "secret"),
        ("CAPSTAN_TOKEN", TOKEN),
        ("CAPSTAN_ARTIFACTS", charts.to_str().unwrap()),
    ];
    for service in services(&variables) {
        let role = service.role().to_owned();
        let (image, list) = match role.as_str() {
            "scheduler" => (&images.scheduler, &mut schedulers),
            _ => (&images.worker, &mut workers),
        };
        list.push(Container::start(&service, image, &servers(&role)));
    }
    assert_eq!((schedulers.len(), workers.len()), (2, 3));
    let urls: Vec<_> = schedulers.iter().map(|one| format!("http://{}", one.address())).collect();
    workers.iter().for_each(|worker| drop(worker.address()));
    let folder = tempfile::tempdir().unwrap();
    let document = file(folder.path(), "bakes.json", &bakes().to_string());
    let command = |scheduler: usize, words: &[&str]| {
        let mut command = capstan();
        command.env("CAPSTAN_SERVER", &urls[scheduler]).env("CAPSTAN_TOKEN", TOKEN);
        run(command.args(words))
    };
    command(0, &["pipeline", "save", document.to_str().unwrap()]).expect(0, &[]);
    let ended = command(1, &["pipeline", "execute", "-a", "shop", "bakes", "--watch"]);
    ended.expect(0, &["bakes: SUCCEEDED"]);
    for container in workers.iter().chain(&schedulers) {
        assert_eq!(container.stop(), "0", "{}", container.said());
        assert!(!container.said().contains(TOKEN), "a secret is in the log");
    }
}
