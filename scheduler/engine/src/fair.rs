//! Who is next where more work is ready than there is room for (D16): of the tenants that wait, the
//! one whose work takes up the least room, in proportion to its weight; of those with equal parts,
//! the one that was last served longest ago. So a tenant's part does not depend on how much it asks
//! for, nor on how long its work takes. Who was served little lately has credit: a burst of its work
//! gets more than its part for a while, yet never all, since work that takes long keeps its room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;

/// Parts are compared as whole numbers of this for one piece of work of a tenant of weight 1.
const SCALE: u64 = 1 << 20;
/// As many pieces of work a tenant may be served on credit. Each spends one; one is regained while so
/// many pieces of anybody's are served.
const CREDIT_MAX: u64 = 64;
const CREDIT_REGAINED_EVERY: u64 = 4;
/// Room that is taken up on credit counts for this fraction of it.
const CREDIT_DIVISOR: u64 = 4;

/// Work of one kind, of type `K`, that waits for room or takes it up.
#[derive(Debug)]
pub struct Fair<K> {
    tenants: BTreeMap<String, Tenant<K>>,
    /// Those that wait, the next one first.
    order: BTreeSet<(u64, u64, String)>,
    /// Those without work whose credit is not whole, and when it will be.
    regaining: VecDeque<(u64, String)>,
    served: u64,
    offered: u64,
    waiting: usize,
}

#[derive(Debug)]
struct Tenant<K> {
    weight: NonZeroU32,
    /// Larger priorities first, then in order of arrival.
    waiting: BTreeMap<Turn, K>,
    occupied: u64,
    last_served: u64,
    credit: u64,
    /// How much had been served when `credit` was so much.
    credited: u64,
    /// Whether it stands among those that regain theirs without work.
    is_regaining: bool,
}

/// A place among the waiting work of one tenant.
pub type Turn = (Reverse<u8>, u64);

impl<K> Default for Fair<K> {
    fn default() -> Self {
        let (tenants, order, regaining) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        Self { tenants, order, regaining, served: 0, offered: 0, waiting: 0 }
    }
}

impl<K> Tenant<K> {
    fn part(&self) -> u64 {
        let part = self.occupied.saturating_mul(SCALE) / u64::from(self.weight.get());
        if self.credit > 0 { part / CREDIT_DIVISOR } else { part }
    }

    fn regain(&mut self, served: u64) {
        let regained = (served - self.credited) / CREDIT_REGAINED_EVERY;
        self.credit = CREDIT_MAX.min(self.credit + regained);
        self.credited += regained * CREDIT_REGAINED_EVERY;
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.occupied == 0
    }
}

impl<K: Clone> Fair<K> {
    /// How much waits.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits nor takes up room.
    pub fn is_empty(&self) -> bool {
        self.tenants.values().all(Tenant::is_idle)
    }

    /// Gives a tenant another weight than 1.
    pub fn weigh(&mut self, tenant: &str, weight: NonZeroU32) {
        self.change(tenant, |known| known.weight = weight);
    }

    /// Work of a tenant waits from now on.
    pub fn offer(&mut self, tenant: &str, priority: u8, work: K) -> Turn {
        self.offered += 1;
        self.waiting += 1;
        let turn = (Reverse(priority), self.offered);
        self.change(tenant, |known| drop(known.waiting.insert(turn, work)));
        turn
    }

    /// Work that is not wanted any more does not wait any more.
    pub fn withdraw(&mut self, tenant: &str, turn: Turn) {
        let mut found = None;
        self.change(tenant, |known| found = known.waiting.remove(&turn));
        self.waiting -= usize::from(found.is_some());
    }

    /// The next piece of work, whose it is, and its turn; it takes up room from now on.
    pub fn take_next(&mut self) -> Option<(String, Turn, K)> {
        self.take_next_of(|_, _| true)
    }

    /// The same, of those who may have more, told by whose it is and how much room that takes up.
    pub fn take_next_of(
        &mut self,
        may_have_more: impl Fn(&str, u64) -> bool,
    ) -> Option<(String, Turn, K)> {
        let occupied = |name: &str| self.tenants.get(name).map_or(0, |known| known.occupied);
        let mut names = self.order.iter().map(|(_, _, name)| name);
        let tenant = names.find(|name| may_have_more(name, occupied(name)))?.clone();
        self.served += 1;
        self.waiting -= 1;
        let served = self.served;
        let mut next = None;
        self.change(&tenant, |known| {
            next = known.waiting.pop_first();
            known.occupied += 1;
            known.last_served = served;
            known.credit = known.credit.saturating_sub(1);
        });
        self.forget_whole();
        next.map(|(turn, work)| (tenant, turn, work))
    }

    /// Work of a tenant takes up room without having waited.
    pub fn occupy(&mut self, tenant: &str) {
        self.change(tenant, |known| known.occupied += 1);
    }

    /// Work of a tenant takes up room no more.
    pub fn vacate(&mut self, tenant: &str) {
        self.change(tenant, |known| known.occupied = known.occupied.saturating_sub(1));
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&mut Tenant<K>)) {
        let tenant = self.tenants.entry(name.to_owned()).or_insert_with(|| Tenant {
            weight: NonZeroU32::MIN,
            waiting: BTreeMap::new(),
            occupied: 0,
            last_served: 0,
            credit: CREDIT_MAX,
            credited: self.served,
            is_regaining: false,
        });
        self.order.remove(&(tenant.part(), tenant.last_served, name.to_owned()));
        tenant.regain(self.served);
        change(tenant);
        if !tenant.waiting.is_empty() {
            self.order.insert((tenant.part(), tenant.last_served, name.to_owned()));
        } else if tenant.occupied == 0 && !std::mem::replace(&mut tenant.is_regaining, true) {
            let whole = self.served + (CREDIT_MAX - tenant.credit) * CREDIT_REGAINED_EVERY;
            self.regaining.push_back((whole, name.to_owned()));
            self.forget_whole();
        }
    }

    /// Nothing is to be remembered of who has no work, whole credit and the usual weight: there may be
    /// very many that come once.
    fn forget_whole(&mut self) {
        while let Some((whole, name)) = self.regaining.front()
            && *whole <= self.served
        {
            if let Some(known) = self.tenants.get_mut(name) {
                known.is_regaining = false;
                if known.is_idle() && known.weight == NonZeroU32::MIN {
                    self.tenants.remove(name);
                }
            }
            self.regaining.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Serves `count` pieces into that much room, each staying until the next but `room`; all are gone
    /// at the end.
    fn serve(fair: &mut Fair<u32>, count: usize, room: usize) -> Vec<String> {
        let mut busy = std::collections::VecDeque::new();
        let mut order = Vec::new();
        for _ in 0..count {
            if busy.len() == room {
                let tenant: String = busy.pop_front().unwrap();
                fair.vacate(&tenant);
            }
            let Some((tenant, _, _)) = fair.take_next() else { break };
            busy.push_back(tenant.clone());
            order.push(tenant);
        }
        busy.iter().for_each(|tenant| fair.vacate(tenant));
        order
    }

    #[test]
    fn a_flood_does_not_delay_others() {
        let mut fair = Fair::default();
        (0..20_000).for_each(|n| _ = fair.offer("flood", 0, n));
        assert_eq!(serve(&mut fair, 64, 64), vec!["flood"; 64]);
        fair.occupy("flood");
        fair.offer("small", 0, 1);
        assert_eq!(fair.take_next().unwrap().0, "small", "before 19,936 others");
    }

    #[test]
    fn a_burst_of_who_was_served_little_gets_more_than_its_part() {
        let mut fair = Fair::default();
        (0..20_000).for_each(|n| _ = fair.offer("flood", 0, n));
        serve(&mut fair, 1_000, 16);
        (0..16).for_each(|_| _ = fair.take_next());
        (0..32).for_each(|n| _ = fair.offer("burst", 0, n));
        let mut next = || {
            fair.vacate("flood");
            fair.take_next().unwrap().0
        };
        let served: Vec<_> = (0..16).map(|_| next()).collect();
        let of_burst = served.iter().filter(|tenant| *tenant == "burst").count();
        assert!((11..=13).contains(&of_burst), "up to four fifths, never all: {served:?}");
    }

    #[test]
    fn credit_is_spent_and_tenants_that_came_once_are_forgotten() {
        let mut fair = Fair::default();
        (0..1_000).for_each(|n| _ = fair.offer("a", 0, n));
        serve(&mut fair, 500, 16);
        assert_eq!(fair.tenants["a"].credit, 0);
        (0..500).for_each(|n| _ = fair.offer("b", 0, n));
        let order = serve(&mut fair, 400, 8);
        let of_b = order.iter().filter(|tenant| *tenant == "b").count();
        assert!((200..=240).contains(&of_b), "equal parts once credit is spent: {of_b}");
        for tenant in 0..10_000 {
            let turn = fair.offer(&tenant.to_string(), 0, 1);
            fair.withdraw(&tenant.to_string(), turn);
        }
        assert!(fair.tenants.len() < 10, "{}", fair.tenants.len());
    }

    #[test]
    fn equal_tenants_take_turns_and_weights_count() {
        let mut fair = Fair::default();
        for n in 0..100 {
            fair.offer("a", 0, n);
            fair.offer("b", 0, n);
        }
        let order = serve(&mut fair, 40, 8);
        assert_eq!(order.iter().filter(|tenant| *tenant == "a").count(), 20);
        fair.weigh("a", NonZeroU32::new(3).unwrap());
        let order = serve(&mut fair, 60, 8);
        let of_a = order.iter().filter(|tenant| *tenant == "a").count();
        assert!((40..=50).contains(&of_a), "{of_a} of 60 are of whom three times as much is due");
    }

    #[test]
    fn long_work_counts_as_long_as_it_lasts() {
        let mut fair = Fair::default();
        for n in 0..10 {
            fair.offer("long", 0, n);
            fair.offer("short", 0, n);
        }
        let mut served = Vec::new();
        for _ in 0..8 {
            let (tenant, _, _) = fair.take_next().unwrap();
            if tenant == "short" {
                fair.vacate("short");
            }
            served.push(tenant);
        }
        let long = served.iter().filter(|tenant| *tenant == "long").count();
        assert_eq!(long, 1, "what it has is not given back: {served:?}");
    }

    #[test]
    fn priorities_order_the_work_of_one_tenant_only() {
        let mut fair = Fair::default();
        fair.offer("a", 0, 1);
        fair.offer("a", 9, 2);
        fair.offer("b", 0, 3);
        let order: Vec<u32> = std::iter::from_fn(|| fair.take_next().map(|next| next.2)).collect();
        assert_eq!(order, [2, 3, 1]);
    }

    proptest! {
        #[test]
        fn all_work_is_served_once_and_nothing_stays(
            steps in prop::collection::vec((0..5_u8, 0..4_u8, any::<u8>()), 1..200)
        ) {
            let mut fair = Fair::default();
            let (mut waits, mut runs, mut offered, mut ended) = (Vec::new(), Vec::new(), 0, 0);
            for (what, tenant, priority) in steps {
                let tenant = format!("t{tenant}");
                match what {
                    0 | 1 => {
                        offered += 1;
                        waits.push((tenant.clone(), fair.offer(&tenant, priority, offered)));
                    }
                    2 => if let Some((tenant, turn, _)) = fair.take_next() {
                        waits.retain(|(_, waiting)| *waiting != turn);
                        runs.push(tenant);
                    },
                    3 => if let Some(tenant) = runs.pop() {
                        fair.vacate(&tenant);
                        ended += 1;
                    },
                    _ => if let Some((tenant, turn)) = waits.pop() {
                        fair.withdraw(&tenant, turn);
                        fair.withdraw(&tenant, turn);
                        ended += 1;
                    },
                }
                prop_assert_eq!(fair.waiting(), waits.len());
                prop_assert_eq!(offered, ended + waits.len() + runs.len());
            }
            while let Some((tenant, _, _)) = fair.take_next() { runs.push(tenant); }
            runs.iter().for_each(|tenant| fair.vacate(tenant));
            prop_assert_eq!(fair.waiting(), 0);
            prop_assert!(fair.is_empty() && fair.order.is_empty());
        }

        #[test]
        fn whoever_asks_for_less_than_its_part_gets_all_of_it(
            flood in 50..500_u32, modest in 1..4_usize, room in 8..32_usize
        ) {
            let mut fair = Fair::default();
            (0..flood).for_each(|n| _ = fair.offer("flood", 0, n));
            (0..modest).for_each(|n| _ = fair.offer("modest", 0, n.try_into().unwrap()));
            let order = serve(&mut fair, 2 * modest + 1, room);
            let served = order.iter().filter(|tenant| *tenant == "modest").count();
            prop_assert_eq!(served, modest, "{:?}", order);
        }
    }
}
