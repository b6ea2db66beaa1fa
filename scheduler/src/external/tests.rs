use std::io;
use std::process::Command;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use shared_adapters::SystemClock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::*;
use crate::fleet::{Config, Pool};

const OPENSSL: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = DNS:capstan.cd.svc
";

/// Metrics that are served, and everything that a client needs.
struct Scene {
    folder: TempDir,
    address: SocketAddr,
    _supervisor: Supervisor,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("openssl.cnf"), OPENSSL).unwrap();
        for authority in ["ca", "front", "stranger"] {
            make(&folder, authority, "authority", None);
        }
        make(&folder, "server", "leaf", Some("ca"));
        make(&folder, "proxy", "leaf", Some("front"));
        make(&folder, "other", "leaf", Some("stranger"));
        let ports = shared_adapters::memory::ports(Arc::new(SystemClock::default()), 100);
        let supervisor = Supervisor::new();
        let policy = scheduler_engine::autoscale::Policy { workers_min: 2, ..Default::default() };
        let bake = shared_model::Capability::new("bake.helm");
        let pool = Pool { name: "bakers".into(), capabilities: vec![bake], policy: Some(policy) };
        let fleet = Config { pools: vec![pool], ..Config::default() };
        let config = crate::Config { fleet, ..crate::Config::default() };
        let scheduler = Scheduler::start(config, ports, Vec::new(), &supervisor).await.unwrap();
        let config = external(&folder);
        let served = serve(scheduler, &config, &supervisor).await;
        Self { folder, address: served.unwrap(), _supervisor: supervisor }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Asks as whoever has this certificate.
    async fn get(&self, who: Option<&str>, path: &str) -> io::Result<(u16, Value)> {
        let _any = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.file("ca.crt")).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match who {
            None => config.with_no_client_auth(),
            Some(name) => {
                let own = CertificateDer::from_pem_file(self.file(&format!("{name}.crt")));
                let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}.key")));
                config.with_client_auth_cert(vec![own.unwrap()], key.unwrap()).unwrap()
            }
        };
        let stream = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("capstan.cd.svc").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok((status, serde_json::from_str(body).unwrap()))
    }

    async fn values(&self, more: &str) -> (u16, Value) {
        let path = format!("/apis/{GROUP_VERSION}/namespaces/cd/{more}");
        self.get(Some("proxy"), &path).await.unwrap()
    }
}

fn make(folder: &TempDir, name: &str, kind: &str, authority: Option<&str>) {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-config", "openssl.cnf", "-newkey", "ec", "-noenc"]);
    command.args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", &format!("/CN={name}")]);
    command.args(["-extensions", kind, "-keyout", &format!("{name}.key")]);
    command.args(["-out", &format!("{name}.crt")]).current_dir(folder.path());
    if let Some(by) = authority {
        command.args(["-CA", &format!("{by}.crt"), "-CAkey", &format!("{by}.key")]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn external(folder: &TempDir) -> ExternalMetrics {
    let file = |name| folder.path().join(name);
    ExternalMetrics {
        listen: ([127, 0, 0, 1], 0).into(),
        cert_file: file("server.crt"),
        key_file: file("server.key"),
        client_ca_file: file("front.crt"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metric_is_found_and_its_values_by_their_labels() {
    let scene = Scene::new().await;
    let group = format!("/apis/{GROUP_VERSION}");
    let (status, found) = scene.get(Some("proxy"), &group).await.unwrap();
    assert_eq!((status, &found["resources"][0]["name"]), (200, &NAME.into()));
    let (status, found) = scene.values(NAME).await;
    assert_eq!((status, &found["kind"]), (200, &"ExternalMetricValueList".into()));
    let one = &found["items"][0];
    assert_eq!((&one["metricLabels"], &one["value"]), (&json!({"pool": "bakers"}), &"2".into()));
    let at: jiff::Timestamp = one["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(at > jiff::Timestamp::UNIX_EPOCH);
    let count = async |selector: &str| {
        let (status, found) = scene.values(&format!("{NAME}?labelSelector={selector}")).await;
        assert_eq!(status, 200, "{found}");
        found["items"].as_array().unwrap().len()
    };
    assert_eq!(count("pool%3Dbakers").await, 1);
    assert_eq!(count("pool%20in%20%28bakers%2Cothers%29").await, 1);
    assert_eq!(count("pool%3Dothers").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_as_kubernetes_says_it() {
    let scene = Scene::new().await;
    let (status, found) = scene.values("cpu").await;
    assert_eq!((status, &found["kind"], &found["code"]), (404, &"Status".into(), &404.into()));
    let (status, found) = scene.values(&format!("{NAME}?labelSelector=%21pool")).await;
    assert_eq!((status, &found["reason"]), (400, &"BadRequest".into()));
    assert_eq!(scene.get(Some("proxy"), "/apis").await.unwrap().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_front_proxy_gets_a_word() {
    let scene = Scene::new().await;
    let path = format!("/apis/{GROUP_VERSION}");
    for stranger in [None, Some("other")] {
        assert!(scene.get(stranger, &path).await.is_err(), "{stranger:?}");
    }
    assert!(scene.get(Some("proxy"), &path).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let scene = Scene::new().await;
    let path = format!("/apis/{GROUP_VERSION}");
    std::fs::write(scene.file("front.crt"), "nothing").unwrap();
    assert!(scene.get(Some("proxy"), &path).await.is_ok(), "that of before");
    std::fs::copy(scene.file("stranger.crt"), scene.file("front.crt")).unwrap();
    assert!(scene.get(Some("proxy"), &path).await.is_err(), "the authority is another now");
    assert!(scene.get(Some("other"), &path).await.is_ok());
}

#[test]
fn a_file_that_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.key"), "nothing").unwrap();
    let error = Handshakes::new(Keys::of(&external(&folder))).err().unwrap();
    assert!(error.to_string().ends_with("server.key is no PEM file with a private key"), "{error}");
}
