//! The smallest world in which a seed still goes wrong in the same way.

use std::time::Duration;

use super::run;
use super::setting::{Fault, Mutation, Setting};
use super::verdict::Verdict;

/// Sizes that are tried, the smallest first; no seed has larger ones.
const PLANS: std::ops::Range<usize> = 1..6;
const STAGES: std::ops::Range<usize> = 1..9;
const STORMS: [u64; 9] = [5, 10, 20, 40, 80, 120, 180, 240, 320];

/// What a failing seed was reduced to.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smallest world that was found.
    pub setting: Setting,
    /// What became of it.
    pub verdict: Verdict,
}

/// Makes a failing seed's world smaller as long as a violation of the same kind stays; `None` if it does
/// not fail.
///
/// # Errors
/// If the single-threaded runtime cannot be built.
pub fn shrink(seed: u64, setting: &Setting) -> std::io::Result<Option<Shrunk>> {
    let verdict = run(seed, setting)?;
    let Some(kind) = verdict.violations.first().map(super::Violation::kind) else {
        return Ok(None);
    };
    let mut best = Shrunk { setting: setting.clone(), verdict };
    while let Some(smaller) = smaller(seed, &best.setting, kind)? {
        best = smaller;
    }
    Ok(Some(best))
}

/// The first smaller world that goes wrong like this.
fn smaller(seed: u64, setting: &Setting, kind: &str) -> std::io::Result<Option<Shrunk>> {
    for setting in candidates(setting) {
        let verdict = run(seed, &setting)?;
        if verdict.violations.iter().any(|found| found.kind() == kind) {
            return Ok(Some(Shrunk { setting, verdict }));
        }
    }
    Ok(None)
}

/// Every world that is smaller by one step, those first that leave out most.
fn candidates(from: &Setting) -> impl Iterator<Item = Setting> + '_ {
    let plans = PLANS.filter(move |plans| from.plans_max.is_none_or(|most| *plans < most));
    let plans = plans.map(move |plans| Setting { plans_max: Some(plans), ..from.clone() });
    let stages = STAGES.filter(move |stages| from.stages_max.is_none_or(|most| *stages < most));
    let stages = stages.map(move |stages| Setting { stages_max: Some(stages), ..from.clone() });
    let storms = STORMS.into_iter().map(Duration::from_secs);
    let storms = storms.filter(move |storm| from.storm_max.is_none_or(|most| *storm < most));
    let storms = storms.map(move |storm| Setting { storm_max: Some(storm), ..from.clone() });
    let faults = Fault::NAMED.into_iter().filter(move |(_, fault)| from.has(*fault));
    let faults = faults.map(move |(_, fault)| {
        let mut setting = from.clone();
        setting.without.insert(fault);
        setting
    });
    plans.chain(stages).chain(faults).chain(storms)
}

impl Setting {
    /// The arguments of `sim` that make such a world of a seed.
    pub fn arguments(&self, seed: u64) -> String {
        let mut text = format!("--from {seed} --count 1");
        let named = Mutation::NAMED.iter().find(|(_, mutation)| *mutation == self.mutation);
        text += &named.map(|(name, _)| format!(" --without {name}")).unwrap_or_default();
        text += &self.plans_max.map(|plans| format!(" --plans {plans}")).unwrap_or_default();
        text += &self.stages_max.map(|stages| format!(" --stages {stages}")).unwrap_or_default();
        let storm = self.storm_max.map(|storm| format!(" --storm {}", storm.as_secs()));
        text += &storm.unwrap_or_default();
        for (name, _) in Fault::NAMED.iter().filter(|(_, fault)| !self.has(*fault)) {
            text += &format!(" --no-fault {name}");
        }
        text
    }
}
