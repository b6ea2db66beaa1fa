//! One round: accidents for some minutes, then calm, then what became of everything.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use shared_testkit::deadline::Stopwatch;

use super::Storm;
use super::doers::Doers;
use super::history::Record;
use super::judge::{self, Judged};
use super::resume::State;
use super::schedule::{Accident, Fault, of_round};
use super::site::Site;
use super::users::{People, file_of};

/// Numbers of executions that each round has for itself: what is in it does not depend on those before it.
const NUMBERS: u64 = 1_000_000;
/// How many submit, and how many do what else people do.
const SUBMITTERS: usize = 2;
const MEDDLERS: usize = 2;
/// How long everything may take to end once it is calm.
const END_LIMIT: Duration = Duration::from_secs(240);
const PAUSE: Duration = Duration::from_millis(500);
/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(15);

pub(super) struct Round<'a> {
    pub(super) storm: &'a Storm,
    pub(super) site: &'a Site,
    pub(super) doers: &'a Doers,
    pub(super) length: Duration,
}

impl Round<'_> {
    /// Lives through it, and counts; what must not happen and did.
    pub(super) fn run(&self, state: &mut State) -> Result<Vec<String>> {
        let folder = &self.site.shape.folder;
        let file = file_of(folder, state.round);
        let is_resumed = file.exists();
        let record = Record::open_file(file.clone(), state.ledger_from)?;
        let next =
            record.all().last_key_value().map_or(state.round * NUMBERS, |(last, _)| last + 1);
        let people = People::of(self.site, self.storm.seed, self.storm.at_once, next, record);
        let began = Stopwatch::start();
        let (accidents, end) = self.live(&people, state, is_resumed)?;
        let judged = judge::judge(self.site, &people, (!is_resumed).then_some(&*accidents))?;
        state.tally.seconds += began.elapsed().as_secs();
        state.tally.longest_end_seconds = state.tally.longest_end_seconds.max(end.as_secs());
        for accident in &accidents {
            *state.tally.accidents.entry(format!("{:?}", accident.kind)).or_default() += 1;
        }
        state.tally.failures += people.failures.load(Ordering::SeqCst) as u64;
        let ended = self.site.ended_by_themselves.swap(0, Ordering::SeqCst);
        state.tally.ended_by_themselves += ended as u64;
        self.conclude(state, judged)
    }

    fn conclude(&self, state: &mut State, judged: Judged) -> Result<Vec<String>> {
        let folder = &self.site.shape.folder;
        let Judged { violations, stories, tally } = judged;
        state.tally.add(&tally);
        let command = self.storm.command(state.round);
        for (at, story) in stories.iter().enumerate() {
            let file = folder.join(format!("violation-{at}.txt"));
            std::fs::write(&file, format!("{story}\nAgain: {command}\n"))?;
            eprintln!("{story}\n{}\n", file.display());
        }
        if !violations.is_empty() {
            eprintln!("seed {}, round {}; again: {command}", state.seed, state.round);
            return Ok(violations);
        }
        std::fs::remove_file(file_of(folder, state.round)).context("no record of the round")?;
        state.round += 1;
        state.ledger_from = std::fs::metadata(folder.join("ledger"))?.len();
        state.save(folder)?;
        Ok(violations)
    }

    /// The accidents that happened, and how long everything took to end once it was calm.
    fn live(
        &self,
        people: &People,
        state: &State,
        is_resumed: bool,
    ) -> Result<(Vec<Accident>, Duration)> {
        std::thread::scope(|scope| {
            let mut at_work = vec![scope.spawn(|| people.look())];
            if !is_resumed {
                people.save()?;
                at_work.extend((0..SUBMITTERS).map(|_| scope.spawn(|| people.submit())));
            }
            at_work.extend((0..MEDDLERS).map(|_| scope.spawn(|| people.meddle())));
            let lived = self.weather(people, state, is_resumed);
            // However it went, nobody goes on.
            people.is_over.store(true, Ordering::SeqCst);
            people.has_ended.store(true, Ordering::SeqCst);
            for one in at_work {
                one.join().ok().context("somebody broke down")??;
            }
            lived
        })
    }

    fn weather(
        &self,
        people: &People,
        state: &State,
        is_resumed: bool,
    ) -> Result<(Vec<Accident>, Duration)> {
        let mut accidents = Vec::new();
        if !is_resumed {
            let planned = of_round(state.seed, state.round, &self.storm.kinds(), self.length);
            self.blow(people, state, &planned)?;
            people.is_over.store(true, Ordering::SeqCst);
            accidents = self.doers.end()?;
        }
        people.is_over.store(true, Ordering::SeqCst);
        self.site.calm()?;
        people.is_calm.store(true, Ordering::SeqCst);
        let calm = Stopwatch::start();
        while !self.has_ended(people) && calm.elapsed() < END_LIMIT {
            std::thread::sleep(PAUSE);
        }
        Ok((accidents, calm.elapsed()))
    }

    fn has_ended(&self, people: &People) -> bool {
        people.is_done()
            && people.record.open().is_empty()
            && people.unfinished().is_some_and(|left| left.is_empty())
    }

    fn blow(&self, people: &People, state: &State, planned: &[Accident]) -> Result<()> {
        let began = Stopwatch::start();
        let before = self.site.ask_ledger()?.count()?;
        self.doers.plan(began, planned)?;
        let mut told = Duration::ZERO;
        while began.elapsed() < self.length {
            std::thread::sleep(PAUSE);
            let elapsed = began.elapsed();
            let is_meddling = planned.iter().any(|one| {
                one.fault == Fault::Meddling && (one.at..one.at + one.lasts).contains(&elapsed)
            });
            people.is_meddling.store(is_meddling, Ordering::SeqCst);
            let effects = self.site.ask_ledger()?.count()? - before;
            if elapsed > told + TELL_EVERY {
                told = elapsed;
                let all = people.record.all();
                let promised = all.values().filter(|known| known.id.is_some()).count();
                let open = people.record.open().len();
                let round = state.round;
                eprintln!(
                    "{:>5} s  round {round}: {promised} executions, {open} open, {effects} effects",
                    elapsed.as_secs()
                );
            }
            if state.tally.effects + effects >= self.storm.stages {
                break;
            }
        }
        Ok(())
    }
}
