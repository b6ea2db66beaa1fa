//! The servers that keep nothing on disk come back empty.

use std::sync::Arc;
use std::time::Duration;

use super::World;
use super::chance::Chance;
use super::setting::Fault;

/// Told apart from the seed's other dice, so that what else it tells stays as it was.
const DICE: u64 = 0x0b11_7102_5ed0_5eed;
/// When the last of it happens, in seconds.
const WITHIN: u64 = 300;

/// When each comes back empty, in seconds, where it does.
struct Forgets {
    leases: Vec<u64>,
    queues: Vec<u64>,
}

impl Forgets {
    /// Each forgets in one world of four, once or twice.
    fn roll(world: &World) -> Self {
        let chance = Chance::of(world.seed ^ DICE);
        let times = |fault| {
            let count = if chance.one_in(4) { chance.between(1, 3) } else { 0 };
            let mut times: Vec<u64> = (0..count).map(|_| chance.between(0, WITHIN)).collect();
            times.sort_unstable();
            if world.setting.has(fault) { times } else { Vec::new() }
        };
        Self { leases: times(Fault::LeasesForgotten), queues: times(Fault::QueuesForgotten) }
    }
}

/// Has them forget, as long as the storm lasts.
pub(crate) async fn forget(world: Arc<World>) {
    let Forgets { leases, queues } = Forgets::roll(&world);
    tokio::join!(
        at_each(&world, leases, || {
            world.leases.forget();
            world.ledger.leases_are_forgotten();
        }),
        at_each(&world, queues, || world.broker.forget()),
    );
}

async fn at_each(world: &World, times: Vec<u64>, forget: impl Fn()) {
    for seconds in times {
        let at = Duration::from_secs(seconds);
        tokio::time::sleep(at.saturating_sub(world.clock_elapsed())).await;
        if !world.weather.is_calm() {
            forget();
        }
    }
}
