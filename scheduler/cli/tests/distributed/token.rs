//! The first token, which an operator chooses.

use std::process::Command;

use crate::ended::run;
use crate::file::file;
use crate::process::capstan;
use crate::role::{self, Role, refused};
use crate::scene::Scene;

const FIRST: &str = "0123456789abcdef0123456789abcdef";
const SECOND: &str = "fedcba9876543210fedcba9876543210";

fn list(address: &str, token: &str) -> Command {
    let mut command = capstan();
    let server = format!("http://{}", address.replace("0.0.0.0", "127.0.0.1"));
    command.args(["application", "list", "--server", &server]).env("CAPSTAN_TOKEN", token);
    command
}

#[test]
fn the_first_token_is_chosen_and_changed() {
    let (scene, folder) = (Scene::take(), tempfile::tempdir().unwrap());
    let secret = file(folder.path(), "token", FIRST);
    let mut settings = scene.settings(folder.path());
    settings["api"]["token_file"] = secret.to_str().unwrap().into();
    let own = folder.path().join("scheduler");
    settings["local"]["data_dir"] = own.to_str().unwrap().into();
    let config = file(folder.path(), "settings.yaml", &settings.to_string());
    let start = || {
        let scheduler =
            Role::start(role::command("scheduler", &config), &folder.path().join("said"));
        let address = scheduler.address();
        (scheduler, address)
    };
    for _ in 0..2 {
        let (_scheduler, address) = start();
        run(&mut list(&address, FIRST)).expect(0, &[]);
        run(&mut list(&address, SECOND)).expect(1, &["(401)"]);
    }
    file(folder.path(), "token", &format!("{SECOND}\n"));
    let (scheduler, address) = start();
    run(&mut list(&address, SECOND)).expect(0, &[]);
    run(&mut list(&address, FIRST)).expect(1, &["(401)"]);
    let tokens = run(list(&address, SECOND).args(["-o", "json"]));
    assert!(!tokens.out.contains(SECOND) && !scheduler.said().contains(SECOND));
    drop(scheduler);
    for short in
        ["short", "capstan_0123456789abcdef0123456789abcdef", "a b c d e f g h i j k l m n o p q r"]
    {
        file(folder.path(), "token", short);
        let ended = refused("scheduler", &config);
        ended.expect(2, &["`api.token` cannot be used"]);
        assert!(!ended.err.contains(short), "{}", ended.err);
    }
}

#[test]
fn an_open_address_needs_a_token() {
    let (scene, folder) = (Scene::take(), tempfile::tempdir().unwrap());
    let mut settings = scene.settings(folder.path());
    settings["api"]["listen"] = "0.0.0.0:0".into();
    let own = folder.path().join("scheduler");
    settings["local"]["data_dir"] = own.to_str().unwrap().into();
    let config = file(folder.path(), "settings.yaml", &settings.to_string());
    refused("scheduler", &config).expect(2, &["needs authentication", "there is no token"]);
    settings["api"]["token"] = FIRST.into();
    let config = file(folder.path(), "settings.yaml", &settings.to_string());
    let scheduler = Role::start(role::command("scheduler", &config), &folder.path().join("said"));
    let address = scheduler.address();
    run(&mut list(&address, FIRST)).expect(0, &[]);
    run(&mut list(&address, "")).expect(1, &["(401)"]);
}
