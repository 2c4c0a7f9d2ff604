//! Who holds a lock: only a living task that the waiter's own process, or its family, could mean.

use proptest::prelude::*;
use scx_gamer::intf::{
    POLICY_LOCK_GLIBC as GLIBC, POLICY_LOCK_NTSYNC as NTSYNC, POLICY_LOCK_PI as PI,
    POLICY_LOCK_REFUSED as REFUSED, POLICY_LOCK_SILENT as SILENT, POLICY_LOCK_WINE as WINE,
};
use scx_gamer::policy::{LockClaim, LockHolder, lock_claim, lock_claim_pi, lock_outcome};

/// The word of a contended pthread mutex.
const CONTENDED: u32 = 2;
/// The bit of a process-shared one in its kind.
const SHARED: u32 = 128;

prop_compose! {
    fn holder()(
        is_alive: bool, is_waiter: bool, in_process: bool, in_family: bool, lock_is_shared: bool,
    ) -> LockHolder {
        LockHolder { is_alive, is_waiter, in_process, in_family, lock_is_shared }
    }
}

prop_compose! {
    fn claim()(kind in 0..8_u32, owner in prop_oneof![any::<u32>(), Just(0)]) -> LockClaim {
        LockClaim { kind, owner }
    }
}

/// Memory: anything, or nearly a mutex.
fn words() -> impl Strategy<Value = [u32; 5]> {
    prop_oneof![
        any::<[u32; 5]>(),
        [0..5_u32, 0..3_u32, 0..5_u32, 0..3_u32, 0..1024_u32],
    ]
}

proptest! {
    #[test]
    fn a_holder_is_alive_somebody_else_and_within_reach(claim in claim(), holder in holder()) {
        let outcome = lock_outcome(&claim, &holder);
        if outcome < SILENT {
            prop_assert_eq!(outcome, claim.kind);
            prop_assert!(claim.owner != 0 && holder.is_alive && !holder.is_waiter);
            prop_assert!(holder.in_process || holder.lock_is_shared && holder.in_family);
        } else {
            prop_assert!(outcome == SILENT || outcome == REFUSED);
        }
    }

    #[test]
    fn without_a_name_nobody_is_refused(claim in claim(), holder in holder()) {
        let named = claim.kind < SILENT && claim.owner != 0;
        prop_assert_eq!(lock_outcome(&claim, &holder) == SILENT, !named);
    }

    #[test]
    fn a_private_lock_has_no_holder_elsewhere(claim in claim(), holder in holder()) {
        let elsewhere = LockHolder { lock_is_shared: false, in_process: false, ..holder };
        prop_assert!(lock_outcome(&claim, &elsewhere) >= SILENT);
    }

    #[test]
    fn a_word_that_has_changed_names_nobody(words in words(), expected: u32, shared: bool) {
        prop_assume!(words[0] != expected);
        prop_assert_eq!(lock_claim(&words, expected, shared).kind, SILENT);
    }

    #[test]
    fn a_claim_names_what_stands_in_the_memory(words in words(), shared: bool) {
        let claim = lock_claim(&words, words[0], shared);
        match claim.kind {
            GLIBC => {
                prop_assert_eq!((words[0], claim.owner), (CONTENDED, words[2]));
                prop_assert!(words[3] != 0 && (words[4] & SHARED != 0) == shared);
            }
            WINE => {
                prop_assert_eq!(claim.owner, words[0]);
                prop_assert!(shared && claim.owner.is_multiple_of(4));
            }
            kind => prop_assert_eq!((kind, claim.owner), (SILENT, 0)),
        }
    }

    #[test]
    fn a_pi_word_names_its_owner_until_that_has_died(word: u32) {
        let claim = lock_claim_pi(word);
        prop_assert_eq!(claim.kind, PI);
        let died = word & 1 << 30 != 0;
        prop_assert_eq!(claim.owner, if died { 0 } else { word & 0x3fff_ffff });
    }
}

#[test]
fn the_cases_that_gave_the_rule() {
    let glibc = |words, shared| lock_claim(&words, words[0], shared);
    let is_of = |claim: LockClaim, kind, owner| {
        assert_eq!((claim.kind, claim.owner), (kind, owner));
    };
    is_of(glibc([2, 0, 77, 1, 0], false), GLIBC, 77);
    is_of(glibc([2, 3, 77, 1, 1], false), GLIBC, 77);
    is_of(glibc([2, 0, 77, 1, 128], true), GLIBC, 77);
    // Taken, and its owner not written yet.
    is_of(glibc([2, 0, 0, 0, 0], false), SILENT, 0);
    is_of(glibc([2, 0, 0, 1, 0], false), SILENT, 0);
    // A condition variable before its mutex; a lock of stdio, whose owner is a pointer.
    is_of(glibc([2, 0, 1, 0, 77], false), SILENT, 0);
    is_of(glibc([2, 1, 0x1740, 0x7f01, 0], false), GLIBC, 0x1740);
    // Robust: the word itself holds the owner.
    is_of(glibc([77 | 1 << 31, 0, 77, 1, 16], false), SILENT, 0);
    // Wine: a mutex, one that was abandoned, an event, a semaphore.
    is_of(glibc([0x24, 1, 0, 0, 0], true), WINE, 0x24);
    is_of(glibc([!0, 0, 0, 0, 0], true), SILENT, 0);
    is_of(glibc([0, 0, 0, 0, 0], true), SILENT, 0);
    is_of(glibc([0, 5, 0, 0, 0], true), SILENT, 0);

    let claim = |kind| LockClaim { kind, owner: 77 };
    let alive = LockHolder {
        is_alive: true,
        ..LockHolder::default()
    };
    let sibling = LockHolder {
        in_process: true,
        ..alive
    };
    assert_eq!(lock_outcome(&claim(GLIBC), &sibling), GLIBC);
    assert_eq!(lock_outcome(&claim(GLIBC), &alive), REFUSED);
    let itself = LockHolder {
        is_waiter: true,
        ..sibling
    };
    assert_eq!(lock_outcome(&claim(PI), &itself), REFUSED);
    let of_family = LockHolder {
        in_family: true,
        lock_is_shared: true,
        ..alive
    };
    assert_eq!(lock_outcome(&claim(NTSYNC), &of_family), NTSYNC);
    assert_eq!(
        lock_outcome(&claim(NTSYNC), &LockHolder::default()),
        REFUSED
    );
}
