//! What goes wrong between a user and a server: one error, with what to do.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::documents::greet;
use crate::ended::{Ended, run};
use crate::file::file;
use crate::process::capstan;
use crate::server::Server;

fn list(server: &str) -> Ended {
    run(capstan().args(["pipeline", "list", "-a", "shop", "--server", server]))
}

#[test]
fn nobody_is_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let said = format!("no server answers at {url}: Connection refused");
    list(&url).expect(2, &[&said, "`capstan dev`", "--server URL or CAPSTAN_SERVER"]);
}

#[test]
fn what_is_no_address_is_no_server() {
    for server in ["127.0.0.1:8084", "localhost:8084", "ftp://h", "", "http://u:p@h"] {
        list(server).expect(2, &["cannot be used", "write it as http://127.0.0.1:8084"]);
    }
}

#[test]
fn another_server_is_not_taken_for_ours() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _asked = stream.read(&mut [0; 4096]).unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nhi";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let why = "the answer is `text/html`, not JSON";
    list(&url).expect(2, &["does not answer GET /applications/shop", why, "--server URL"]);
}

#[test]
fn a_path_too_many_is_told() {
    let server = Server::start();
    list(&format!("{}/gate", server.url)).expect(1, &["there is no route", "a path too many"]);
    list(&format!("{}/", server.url)).expect(0, &[]);
}

#[test]
fn a_refused_document_is_shown_with_the_lines_of_its_file() {
    let server = Server::start();
    let text = "{\n  \"application\": \"shop\",\n  \"name\": \"bad\",\n  \"stages\": [\n    \
                { \"refId\": \"1\", \"type\": \"wait\",\n      \"requisiteStageRefIds\": [\"1\"] }\n  ]\n}\n";
    let path = server.file("bad.json", text);
    let path = path.to_str().unwrap();
    let place = format!("--> {path}:6 at /stages/0/requisiteStageRefIds");
    let saved = server.run(&["pipeline", "save", path]);
    saved.expect(2, &["error[self-edge]", &place, "help: "]);
    // Lines and words are those of the command that asks no server.
    let alone = run(capstan().args(["validate", path]));
    assert!(alone.err.contains(&saved.err), "{}\n{}", alone.err, saved.err);
}

#[test]
fn a_document_without_a_name_or_a_form_is_refused() {
    let server = Server::start();
    for (name, text, why) in [
        ("nameless.json", r#"{"application":"shop","stages":[]}"#, "needs `name`"),
        ("list.yaml", "- 1\n", "not an object"),
        ("cut.json", "{\"a\":\n", "document-unreadable"),
    ] {
        let path = server.file(name, text);
        server.run(&["pipeline", "save", path.to_str().unwrap()]).expect(2, &[why]);
    }
    server.run(&["pipeline", "save", "no-such-file.json"]).expect(2, &["cannot be read"]);
}

#[test]
fn what_is_not_there_is_named() {
    let server = Server::start();
    server.save(&greet());
    for words in [
        &["pipeline", "get", "-a", "shop", "none"][..],
        &["pipeline", "delete", "-a", "shop", "none"],
        &["pipeline", "execute", "-a", "none", "greet it's"],
        &["execution", "get", "none"],
        &["execution", "watch", "none"],
        &["execution", "cancel", "none"],
        &["execution", "judge", "none", "--continue"],
        &["execution", "logs", "none"],
        &["application", "get", "none"],
    ] {
        server.run(words).expect(1, &["`none`", "was not found"]);
    }
}

#[test]
fn names_of_any_character_reach_nothing_else() {
    let server = Server::start();
    server.save(&greet());
    for name in ["../shop/greet it's", "a/b?c#d", "%2e%2e", "ü"] {
        server.run(&["pipeline", "delete", "-a", "shop", name]).expect(1, &["was not found"]);
    }
    server.run(&["pipeline", "delete", "-a", "shop", ".."]).expect(2, &["cannot stand in a path"]);
    server.out(&["pipeline", "get", "-a", "shop", "greet it's"]);
}

#[test]
fn bad_usage_exits_with_2_and_help_tells_the_codes() {
    let help = run(capstan().args(["execution", "watch", "--help"]));
    help.expect(0, &[]);
    for code in ["0    ", "1    ", "2    ", "130  "] {
        assert!(help.out.contains(&format!("\n  {code}")), "{}", help.out);
    }
    for words in [
        &["execution", "list"][..],
        &["execution", "list", "-a", "x", "--limit", "0"],
        &["execution", "list", "-a", "x", "--status", "odd"],
        &["pipeline", "execute", "-a", "x", "y", "-p", "z"],
        &["pipeline", "list", "-a", "x", "-o", "xml"],
    ] {
        run(capstan().args(words)).expect(2, &["error: "]);
    }
}

#[test]
fn a_token_that_cannot_be_sent_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "p.json", &greet().to_string());
    let mut command = capstan();
    command.args(["pipeline", "save"]).arg(path).env("CAPSTAN_TOKEN", "geheim\u{fc}");
    let ended = run(&mut command);
    ended.expect(2, &["the token cannot be used"]);
    assert!(!ended.err.contains("geheim"));
}
