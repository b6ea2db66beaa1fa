use serde_json::json;

use super::*;

fn refused(manifest: Value, code: u16, said: &str) -> ApplyFailure {
    let status: Status = serde_json::from_value(json!({"code": code, "message": said})).unwrap();
    of_status("prod", &Manifest { value: manifest }, "applying", &status)
}

#[test]
fn a_cluster_that_is_not_trusted_stays_so() {
    let failure = on_the_way("prod", "reading `pod a`", "invalid peer certificate: UnknownIssuer");
    assert_eq!(failure.retry, Retry::Never);
    assert!(failure.error.messages[0].contains("certificate authority"));
    assert_eq!(on_the_way("prod", "reading `pod a`", "refused").retry, Retry::Later);
}

#[test]
fn an_address_without_tls_is_no_matter_of_the_manifest() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "a"}});
    let failure = refused(pod, 400, "Client sent an HTTP request to an HTTPS server.");
    assert!(failure.error.messages[0].contains("https:// in the kubeconfig"));
}

#[test]
fn a_long_refusal_is_cut() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "a"}});
    let failure = refused(pod, 422, &"é".repeat(5_000));
    assert!(failure.error.messages[0].chars().count() < SAID_CHARS_MAX + 200);
}

#[test]
fn a_secret_is_not_quoted_but_its_field_is_named() {
    let secret = json!({"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"pin": 1234}});
    let said =
        "failed to create typed patch object (x): .stringData.pin: expected string, got 1234";
    let failure = refused(secret, 500, said);
    let text = &failure.error.messages[0];
    assert!(!text.contains("1234") && text.contains(".stringData.pin"), "{text}");
    assert_eq!((failure.error.kind.as_str(), failure.retry), ("InvalidManifest", Retry::Never));
}

#[test]
fn what_may_get_better_is_told_from_what_cannot() {
    let pod = json!({"kind": "Pod", "metadata": {"name": "a"}});
    for (code, retry) in [
        (400, Retry::Never),
        (422, Retry::Never),
        (429, Retry::Later),
        (503, Retry::Later),
        (409, Retry::Later),
    ] {
        assert_eq!(refused(pod.clone(), code, "no").retry, retry, "{code}");
    }
}
