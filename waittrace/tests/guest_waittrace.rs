//! The tracer against real waits of known length. Run inside the VM, as root, one test at a time:
//! hogs on CPU 1, the test itself on CPU 0, waiting only for its own children.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use libbpf_rs::query::ProgInfoIter;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use waittrace::{TaskWait, Tracer, WaitReport};

const SPIN: &str = "while :; do :; done";
const BUSY_CPU: &str = "1";

/// A child that is killed when the test is done with it.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().expect("taskset and timeout are installed"))
    }

    /// A hog on the busy CPU; `taskset` becomes the shell, so that the pid is the hog's.
    fn hog() -> Self {
        Self::start(Command::new("taskset").args(["-c", BUSY_CPU, "sh", "-c", SPIN]))
    }

    /// A real-time hog on the busy CPU; `timeout` itself stays on the free one.
    fn rt_hog(seconds: &str) -> Self {
        let hog = [
            "taskset", "-c", BUSY_CPU, "chrt", "-f", "50", "sh", "-c", SPIN,
        ];
        Self::start(Command::new("timeout").arg(seconds).args(hog))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("the child is ours")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Keeps this process, and what it starts, off the busy CPU.
fn stay_on_cpu_0() {
    let mut cpus = CpuSet::new();
    cpus.set(0).unwrap();
    sched_setaffinity(Pid::from_raw(0), &cpus).unwrap();
}

fn pass(seconds: &str) {
    Running::start(Command::new("sleep").arg(seconds)).wait();
}

fn finished(report: &WaitReport) -> &TaskWait {
    report
        .normal
        .longest_finished
        .as_ref()
        .expect("there were waits")
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_task_starved_by_a_real_time_task_has_the_longest_wait() {
    stay_on_cpu_0();
    let victim = Running::hog();
    pass("0.3");
    let tracer = Tracer::start().unwrap();
    Running::rt_hog("1.5").wait();
    pass("0.2");
    let report = tracer.report().unwrap();
    println!("{report}");
    let longest = finished(&report);
    assert_eq!(longest.pid, victim.pid());
    assert_eq!(
        (longest.policy.as_str(), longest.cpu, longest.allowed_cpus),
        ("other", 1, 1)
    );
    assert!(longest.wait_us >= 400_000);
    assert_eq!(report.lost, 0);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_wait_is_seen_while_it_lasts() {
    stay_on_cpu_0();
    let victim = Running::hog();
    pass("0.3");
    let tracer = Tracer::start().unwrap();
    let mut hog = Running::rt_hog("3");
    // The kernel lets the victim in for a moment now and then: look more than once.
    let mut seen = Vec::new();
    for _ in 0..4 {
        pass("0.3");
        seen.extend(tracer.report().unwrap().normal.longest_open);
    }
    hog.wait();
    let longest = seen
        .iter()
        .filter(|wait| wait.pid == victim.pid())
        .max_by_key(|w| w.wait_us);
    println!("open: {}", longest.expect("the victim was seen waiting"));
    assert!(longest.is_some_and(|wait| wait.wait_us >= 300_000));
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn hogs_that_share_a_cpu_wait_for_each_other_but_not_long() {
    stay_on_cpu_0();
    let _hogs: Vec<Running> = (0..4).map(|_| Running::hog()).collect();
    pass("0.3");
    let mut tracer = Tracer::start().unwrap();
    pass("2");
    let report = tracer.report().unwrap();
    println!("{report}");
    let longest = finished(&report);
    // A hog, or a kernel thread of their CPU: that one has been seen to wait 200 ms behind them.
    assert_eq!(longest.cpu.to_string(), BUSY_CPU);
    assert!(report.normal.p50_us > 1_000);
    assert!(longest.wait_us > 1_000 && longest.wait_us < report.duration_us);
    assert!(report.switches > 0 && report.wakeups > 0 && report.normal.waits > 0);
    assert!(report.normal.p50_us <= report.normal.p99_us);
    assert!(report.normal.p99_us <= report.normal.max_us);

    tracer.reset().unwrap();
    let fresh = tracer.report().unwrap();
    assert!(fresh.switches < report.switches);
    assert!(
        fresh
            .longest()
            .is_none_or(|wait| wait.wait_us <= fresh.duration_us)
    );
}

/// Within this time the kernel has given back the memory of processes that have ended.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// What each program costs, by the kernel's own BPF statistics.
fn print_cost() {
    for program in ProgInfoIter::default().filter(|program| program.run_cnt > 0) {
        let name = program.name.to_string_lossy();
        let cost_ns = program.run_time_ns / program.run_cnt;
        println!("cost: {name}: {cost_ns} ns, {} times", program.run_cnt);
    }
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn short_processes_leave_nothing_behind() {
    stay_on_cpu_0();
    fs::write("/proc/sys/kernel/bpf_stats_enabled", "1").unwrap();
    let tracer = Tracer::start().unwrap();
    let fork = |count: &str| {
        let script = format!("i=0; while [ $i -lt {count} ]; do (:); i=$((i+1)); done");
        assert!(
            Running::start(Command::new("sh").args(["-c", &script]))
                .wait()
                .success()
        );
    };
    // Fills the kernel's own caches first.
    fork("1000");
    let before_kb = slab_kb();
    fork("8000");
    // One storage of each process kept would be 2 MB and more.
    let limit_kb = before_kb + 1_200;
    let mut after_kb = slab_kb();
    // The kernel gives back what processes had only when every CPU has passed a grace period of its RCU.
    let began = Instant::now();
    while after_kb >= limit_kb && began.elapsed() < GIVEN_BACK {
        std::thread::park_timeout(Duration::from_millis(10));
        after_kb = slab_kb();
    }
    let report = tracer.report().unwrap();
    println!("{report}\nunreclaimable slab: {before_kb} kB before, {after_kb} kB after");
    print_cost();
    assert!(report.wakeups > 9_000);
    assert_eq!(report.lost, 0);
    assert!(after_kb < limit_kb);
}

fn slab_kb() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("SUnreclaim:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Runs the program itself.
fn waittrace(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_waittrace"))
        .args(args)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn the_program_passes_the_exit_code_on_and_writes_its_report() {
    let (code, stdout, _) = waittrace(&["--json", "--", "sh", "-c", "exit 7"]);
    assert_eq!(code, Some(7));
    assert!(WaitReport::from_json(&stdout).unwrap().switches > 0);

    let path = std::env::temp_dir().join("waittrace.json");
    let name = path.to_str().unwrap();
    let (code, stdout, _) = waittrace(&["--json", "--out", name, "--seconds", "1"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let report = WaitReport::from_json(&fs::read_to_string(&path).unwrap()).unwrap();
    assert!(report.duration_us >= 1_000_000);

    let (code, _, stderr) = waittrace(&["--", "no-such-command"]);
    assert_eq!(code, Some(127));
    assert!(stderr.contains("no-such-command"), "{stderr}");
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_signal_ends_the_measurement_and_the_report_is_written() {
    let command: &[&str] = &["--", "sleep", "100"];
    for (args, signal) in [
        (command, Signal::SIGTERM),
        (&["--seconds", "100"], Signal::SIGINT),
    ] {
        let stdout = interrupted(args, signal);
        assert!(stdout.contains("switches"), "{stdout}");
    }
}

/// What the program prints when this signal arrives, once it reads its signals.
fn interrupted(args: &[&str], signal: Signal) -> String {
    let mut program = Command::new(env!("CARGO_BIN_EXE_waittrace"));
    let child = program.args(args).stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let is_read = || {
        let status = fs::read_to_string(&status).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        let blocked = u64::from_str_radix(blocked.unwrap().trim(), 16).unwrap();
        blocked & 1 << (signal as i32 - 1) != 0
    };
    let began = Instant::now();
    while !is_read() {
        assert!(began.elapsed() < Duration::from_secs(30), "never ready");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}
