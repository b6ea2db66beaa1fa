//! The guarded HTTP client against real servers, good and rude ones.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]
#![expect(clippy::disallowed_methods, reason = "real servers need real time")]

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use shared_runtime::http::header::{AUTHORIZATION, HeaderValue};
use shared_runtime::http::{
    AllowList, GuardedHttp, HttpAnswer, HttpError, HttpLimits, HttpRequest, Method, Resolver,
};
use shared_testkit::http_server::{HttpServer, Reply};
use tokio_util::sync::CancellationToken;

fn allow(entries: &[&str]) -> AllowList {
    AllowList::new(entries.iter().map(|entry| entry.parse().unwrap()))
}

fn limits() -> HttpLimits {
    let request_timeout = Duration::from_secs(20);
    HttpLimits { request_timeout, ..HttpLimits::default() }
}

/// A client to which this machine is open.
fn client() -> GuardedHttp {
    GuardedHttp::new(allow(&["127.0.0.1"]), limits())
}

async fn get(client: &GuardedHttp, url: &str) -> Result<HttpAnswer, HttpError> {
    client.send(HttpRequest::new(Method::GET, url), &CancellationToken::new()).await
}

/// Names that mean what a test says, one answer after another; the last one stays.
struct Names(Mutex<Vec<Vec<IpAddr>>>, AtomicUsize);

impl Names {
    fn are(answers: &[&[&str]]) -> Arc<Self> {
        let parse =
            |addresses: &&[&str]| addresses.iter().map(|one| one.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(answers.iter().map(parse).collect()), AtomicUsize::new(0)))
    }
}

#[async_trait]
impl Resolver for Names {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let asked = self.1.fetch_add(1, Ordering::SeqCst);
        let answers = self.0.lock().unwrap();
        Ok(answers[asked.min(answers.len() - 1)].clone())
    }
}

fn named(entries: &[&str], answers: &[&[&str]]) -> GuardedHttp {
    GuardedHttp::with_resolver(allow(entries), limits(), Names::are(answers))
}

#[tokio::test]
async fn a_request_arrives_and_its_answer_comes_back() {
    let server = HttpServer::start(|asked| Reply::text(201, &asked.body)).unwrap();
    let mut request = HttpRequest::new(Method::POST, server.url("/a?b=c#d"));
    request.body = Some("hello".into());
    request.headers.insert("x-one", HeaderValue::from_static("1"));
    let answer = client().send(request, &CancellationToken::new()).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (201, &b"hello"[..]));
    let asked = server.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.path.as_str()), ("POST", "/a?b=c"));
    assert_eq!((asked.body.as_str(), asked.header("x-one")), ("hello", Some("1")));
    assert!(asked.header("user-agent").unwrap().starts_with("capstan/"));
}

#[tokio::test]
async fn this_machine_is_closed_under_every_name_unless_it_is_opened() {
    let server = HttpServer::start(|_| Reply::text(200, "inside")).unwrap();
    let closed = GuardedHttp::new(AllowList::default(), limits());
    let port = server.port();
    for host in ["127.0.0.1", "LOCALHOST", "2130706433", "[::ffff:127.0.0.1]"] {
        let error = get(&closed, &format!("http://{host}:{port}/?q=hunter2")).await.unwrap_err();
        assert!(matches!(error, HttpError::Refused { .. }), "{host}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("--allow-url") && !text.contains("hunter2"), "{text}");
        assert!(!error.may_have_arrived());
    }
    assert_eq!(server.asked(), []);
    for entry in ["127.0.0.1", "127.0.0.0/8", "localhost", &format!("localhost:{port}")] {
        let open = GuardedHttp::new(allow(&[entry]), limits());
        assert!(get(&open, &format!("http://localhost:{port}/")).await.is_ok(), "{entry}");
    }
    let other_port = GuardedHttp::new(allow(&["localhost:1", "127.0.0.1:1"]), limits());
    let refused = get(&other_port, &format!("http://localhost:{port}/")).await;
    assert!(matches!(refused, Err(HttpError::Refused { .. })), "{refused:?}");
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_where_the_connection_is_made() {
    let server = HttpServer::start(|_| Reply::text(200, "inside")).unwrap();
    let url = format!("http://ci.example:{}/", server.port());
    for inside in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"]
    {
        let refused = get(&named(&[], &[&[inside]]), &url).await;
        assert!(matches!(refused, Err(HttpError::Refused { .. })), "{inside}: {refused:?}");
    }
    // One that changes its meaning is asked for its meaning each time a connection is made.
    let rebinding = named(&["127.0.0.1"], &[&["127.0.0.1"], &["10.0.0.1"]]);
    assert!(get(&rebinding, &url).await.is_ok());
    let refused = get(&rebinding, &url).await;
    assert!(matches!(refused, Err(HttpError::Refused { .. })), "{refused:?}");
    // Of several addresses those that are open are asked, and only those.
    let mixed = named(&["127.0.0.1"], &[&["10.0.0.1", "127.0.0.1"]]);
    assert!(get(&mixed, &url).await.is_ok());
    let nowhere = get(&named(&[], &[&[]]), &url).await;
    assert!(matches!(nowhere, Err(HttpError::NotFound { .. })), "{nowhere:?}");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_name_that_is_open_opens_no_address_with_credentials() {
    let open = named(&["ci.example", "*.example"], &[&["169.254.169.254"]]);
    let error = get(&open, "http://ci.example/").await.unwrap_err();
    assert!(error.to_string().contains("--allow-url 169.254.169.254:80"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_checked_like_a_url() {
    let targets = [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/",
        "//127.0.0.1:1/",
        "http://2130706433:1/",
        "http://[::1]:1/",
        "http://other.example:1/",
        "file:///etc/passwd",
        "http://me:hunter2@ci.example/",
        "http://[",
    ];
    for to in targets {
        let server = HttpServer::start(move |_| Reply::location(302, to)).unwrap();
        let open = format!("ci.example:{}", server.port());
        let client = named(&[&open], &[&["127.0.0.1"]]);
        let url = format!("http://ci.example:{}/", server.port());
        let error = get(&client, &url).await.unwrap_err();
        assert!(matches!(error, HttpError::Redirected { .. }), "{to}: {error:?}");
        assert!(error.to_string().starts_with(&format!("`{url}` redirects on: ")), "{error}");
        assert!(!error.to_string().contains("hunter2") && error.may_have_arrived());
        assert_eq!(server.asked().len(), 1, "{to}");
    }
}

#[tokio::test]
async fn redirects_are_followed_so_far_and_no_further() {
    let server = HttpServer::start(|asked| match asked.path.as_str() {
        "/0" => Reply::text(200, "there"),
        "/loop" => Reply::location(302, "/loop"),
        path => {
            let left: u32 = path[1..].parse().unwrap();
            Reply::location(302, &format!("/{}", left - 1))
        }
    })
    .unwrap();
    let answer = get(&client(), &server.url("/5")).await.unwrap();
    assert_eq!((&answer.body[..], answer.url.path()), (&b"there"[..], "/0"));
    for path in ["/6", "/loop"] {
        let error = get(&client(), &server.url(path)).await.unwrap_err();
        assert!(error.to_string().contains("redirects_max"), "{error}");
    }
    assert_eq!(server.asked().len(), 6 + 6 + 6);
}

#[tokio::test]
async fn secrets_do_not_follow_a_redirect_to_another_origin() {
    let other = HttpServer::start(|_| Reply::text(200, "")).unwrap();
    let to = other.url("/");
    let server = HttpServer::start(move |_| Reply::location(307, &to)).unwrap();
    let mut request = HttpRequest::new(Method::PUT, server.url("/"));
    request.headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    request.headers.insert("x-plain", HeaderValue::from_static("x"));
    client().send(request, &CancellationToken::new()).await.unwrap();
    assert_eq!(server.asked()[0].header("authorization"), Some("Bearer x"));
    let asked = other.asked().remove(0);
    assert_eq!((asked.header("authorization"), asked.header("x-plain")), (None, Some("x")));
}

#[tokio::test]
async fn a_body_that_is_too_large_ends_at_once() {
    const HUGE: usize = 100 * 1024 * 1024;
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let server = HttpServer::start(move |asked| {
        let announced = asked.path == "/announced";
        let count = Arc::clone(&count);
        Reply::Raw(Box::new(move |to| {
            let length = format!("Content-Length: {HUGE}\r\n");
            let length = if announced { length } else { String::new() };
            write!(to, "HTTP/1.1 200 OK\r\n{length}\r\n")?;
            for _ in 0..HUGE / 65_536 {
                to.write_all(&[b'x'; 65_536])?;
                count.fetch_add(65_536, Ordering::SeqCst);
            }
            Ok(())
        }))
    })
    .unwrap();
    for path in ["/announced", "/unannounced"] {
        let error = get(&client(), &server.url(path)).await.unwrap_err();
        assert!(matches!(error, HttpError::TooLarge { limit: 10_485_760, .. }), "{error:?}");
        assert!(error.to_string().contains("response_bytes_max") && error.may_have_arrived());
    }
    assert!(written.load(Ordering::SeqCst) < HUGE, "the answer was taken in whole");
    let small = HttpLimits { response_bytes_max: 5, ..limits() };
    let small = GuardedHttp::new(allow(&["127.0.0.1"]), small);
    let exact = HttpServer::start(|asked| Reply::text(200, &asked.path[1..])).unwrap();
    assert_eq!(&get(&small, &exact.url("/12345")).await.unwrap().body[..], b"12345");
    assert!(get(&small, &exact.url("/123456")).await.is_err());
}

#[tokio::test]
async fn headers_without_end_are_an_error_and_not_memory() {
    let server = HttpServer::start(|asked| {
        let many = asked.path == "/many";
        Reply::Raw(Box::new(move |to| {
            write!(to, "HTTP/1.1 200 OK\r\n")?;
            for number in 0..1_000_000 {
                match many {
                    true => write!(to, "X-{number}: {number}\r\n")?,
                    false => write!(to, "X: {}\r\n", "x".repeat(50_000))?,
                }
            }
            Ok(())
        }))
    })
    .unwrap();
    for path in ["/many", "/long"] {
        let error = get(&client(), &server.url(path)).await.unwrap_err();
        assert!(error.to_string().contains("header_bytes_max"), "{path}: {error}");
    }
    let large = vec![("X".to_owned(), "x".repeat(70_000))];
    let server = HttpServer::start(move |_| Reply::With(200, large.clone(), Vec::new())).unwrap();
    let error = get(&client(), &server.url("/")).await.unwrap_err();
    assert!(error.to_string().contains("header_bytes_max"), "{error}");
}

#[tokio::test]
async fn nothing_is_waited_for_without_end() {
    let server = HttpServer::start(|asked| match asked.path.as_str() {
        "/hang" => Reply::hang(),
        _ => Reply::Raw(Box::new(|to| {
            write!(to, "HTTP/1.1 200 OK\r\n\r\n")?;
            loop {
                to.write_all(b"x")?;
                std::thread::sleep(Duration::from_millis(20));
            }
        })),
    })
    .unwrap();
    let short = HttpLimits { request_timeout: Duration::from_millis(300), ..limits() };
    let short = GuardedHttp::new(allow(&["127.0.0.1"]), short);
    for path in ["/hang", "/drip"] {
        let began = Instant::now();
        let error = get(&short, &server.url(path)).await.unwrap_err();
        assert!(matches!(error, HttpError::TimedOut { .. }), "{path}: {error:?}");
        assert!(error.may_have_arrived() && began.elapsed() < Duration::from_secs(2));
    }
    let cancel = CancellationToken::new();
    let client = client();
    let asking = client.send(HttpRequest::new(Method::GET, server.url("/hang")), &cancel);
    let began = Instant::now();
    let (answer, ()) = tokio::join!(asking, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    assert!(matches!(answer, Err(HttpError::Cancelled { .. })), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn what_breaks_off_is_told_from_what_was_never_reached() {
    let server = HttpServer::start(|asked| {
        let text: &'static [u8] = match asked.path.as_str() {
            "/short" => b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx",
            "/nothing" => b"",
            _ => b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        };
        Reply::Raw(Box::new(move |to| to.write_all(text)))
    })
    .unwrap();
    for path in ["/short", "/nothing", "/ssh"] {
        let error = get(&client(), &server.url(path)).await.unwrap_err();
        assert!(matches!(error, HttpError::Broken { .. }), "{path}: {error:?}");
        assert!(error.may_have_arrived() && error.may_pass());
    }
    let url = server.url("/");
    drop(server);
    let error = get(&client(), &url).await.unwrap_err();
    assert!(matches!(error, HttpError::Unreachable { .. }), "{error:?}");
    assert!(!error.may_have_arrived() && error.may_pass());
    let lost = get(&client(), "http://no-such-host.invalid/").await.unwrap_err();
    assert!(matches!(lost, HttpError::NotFound { .. }), "{lost:?}");
}

#[tokio::test]
async fn what_belongs_to_the_connection_cannot_be_set() {
    let server = HttpServer::start(|_| Reply::text(200, "")).unwrap();
    for name in ["host", "content-length", "transfer-encoding", "connection", "upgrade"] {
        let mut request = HttpRequest::new(Method::POST, server.url("/"));
        request.headers.insert(name, HeaderValue::from_static("1"));
        let error = client().send(request, &CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
    let mut request = HttpRequest::new(Method::POST, server.url("/"));
    request.body = Some(vec![b'x'; limits().request_bytes_max + 1].into());
    let error = client().send(request, &CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("request_bytes_max"), "{error}");
    assert_eq!(server.asked(), []);
}
