//! Answers `--explain`: reads what the detectors and the scheduler know about one process' threads.

use std::time::Duration;

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};
use procfs::process::{Process, Task};

use crate::detect::describe_source;
use crate::detect::evidence::{Evidence, EvidenceKind, HOLD_NS, ProcessRecord, Seen};
use crate::policy::{self, RolesInput};
use crate::real_time;
use crate::stats::{
    EvidenceExplanation, Explanation, Place, ROLE_NAMES, THREADS_MAX, ThreadExplanation,
};

/// What is known about the process `pid`; `None`: there is no such process.
pub(super) fn explain(evidence: &Evidence, game: u32, pid: u32) -> Result<Option<Explanation>> {
    // The kernel finds threads below /proc, too.
    let process = i32::try_from(pid)
        .ok()
        .and_then(|pid| Process::new(pid).ok());
    let Some((process, status)) = process.and_then(|one| one.status().ok().map(|is| (one, is)))
    else {
        return Ok(None);
    };
    let tgid = u32::try_from(status.tgid)?;
    let now_ns = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?).as_nanos();
    let now_ns = u64::try_from(now_ns)?;
    let record = evidence.process_records()?.of(tgid);
    let place = match game {
        0 => Place::NoGame,
        game if game == tgid => Place::Game,
        _ if evidence.family().contains(&tgid) => Place::Family,
        _ => Place::Stranger,
    };
    let judge = Judge::new(place, record, now_ns);
    let tasks = process.tasks().into_iter().flatten().flatten();
    let mut tasks: Vec<Task> = tasks.collect();
    let left_out_cnt = tasks.len().saturating_sub(THREADS_MAX);
    tasks.truncate(THREADS_MAX);
    let threads = tasks.iter().filter_map(|task| judge.thread(evidence, task));
    Ok(Some(Explanation {
        pid: tgid,
        name: status.name,
        place,
        owns_display: judge.base.owns_display,
        hands_input: judge.base.hands_input,
        threads: threads.collect(),
        left_out_cnt,
    }))
}

/// What is the same for all threads of the process.
struct Judge {
    base: RolesInput,
    now_ns: u64,
}

impl Judge {
    fn new(place: Place, record: ProcessRecord, now_ns: u64) -> Self {
        let base = RolesInput {
            seen: 0,
            game_known: place != Place::NoGame,
            in_family: matches!(place, Place::Game | Place::Family),
            owns_display: is_recent(now_ns, record.display_ns),
            hands_input: is_recent(now_ns, record.relay_ns),
        };
        Self { base, now_ns }
    }

    /// `None`: it has just ended.
    fn thread(&self, evidence: &Evidence, task: &Task) -> Option<ThreadExplanation> {
        let stat = task.stat().ok()?;
        let tid = u32::try_from(task.tid).ok()?;
        let seen = evidence.of_thread(tid).ok()?;
        let held = evidence.roles_of(tid).ok()?;
        Some(ThreadExplanation {
            tid,
            real_time: real_time::is_real_time(&stat),
            name: stat.comm,
            roles: names_of(held.roles),
            boost: held.boost,
            inherited: held.inherited,
            period_s: held.period_ns as f64 / 1e9,
            evidence: self.evidence(&seen),
        })
    }

    /// What still counts in time, and whether it counts for this process.
    fn evidence(&self, seen: &[Seen]) -> Vec<EvidenceExplanation> {
        let recent = || {
            seen.iter()
                .filter(|seen| is_recent(self.now_ns, seen.last_ns))
        };
        let bits = recent().fold(0, |bits, seen| bits | 1 << seen.kind.index());
        let counting = policy::roles_of_evidence(&RolesInput {
            seen: bits,
            ..self.base
        });
        let seconds = |since_ns| self.now_ns.saturating_sub(since_ns) as f64 / 1e9;
        recent()
            .map(|seen| EvidenceExplanation {
                role: role_of(seen.kind).to_owned(),
                since_s: seconds(seen.since_ns),
                last_s: seconds(seen.last_ns),
                per_s: rate(seen),
                source: describe_source(seen.source),
                counts: counting & (1 << seen.kind.index()) != 0,
            })
            .collect()
    }
}

fn is_recent(now_ns: u64, seen_ns: u64) -> bool {
    seen_ns != 0 && now_ns.saturating_sub(seen_ns) < HOLD_NS
}

/// Events a second, from the first to the last.
fn rate(seen: &Seen) -> f64 {
    let span_ns = seen.last_ns.saturating_sub(seen.since_ns);
    if span_ns == 0 {
        return 0.0;
    }
    f64::from(seen.event_cnt.saturating_sub(1)) * 1e9 / span_ns as f64
}

/// Roles of evidence have the evidence's numbers.
fn role_of(kind: EvidenceKind) -> &'static str {
    ROLE_NAMES.get(kind.index() as usize).copied().unwrap_or("")
}

fn names_of(roles: u16) -> Vec<String> {
    let names = ROLE_NAMES.iter().enumerate();
    let held = names.filter(|(role, _)| roles & (1 << role) != 0);
    held.map(|(_, name)| (*name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(kind: EvidenceKind, last_ns: u64) -> Seen {
        Seen {
            kind,
            last_ns,
            since_ns: last_ns - 2_000_000_000,
            event_cnt: 201,
            source: 0,
            period_ns: 0,
        }
    }

    #[test]
    fn evidence_counts_as_the_scheduler_counts_it() {
        let now_ns = 10_000_000_000;
        let both = [
            seen(EvidenceKind::Gpu, now_ns - 500_000_000),
            seen(EvidenceKind::Storage, now_ns - 1),
            // Too long ago.
            seen(EvidenceKind::Audio, now_ns - 2_000_000_000),
        ];
        let never = ProcessRecord::default();
        let owner = ProcessRecord {
            display_ns: now_ns,
            ..never
        };
        for (place, record, expected) in [
            (Place::NoGame, never, [true, false]),
            (Place::Game, never, [true, true]),
            (Place::Family, never, [true, true]),
            (Place::Stranger, never, [false, false]),
            (Place::Stranger, owner, [true, false]),
        ] {
            let told = Judge::new(place, record, now_ns).evidence(&both);
            let counts: Vec<bool> = told.iter().map(|one| one.counts).collect();
            assert_eq!(counts, expected, "{place:?}");
            assert_eq!(
                (told[0].role.as_str(), told[1].role.as_str()),
                ("gpu", "storage")
            );
            assert!((told[0].per_s - 100.0).abs() < 1e-6, "{}", told[0].per_s);
            assert!((told[0].since_s - 2.5).abs() < 1e-6);
            assert!((told[0].last_s - 0.5).abs() < 1e-6);
        }
    }

    #[test]
    fn roles_are_named_by_their_bits() {
        assert_eq!(names_of(0), [""; 0]);
        assert_eq!(names_of(1 << 1 | 1 << 7), ["gpu", "game"]);
        assert_eq!(names_of(u16::MAX).len(), ROLE_NAMES.len());
    }
}
