//! Schedulers and workers on servers of their own, which may be killed.

use std::path::Path;
use std::time::Duration;

use shared_testkit::env;
use shared_testkit::stack::{PostgresServer, RabbitMq, Redis};
use tempfile::TempDir;

use crate::role::Role;
use crate::server::Server;

pub(crate) struct Servers {
    // Ended before what it uses.
    pub(crate) server: Server,
    rabbitmq: RabbitMq,
    redis: Redis,
    postgres: PostgresServer,
    _folder: TempDir,
}

impl Servers {
    pub(crate) fn start() -> Self {
        Self::start_from(Path::new(env!("CARGO_BIN_EXE_capstan")))
    }

    /// The same, of another version's program.
    pub(crate) fn start_from(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rabbitmq = RabbitMq::start_ready(&folder.path().join("rabbitmq"), &[]).unwrap();
        let redis = Redis::start_ready(&folder.path().join("redis"), &[]).unwrap();
        let postgres = PostgresServer::start(&[]).unwrap();
        let server = Server::start_from(program, |settings| {
            settings["amqp"]["url"] = rabbitmq.url().into();
            settings["redis"]["url"] = redis.url().into();
            settings["store"]["url"] = postgres.url("postgres").into();
            settings["worker"]["helm"] = env::helm3().to_str().unwrap().into();
            settings["worker"]["kubeconfig"] = env::kubeconfig().to_str().unwrap().into();
            settings["fleet"]["accounts"] = vec!["capstan-test"].into();
            // The load comes from one address.
            settings["api"]["requests_per_second_max"] = 100_000.into();
            settings["api"]["requests_burst_max"] = 100_000.into();
        });
        Self { server, rabbitmq, redis, postgres, _folder: folder }
    }

    pub(crate) fn restart_worker(&mut self, number: usize) {
        self.server.workers[number].kill();
        self.server.workers[number] = self.server.start_worker(number);
    }

    pub(crate) fn restart_scheduler(&mut self, number: usize) {
        self.server.schedulers[number].kill();
        self.server.schedulers[number] = self.server.start_scheduler(number);
        let _address = self.server.schedulers[number].address();
    }

    /// Ends each role in its turn as an upgrade does, and starts it from another program.
    pub(crate) fn roll(&mut self, program: &Path, between: impl Fn()) {
        self.server.program = program.to_owned();
        for number in 0..self.server.workers.len() {
            self.replace_worker(number);
            between();
            if number < self.server.schedulers.len() {
                self.replace_scheduler(number);
                between();
            }
        }
    }

    fn replace_worker(&mut self, number: usize) {
        let worker = self.server.workers.remove(number);
        worker.signal("-TERM");
        assert_eq!(worker.ended(), Some(0), "worker {number}");
        self.server.workers.insert(number, self.server.start_worker(number));
        let _address = self.server.workers[number].address();
    }

    fn replace_scheduler(&mut self, number: usize) {
        let scheduler = self.server.schedulers.remove(number);
        scheduler.signal("-TERM");
        assert_eq!(scheduler.ended(), Some(0), "scheduler {number}");
        self.server.schedulers.insert(number, self.server.start_scheduler(number));
        let _address = self.server.schedulers[number].address();
    }

    pub(crate) fn restart_rabbitmq(&mut self) {
        self.rabbitmq.crash().unwrap();
        self.rabbitmq.start_again().unwrap();
        self.rabbitmq.wait().unwrap();
    }

    /// What it knew is lost with it.
    pub(crate) fn restart_redis(&mut self) {
        self.redis.forget_all().unwrap();
        self.redis.crash().unwrap();
        self.redis.start_again().unwrap();
        self.redis.wait().unwrap();
    }

    pub(crate) fn restart_postgres(&mut self) {
        self.postgres.kill().unwrap();
        self.postgres.launch().unwrap();
    }

    pub(crate) fn suspend_worker(&mut self, number: usize, time: Duration) {
        let worker: &Role = &self.server.workers[number];
        worker.signal("-STOP");
        std::thread::sleep(time);
        worker.signal("-CONT");
    }
}
