//! Inheritance: a holder has the boost of its most urgent waiter, and of nobody who does not wait.

use proptest::prelude::*;
use scx_gamer::policy::{BOOST_MAX, WAITERS_MAX, Waiter, inherited, wait_counts, waiter_place};

type Waiters = [Waiter; WAITERS_MAX];

/// What happens to a holder.
#[derive(Clone, Debug)]
enum Event {
    Waits { pid: u32, boost: u32 },
    Ends { pid: u32 },
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1..9_u32, 1..=BOOST_MAX).prop_map(|(pid, boost)| Event::Waits { pid, boost }),
        (1..9_u32).prop_map(|pid| Event::Ends { pid }),
    ]
}

fn put(waiters: &mut Waiters, pid: u32, boost: u32) {
    if let Some(place) = waiter_place(waiters, pid, boost) {
        waiters[place] = Waiter {
            pid,
            boost,
            lock: 0,
        };
    }
}

fn take_out(waiters: &mut Waiters, pid: u32) {
    let own = waiters.iter_mut().filter(|waiter| waiter.pid == pid);
    own.for_each(|waiter| waiter.pid = 0);
}

proptest! {
    #[test]
    fn nobody_is_remembered_twice_and_nobody_who_has_ended(
        events in proptest::collection::vec(event(), 0..60),
    ) {
        let mut waiters = Waiters::default();
        let mut waiting = std::collections::BTreeMap::new();
        for event in events {
            match event {
                Event::Waits { pid, boost } => {
                    put(&mut waiters, pid, boost);
                    waiting.insert(pid, boost);
                }
                Event::Ends { pid } => {
                    take_out(&mut waiters, pid);
                    waiting.remove(&pid);
                }
            }
            let mut known: Vec<u32> = waiters.iter().map(|waiter| waiter.pid).collect();
            known.retain(|pid| *pid != 0);
            prop_assert!(known.iter().all(|pid| waiting.contains_key(pid)));
            known.sort_unstable();
            let count = known.len();
            known.dedup();
            prop_assert_eq!(known.len(), count);
            prop_assert!(inherited(&waiters) <= waiting.values().copied().max().unwrap_or(0));
        }
    }

    #[test]
    fn whoever_waits_the_most_urgent_counts(
        boosts in proptest::collection::vec(1..=BOOST_MAX, 1..20),
    ) {
        let mut waiters = Waiters::default();
        for (pid, &boost) in (1..).zip(&boosts) {
            put(&mut waiters, pid, boost);
        }
        prop_assert_eq!(inherited(&waiters), boosts.iter().copied().max().unwrap_or(0));
    }

    #[test]
    fn without_waiters_nothing_is_inherited(boosts: [u32; WAITERS_MAX], lock: u64) {
        let waiters = boosts.map(|boost| Waiter { pid: 0, boost, lock });
        prop_assert_eq!(inherited(&waiters), 0);
    }
}

#[test]
fn a_long_wait_lends_no_more() {
    assert!(wait_counts(0) && wait_counts(4_999_999_999) && wait_counts(-1));
    assert!(!wait_counts(5_000_000_000) && !wait_counts(i64::MAX));
}
