use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

const NOW: Duration = Duration::from_secs(1_000);

fn attempt(number: u32, capability: &str, running: bool, second: i64) -> Attempt {
    let key = AttemptKey { stage: 0, run: 1, task: 0, number };
    let since = Timestamp::from_second(second).unwrap();
    Attempt { key, capability: Capability::new(capability), running, since }
}

fn random(random: &mut StdRng) -> Attempt {
    let capability = ["bake", "deploy", "webhook"][random.random_range(0..3)];
    let number = random.random_range(1..4);
    attempt(number, capability, random.random(), random.random_range(0..9))
}

fn known(attempts: impl IntoIterator<Item = Attempt>) -> Known {
    Known { is_held: false, attempts: (0..).zip(attempts).collect() }
}

/// The same, counted by walking all of them.
fn walked(table: &Table, capability: &Capability) -> (u64, u64, Option<Timestamp>) {
    let all = || {
        let all = table.executions.values().flat_map(|known| known.attempts.values());
        all.filter(|one| one.capability == *capability)
    };
    let ready = || all().filter(|one| !one.running);
    let running = all().filter(|one| one.running).count() as u64;
    (ready().count() as u64, running, ready().map(|one| one.since).min())
}

#[test]
fn what_is_added_up_is_what_a_walk_finds() {
    let mut dice = StdRng::seed_from_u64(5);
    let counted = Counted::default();
    for _ in 0..2_000 {
        let id = ExecutionId::new(format!("e{}", dice.random_range(0..20)));
        let count = dice.random_range(0..4);
        match dice.random_range(0..3) {
            0 => counted.forget(&id),
            1 => {
                let all = known((0..count).map(|_| random(&mut dice)));
                counted.table().replace_all(&id, all, NOW);
            }
            _ => {
                let one = dice.random::<bool>().then(|| random(&mut dice));
                counted.table().replace(&id, count, one, NOW);
            }
        }
        for part in counted.parts(NOW) {
            let found = (part.ready, part.running, part.oldest);
            assert_eq!(found, walked(&counted.table(), &part.capability));
        }
    }
    for number in 0..20 {
        counted.forget(&ExecutionId::new(format!("e{number}")));
    }
    let left = counted.parts(NOW);
    assert!(left.iter().all(|part| part.ready + part.running == 0 && part.oldest.is_none()));
    assert!(counted.table().executions.is_empty());
}

#[test]
fn what_ended_is_drained_and_what_was_taken_over_or_left_is_not() {
    let (counted, id) = (Counted::default(), ExecutionId::new("e"));
    let put = |attempts: Vec<Attempt>| counted.table().replace_all(&id, known(attempts), NOW);
    let drained = |now| counted.parts(now)[0].drained_per_second * 60.0;
    put(vec![attempt(1, "bake", true, 1)]);
    put(vec![attempt(1, "bake", false, 2)]);
    assert_eq!(drained(NOW), 0.0, "it only changed hands");
    put(vec![attempt(2, "bake", false, 3)]);
    assert_eq!(drained(NOW), 1.0, "the first one ended");
    put(Vec::new());
    assert_eq!(drained(NOW), 2.0);
    put(vec![attempt(3, "bake", true, 4)]);
    counted.forget(&id);
    assert_eq!(drained(NOW), 2.0, "it only left");
    assert_eq!(drained(NOW + Duration::from_secs(54)), 2.0);
    assert_eq!(drained(NOW + Duration::from_secs(60)), 0.0, "a minute ago");
}
