//! Tokens over HTTP, and addresses that others reach.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use super::*;

impl Scene {
    async fn token(&self, asked: Value) -> Value {
        let made = self.send("POST", "/v1/tokens", &asked.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.body);
        made.json()
    }

    async fn with(&self, token: &str, method: &str, path: &str, more: &str) -> Reply {
        let head = format!(
            "Host: {}\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n{more}",
            self.address
        );
        self.raw(method, path, &head, r#"{"judgmentStatus":"continue"}"#).await
    }
}

fn asked(scope: &str) -> Value {
    json!({"name": "ci", "scope": scope, "expiresInSeconds": 60})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_reaches_as_far_as_its_scope() {
    let scene = Scene::new().await;
    let made = scene.token(asked("read")).await;
    let text = made["token"].as_str().unwrap();
    assert_eq!(scene.with(text, "GET", &scene.pipeline(), "").await.status, 200);
    let judge = format!("{}/stages/ask", scene.pipeline());
    let refused = scene.with(text, "PATCH", &judge, "").await;
    assert!(refused.is_error(403, "not-allowed"), "{}", refused.body);
    assert!(refused.body.contains("operate"), "{}", refused.body);
    let operate = scene.token(asked("operate")).await["token"].as_str().unwrap().to_owned();
    let who = scene.with(&operate, "GET", "/auth/user", "").await.json();
    assert_eq!(who["username"], "ci");
    let refused = scene.with(&operate, "GET", "/v1/tokens", "").await;
    assert!(refused.is_error(403, "not-allowed"), "{}", refused.body);
    let judged = scene.with(&operate, "PATCH", &judge, "X-Spinnaker-User: ada\r\n").await;
    let by = &judged.json()["stages"][0]["context"]["lastModifiedBy"];
    assert_eq!(by, "ci", "the acting user is the token's");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_some_speak_for_others() {
    let scene = Scene::new().await;
    let mut asked = asked("operate");
    asked["speaksForOthers"] = true.into();
    let text = scene.token(asked).await["token"].as_str().unwrap().to_owned();
    let judge = format!("{}/stages/ask", scene.pipeline());
    let judged = scene.with(&text, "PATCH", &judge, "X-Spinnaker-User: ada\r\n").await;
    assert_eq!(judged.json()["stages"][0]["context"]["lastModifiedBy"], "ada");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_judgment_that_wants_roles_is_refused_to_those_who_are_known_not_to_have_them() {
    let scene = Scene::new().await;
    let body = json!({
        "application": "shop", "name": "roles",
        "stages": [{
            "refId": "ask", "type": "manualJudgment", "name": "Ask",
            "requiredJudgmentRoles": [], "selectedStageRoles": ["Releasers", "owners"],
        }],
    });
    let id = scene.scheduler.submit(Start { document: body, ..Start::default() }).await.unwrap();
    let token = async |roles: Value| {
        let mut asked = asked("operate");
        asked["roles"] = roles;
        scene.token(asked).await["token"].as_str().unwrap().to_owned()
    };
    let patch = async |token: &str, fields: Value| {
        let head = format!(
            "Host: {}\r\nContent-Type: application/json\r\nAuthorization: Bearer {token}\r\n",
            scene.address
        );
        let path = format!("/pipelines/{id}/stages/ask");
        scene.raw("PATCH", &path, &head, &fields.to_string()).await
    };
    let go_on = json!({ "judgmentStatus": "continue" });
    for roles in [json!([]), json!(["developers"])] {
        let other = token(roles).await;
        // Neither by an answer, nor by a way round it.
        let ways =
            [go_on.clone(), json!({ "manualSkip": true }), json!({ "selectedStageRoles": [] })];
        for fields in ways {
            let refused = patch(&other, fields.clone()).await;
            assert!(refused.is_error(403, "judgment-role-missing"), "{fields}: {}", refused.body);
            assert!(refused.body.contains("Releasers, owners"), "{}", refused.body);
        }
    }
    let found = scene.scheduler.execution(&id).await.unwrap().unwrap();
    let context = &found["stages"][0]["context"];
    assert_eq!(context["selectedStageRoles"], json!(["Releasers", "owners"]), "{context}");
    assert_eq!(
        (&context["judgmentStatus"], &context["lastModifiedBy"]),
        (&Value::Null, &Value::Null)
    );
    let one_of_them = token(json!(["developers", "releasers"])).await;
    let who = scene.with(&one_of_them, "GET", "/auth/user", "").await.json();
    assert_eq!(who["roles"], json!(["developers", "releasers"]));
    assert_eq!(patch(&one_of_them, go_on.clone()).await.status, 200);
    // Of whom nothing is known nothing is refused, and the roles stay where they are.
    let unknown = scene.scheduler.submit(Start {
        document: json!({
            "application": "shop", "name": "roles",
            "stages": [{ "refId": "ask", "type": "manualJudgment", "selectedStageRoles": ["a"] }],
        }),
        ..Start::default()
    });
    let unknown = unknown.await.unwrap();
    let path = format!("/pipelines/{unknown}/stages/ask");
    let judged = scene.send("PATCH", &path, &go_on.to_string()).await;
    assert_eq!(judged.status, 200, "{}", judged.body);
    let context = judged.json()["stages"][0]["context"].clone();
    assert_eq!(context["selectedStageRoles"], json!(["a"]));
    for roles in [json!(["two words"]), json!([""]), json!("a"), json!(vec!["a"; 101])] {
        let mut asked = asked("operate");
        asked["roles"] = roles;
        let refused = scene.send("POST", "/v1/tokens", &asked.to_string()).await;
        assert!(refused.is_error(400, "invalid-request"), "{}", refused.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_or_was_taken_back_is_none() {
    let scene = Scene::new().await;
    let made = scene.token(asked("admin")).await;
    let text = made["token"].as_str().unwrap().to_owned();
    let listed = scene.with(&text, "GET", "/v1/tokens", "").await;
    assert_eq!(listed.json()[0]["name"], "ci");
    assert!(!listed.body.contains("sha256") && !listed.body.contains(&text), "{}", listed.body);
    let path = format!("/v1/tokens/{}", made["id"].as_str().unwrap());
    assert_eq!(scene.send("DELETE", &path, "").await.status, 204);
    let mut short = asked("read");
    short["expiresInSeconds"] = 1.into();
    let short = scene.token(short).await["token"].as_str().unwrap().to_owned();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    for text in [text.as_str(), &short, "", "nonsense", "capstan_a_b", &format!("{text}0")] {
        let refused = scene.with(text, "GET", "/applications", "").await;
        assert!(refused.is_error(401, "not-authenticated"), "{text}: {}", refused.body);
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    }
    let missing = scene.send("DELETE", &path, "").await;
    assert!(missing.is_error(404, "not-found"), "{}", missing.body);
    for bad in [
        json!({}),
        json!({"name": "", "scope": "read", "expiresInSeconds": 1}),
        json!({"name": "a", "scope": "god", "expiresInSeconds": 1}),
        json!({"name": "a", "scope": "read", "expiresInSeconds": 0}),
    ] {
        let refused = scene.send("POST", "/v1/tokens", &bad.to_string()).await;
        assert!(refused.is_error(400, "invalid-request"), "{}", refused.body);
    }
}

/// What answers to the router of an address that others reach, without a socket on one.
#[tokio::test(flavor = "multi_thread")]
async fn elsewhere_everybody_needs_a_token() {
    let scene = Scene::new().await;
    let text = scene.token(asked("read")).await["token"].as_str().unwrap().to_owned();
    let open = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80));
    let limits = ApiLimits {
        requests_per_second_max: NonZeroU32::MIN,
        requests_burst_max: NonZeroU32::new(4).unwrap(),
        ..ApiLimits::default()
    };
    let rates = Arc::new(Rates::new(&limits));
    let (scheduler, stop) = (scene.scheduler.clone(), CancellationToken::new());
    let state = State { scheduler, address: open, rates, stop };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let supervisor = &scene.supervisor;
    let stop = supervisor.stopping_of(Kind::Http);
    let served = connections::serve(listener, router(state), limits, stop);
    supervisor.spawn(Kind::Http, async move {
        served.await;
        Ok(())
    });
    let elsewhere = async |head: &str, path: &str| {
        let head = format!("Host: capstan.example\r\n{head}");
        raw(address, "GET", path, &head, "").await
    };
    assert_eq!(elsewhere("", "/livez").await.status, 200);
    for path in ["/version", "/applications", "/v1/tokens", "/metrics", "/nowhere"] {
        let refused = elsewhere("X-Spinnaker-User: root\r\n", path).await;
        assert!(refused.is_error(401, "not-authenticated"), "{path}: {}", refused.body);
    }
    let head = format!("X-Spinnaker-Token: {text}\r\n");
    assert_eq!(elsewhere(&head, "/version").await.status, 200);
    // Four at once, and one a second: this token asks for more, another one does not.
    let mut replies = Vec::new();
    for _ in 0..8 {
        replies.push(elsewhere(&head, "/version").await);
    }
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!((3..=5).contains(&refused.len()), "{} of 8 were refused", refused.len());
    assert!(refused[0].is_error(429, "too-many-requests"), "{}", refused[0].body);
    assert!(refused[0].head.contains("retry-after: 1"), "{}", refused[0].head);
    let other = scene.token(asked("read")).await["token"].as_str().unwrap().to_owned();
    let head = format!("X-Spinnaker-Token: {other}\r\n");
    assert_eq!(elsewhere(&head, "/version").await.status, 200);
    assert_eq!(elsewhere(&head, "/metrics").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_others_without_a_token_is_refused() {
    let scene = Scene::new().await;
    let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80));
    let error = may_serve(scene.scheduler.ports(), all).await.unwrap_err().to_string();
    assert!(error.contains("authentication") && error.contains("token create"), "{error}");
    scene.token(asked("read")).await;
    may_serve(scene.scheduler.ports(), all).await.unwrap();
}
