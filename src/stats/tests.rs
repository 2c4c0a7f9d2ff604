//! Goal: metrics tell the truth about the interval, whatever happens in between, and every client
//! gets its own. Method: synthetic snapshots; a real server on a socket in a temporary directory.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use scx_stats::{Meta, StatsClient};
use tempfile::TempDir;

use super::*;
use crate::detect::DetectorState;
use crate::detect::cost::Cost;
use crate::detect::flip::Display;
use crate::detect::input::InputTotals;
use crate::detect::sync::LockCounts;

/// A snapshot `age` after the scheduler was attached at `attached_at`: each CPU's counters are
/// `count`.
pub(crate) fn snapshot(attached_at: Instant, age: Duration, count: u64) -> Snapshot {
    let cpu = intf::cpu_stats {
        counters: [count; intf::STAT_CNT as usize],
        role_stint_cnt: by_role(count),
        role_late_cnt: by_role(count / 10),
        role_run_ns: by_role(count * 1_000_000),
        wait_max_ns: 5_000_000,
        wait_hist: std::array::from_fn(|bucket| if bucket == 20 { count } else { 0 }),
    };
    Snapshot {
        taken_at: attached_at + age,
        attached_at,
        restart_cnt: 0,
        online_cpu_cnt: 2,
        cpu_stats: vec![cpu; 2],
        llcs: vec![Llc {
            load_pct: 40,
            busy: false,
        }],
        input: InputTotals::new([2 * count; DEVICE_CLASS_CNT], 0),
        drained_cnt: [count; DEVICE_CLASS_CNT],
        locks: LockCounts {
            begun: std::array::from_fn(|kind| count * (kind as u64 + 1)),
            ended: 0,
            inherited: 3 * count,
        },
        queue_dropped_cnt: 0,
        napi: vec![
            intf::napi_counters::default(),
            intf::napi_counters {
                poll_cnt: count,
                packet_cnt: 2 * count,
            },
        ],
        displays: vec![Display {
            card_idx: 0,
            crtc_idx: 1,
            last_flip_ns: 7,
            interval_ns: 20_000_000,
            refresh_ns: 10_000_000,
            flip_cnt: count,
            missed_cnt: 0,
            owner_tgid: 43,
        }],
        gpu_irq_cnts: vec![0, 3 * count],
        xrun_cnt: 0,
        game: Some(Game {
            pid: 42,
            name: "Game.exe".into(),
            confidence_pct: 90,
        }),
        detectors: vec![(
            "input",
            DetectorState::Active {
                hook: "fentry/input_event".into(),
            },
        )],
        detector_costs: vec![(
            "gpu",
            Cost {
                event_cnt: 3 * count,
                skipped_cnt: count,
                run_cnt: 2 * count,
                run_time_ns: 200 * count,
            },
        )],
        programs: vec![program(1, "gamer_enqueue", count, count * 300)],
    }
}

/// There are more places than roles.
fn by_role(count: u64) -> [u64; ROLE_SLOT_CNT] {
    std::array::from_fn(|role| if role < ROLE_CNT { count } else { 0 })
}

fn program(id: u32, name: &str, run_cnt: u64, run_time_ns: u64) -> Program {
    Program {
        id,
        name: name.into(),
        run_cnt,
        run_time_ns,
    }
}

/// Answers `request_cnt` rounds of requests, or gives up when none comes for 10 s.
pub(crate) fn answer_requests(
    server: &StatsServer,
    request_cnt: usize,
    mut take: impl FnMut() -> Result<Snapshot>,
) {
    let mut taken = 0;
    let unexplained = |_| Ok(None);
    while taken < request_cnt {
        let mut fds = [PollFd::new(server.wake_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(10_000u16)).expect("polls");
        assert_eq!(ready, 1, "no request came");
        let counted = || {
            taken += 1;
            take()
        };
        let _ = server.answer(counted, unexplained);
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn difference_covers_the_interval_alone() {
    let start = Instant::now();
    let mut before = snapshot(start, SECOND, 100);
    let mut after = snapshot(start, 2 * SECOND, 350);
    (before.xrun_cnt, after.xrun_cnt) = (4, 7);
    after.displays[0].missed_cnt = 25;
    let metrics = Metrics::between(&before, &after);
    assert_eq!(metrics.interval_s, 1.0);
    assert_eq!(metrics.uptime_s, 2.0);
    assert_eq!(metrics.preempts, 500, "two CPUs, 250 each");
    assert_eq!(metrics.roles["game"].stints, 500);
    assert_eq!(metrics.roles["game"].late, 50);
    assert_eq!(metrics.roles["game"].late_pct, 10.0);
    // 2 * 250 ms of 2 s.
    assert_eq!(metrics.roles["game"].cpu_pct, 25.0);
    assert_eq!(
        metrics.input["mouse"],
        InputMetrics {
            seen: 500,
            drained: 250
        }
    );
    // The CPU that never polled has no place.
    let napi = NapiMetrics {
        polls: 250,
        packets: 500,
    };
    assert_eq!(metrics.napi, [(1, napi)].into());
    let display = DisplayMetrics {
        hz: 50.0,
        mode_hz: 100.0,
        flips: 250,
        missed: 25,
        owner_pid: 43,
    };
    assert_eq!(metrics.displays["card0 crtc1"], display);
    let irqs: Vec<_> = metrics.gpu_irqs.into_iter().collect();
    assert_eq!(irqs, [(1, GpuIrqMetrics { interrupts: 750 })]);
    assert_eq!(metrics.waits, 500);
    assert_eq!(metrics.lock_waits["pi"], 250);
    assert_eq!(metrics.lock_waits["refused"], 6 * 250);
    assert_eq!(metrics.lock_inherited, 3 * 250);
    assert_eq!(metrics.xruns, 3);
    assert_eq!(
        metrics.programs["gamer_enqueue"],
        ProgramMetrics {
            runs: 250,
            mean_ns: 300.0
        }
    );
    assert_eq!(
        metrics.detector_costs["gpu"],
        DetectorMetrics {
            events: 750,
            skipped: 250,
            mean_ns: 100.0
        }
    );
    // 250 runs of 300 ns for 500 stints in each role.
    assert_eq!(metrics.decision_ns, 150.0 / ROLE_CNT as f64);
}

#[test]
fn each_counter_lands_in_its_own_metric() {
    let start = Instant::now();
    let mut after = snapshot(start, SECOND, 0);
    for (value, counter) in (1u64..).zip(&mut after.cpu_stats[0].counters) {
        *counter = value;
    }
    let m = Metrics::since_attach(&after);
    let dispatches = [
        m.dispatch_idle,
        m.dispatch_own,
        m.dispatch_llc,
        m.dispatch_steal,
        m.dispatch_keep,
        m.dispatch_kthread,
    ];
    assert_eq!(dispatches, [1, 2, 3, 4, 5, 6]);
    let others = [
        m.enqueue_llc,
        m.enqueue_own,
        m.preempts,
        m.idle_kicks,
        m.rt_reenqueues,
        m.spin_unboosted,
        m.window_hits,
        m.regime_switches,
        m.missing_contexts,
        m.loans,
        m.not_admitted,
        m.heirs_moved,
        m.perf_changes,
        m.packed,
        m.dispatch_warm,
        m.tickless,
    ];
    assert_eq!(
        others,
        [7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22]
    );
}

#[test]
fn restart_counts_from_the_new_attach() {
    let start = Instant::now();
    let before = snapshot(start, 10 * SECOND, 1_000);
    // Attached again a second ago; its counters have already overtaken the old ones.
    let mut after = snapshot(start + 11 * SECOND, SECOND, 2_000);
    after.input = InputTotals::new([2_002; DEVICE_CLASS_CNT], 0);
    after.programs[0].id = 2;
    let metrics = Metrics::between(&before, &after);
    assert_eq!(metrics.interval_s, 1.0);
    assert_eq!(metrics.preempts, 4_000);
    assert_eq!(metrics.programs["gamer_enqueue"].runs, 2_000);
    assert_eq!(
        metrics.input["mouse"].seen, 2,
        "the detector was not restarted"
    );
}

#[test]
fn shrunken_counter_never_becomes_a_huge_number() {
    let start = Instant::now();
    let metrics = Metrics::between(
        &snapshot(start, SECOND, 100),
        &snapshot(start, 2 * SECOND, 10),
    );
    assert_eq!(metrics.preempts, 20);
    assert_eq!(metrics.waits, 20);
}

#[test]
fn empty_interval_and_no_cpus_give_finite_numbers() {
    let start = Instant::now();
    let same = snapshot(start, SECOND, 100);
    let mut bare = same.clone();
    bare.cpu_stats.clear();
    bare.input = InputTotals::default();
    bare.online_cpu_cnt = 0;
    for metrics in [
        Metrics::between(&same, &same),
        Metrics::between(&bare, &bare),
        Metrics::between(&snapshot(start, 2 * SECOND, 100), &same),
        Metrics::since_attach(&snapshot(start, Duration::ZERO, 0)),
        Metrics::since_attach(&snapshot(start, SECOND, u64::MAX / 1_000_000)),
    ] {
        let text = serde_json::to_string(&metrics).expect("is JSON");
        let back: Metrics = serde_json::from_str(&text).expect("no infinity became null");
        assert_eq!(back.waits, metrics.waits);
    }
}

#[test]
fn every_metric_is_described() {
    let mut help = Vec::new();
    write_help(&mut help).expect("writes");
    let help = String::from_utf8(help).expect("is text");
    for meta in [
        Metrics::meta(),
        RoleMetrics::meta(),
        LlcMetrics::meta(),
        InputMetrics::meta(),
        ProgramMetrics::meta(),
    ] {
        assert!(
            meta.attrs.desc.is_some(),
            "{} has no description",
            meta.name
        );
        for (name, field) in &meta.fields {
            let description = field.attrs.desc.as_ref();
            let description = description.unwrap_or_else(|| panic!("{name} is not described"));
            assert!(help.contains(description.as_str()), "the help lacks {name}");
        }
    }
}

#[test]
fn every_role_and_device_class_has_a_name() {
    assert!(
        ROLE_NAMES
            .iter()
            .chain(&DEVICE_NAMES)
            .all(|name| !name.is_empty())
    );
}

fn ask(client: &mut StatsClient) -> Metrics {
    client.request("stats", vec![]).expect("is answered")
}

fn connect(path: &std::path::Path) -> StatsClient {
    StatsClient::new()
        .set_path(path)
        .connect(Some(10_000))
        .expect("connects")
}

#[test]
fn each_client_has_its_own_interval() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("scx/root/stats");
    let server = StatsServer::launch(&path).expect("launches");
    let start = Instant::now();
    let mut age = 0u32;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut one, mut two) = (connect(&path), connect(&path));
            assert_eq!(
                ask(&mut one).interval_s,
                1.0,
                "the first answer: since attach"
            );
            assert_eq!(ask(&mut one).interval_s, 1.0);
            assert_eq!(
                ask(&mut two).interval_s,
                3.0,
                "the first answer: since attach"
            );
            assert_eq!(ask(&mut one).interval_s, 2.0);
            assert_eq!(ask(&mut two).interval_s, 2.0);
        });
        answer_requests(&server, 5, || {
            age += 1;
            Ok(snapshot(start, age * SECOND, 100 * u64::from(age)))
        });
    });
}

#[test]
fn client_is_told_when_there_is_no_snapshot() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("scx/root/stats");
    let server = StatsServer::launch(&path).expect("launches");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let answer = connect(&path).request::<Metrics>("stats", vec![]);
            let message = format!("{:#}", answer.expect_err("no snapshot"));
            assert!(message.contains("gave no statistics"), "{message}");
        });
        answer_requests(&server, 1, || anyhow::bail!("no map"));
    });
}

#[test]
fn a_process_is_explained_by_its_id_and_no_snapshot_is_taken_for_that() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("scx/root/stats");
    let server = StatsServer::launch(&path).expect("launches");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = connect(&path);
            let mut about = |pid: &str| {
                let args = [("target", EXPLAIN), (EXPLAIN_PID, pid)];
                let args = args.map(|(key, value)| (key.to_owned(), value.to_owned()));
                client.request::<Option<Explanation>>("stats", args.into())
            };
            let message = format!("{:#}", about("x").expect_err("no id"));
            assert!(message.contains("no process id"), "{message}");
            let answer = about("7").expect("answers").expect("is there");
            assert_eq!(answer.pid, 7);
        });
        let mut fds = [PollFd::new(server.wake_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(10_000u16)).expect("polls");
        assert_eq!(ready, 1, "no request came");
        let explain = |pid| {
            Ok(Some(Explanation {
                pid,
                ..Explanation::default()
            }))
        };
        let answered = server.answer(|| anyhow::bail!("nobody asked"), explain);
        answered.expect("answers");
    });
}

#[test]
fn stale_socket_does_not_prevent_a_start_and_none_is_left() {
    let dir = TempDir::new().expect("temporary directory");
    let path = dir.path().join("scx/root/stats");
    std::fs::create_dir_all(path.parent().expect("has a parent")).expect("creates");
    // Dropping a listener leaves its file, as SIGKILL does.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
    assert!(path.exists());
    let server = StatsServer::launch(&path).expect("launches over a stale socket");
    let mode = std::fs::metadata(&path)
        .expect("exists")
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o660, "others can reach the socket");
    drop(connect(&path));
    drop(server);
    assert!(!path.exists());
}
