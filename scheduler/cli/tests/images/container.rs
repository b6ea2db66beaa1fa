//! One container of a service of the compose file.

use std::collections::BTreeMap;

use crate::compose::Service;
use crate::ended::run;
use crate::image::docker;
use crate::process::wait_for;

/// It ends with the test.
pub(crate) struct Container {
    name: String,
}

impl Container {
    /// Starts it as compose would, but for its network, which is this machine's loopback.
    pub(crate) fn start(
        service: &Service,
        image: &str,
        changes: &BTreeMap<String, String>,
    ) -> Self {
        let settings = &service.settings;
        let name = format!("capstan-{}-{}", service.name, std::process::id());
        let mut command = docker(&["run", "--detach", "--network", "host", "--name", &name]);
        assert_eq!(settings["read_only"], true);
        command.arg("--read-only").args(["--user", settings["user"].as_str().unwrap()]);
        for (option, key) in
            [("--cap-drop", "cap_drop"), ("--security-opt", "security_opt"), ("--tmpfs", "tmpfs")]
        {
            for value in service.list(key) {
                command.args([option, &value]);
            }
        }
        let mut environment = service.environment();
        for (name, value) in changes {
            let was = environment.insert(name.clone(), value.clone());
            // Where everything has to be told apart from other tests, there is nothing to replace.
            assert!(was.is_some() || name.ends_with("PREFIX"), "{name} is not in the file");
        }
        for (name, value) in environment {
            command.args(["--env", &format!("{name}={value}")]);
        }
        for volume in settings["volumes"].as_array().into_iter().flatten() {
            command.args(["--volume", volume.as_str().unwrap()]);
        }
        run(command.arg(image).args(service.list("command"))).expect(0, &[]);
        Self { name }
    }

    /// Everything that it said.
    pub(crate) fn said(&self) -> String {
        let ended = run(&mut docker(&["logs", &self.name]));
        ended.out + &ended.err
    }

    pub(crate) fn state(&self, template: &str) -> String {
        let template = format!("{{{{.State.{template}}}}}");
        run(&mut docker(&["inspect", "--format", &template, &self.name])).out.trim().to_owned()
    }

    /// Where it listens, once it does.
    pub(crate) fn address(&self) -> String {
        wait_for(&format!("the address of {}", self.name), || {
            assert_eq!(self.state("Running"), "true", "{}", self.said());
            let said = self.said();
            let after = said.split_once("listening on http://")?.1;
            let end = after.find(|sign: char| !sign.is_ascii_digit() && !".:".contains(sign))?;
            Some(after[..end].to_owned())
        })
    }

    /// Ends it as compose does; its exit code.
    pub(crate) fn stop(&self) -> String {
        run(&mut docker(&["stop", "--time", "75", &self.name])).expect(0, &[]);
        self.state("ExitCode")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: {}", self.name, self.said());
        }
        let _gone = docker(&["rm", "--force", "--volumes", &self.name]).output();
    }
}
