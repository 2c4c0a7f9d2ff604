//! Results that nobody measured, with their samples: eight contestants, two courses, three rounds.

use arena::plan::Plan;
use arena::results::{
    Cell, Cost, Entrant, KERNEL, Machine, ORACLE, Played, ProgramCost, RESULTS_SCHEMA, Results,
    Status, raw_file,
};
use arena::scenario::Course;
use fastrand::Rng;
use gamesim::report::{
    Audio, Background, Frames, Input, Parts, Quantiles, RUN_SCHEMA, RunReport, Setup, Work,
};
use std::fs;
use std::path::Path;
use waittrace::report::{ClassReport, REPORT_VERSION, TaskWait, WaitReport};

const ROUNDS: u32 = 3;
const SECONDS: f64 = 4.0;
const REFRESH_HZ: u32 = 60;

/// The contestant that is ejected in every cell.
pub(crate) const EJECTED: &str = "scx_cake";
/// What it is ejected with: every mark that a report could take for its own.
pub(crate) const EJECTION: &str =
    "ejected: <script>alert(1)</script> | `stall` \u{1b}[2J\n  on CPU 1 & 2";
/// The contestant whose second round on `hogs` does not count.
pub(crate) const SHORT: &str = "scx_flash";

/// Name, factor of its frame intervals under load, time in BPF programs per switch [ns].
const CONTESTANTS: [(&str, f64, u64); 8] = [
    (KERNEL, 3.0, 0),
    (ORACLE, 1.1, 0),
    ("scx_gamer", 1.6, 410),
    ("scx_lavd", 2.0, 980),
    ("scx_bpfland", 2.6, 450),
    ("scx_cosmos", 3.0, 390),
    (SHORT, 3.3, 520),
    (EJECTED, 1.0, 0),
];

/// Writes the samples to `dir`.
pub(crate) fn results(dir: &Path, kernel: &str, status: Status) -> Results {
    let courses: Vec<Course> = ["quiet-paced", "hogs-uncapped"]
        .map(|c| c.parse().unwrap())
        .into();
    let plan = Plan {
        contestants: CONTESTANTS.map(|(name, _, _)| name.to_owned()).into(),
        courses,
        rounds: ROUNDS,
        seconds: SECONDS,
        warmup: 1.0,
    };
    let mut cells = Vec::new();
    for round in 1..=ROUNDS {
        for contestant in plan.order(round) {
            for course in &plan.courses {
                cells.push(cell(dir, round, contestant, course));
            }
        }
    }
    if status == Status::Partial {
        cells.truncate(20);
    }
    Results {
        schema: RESULTS_SCHEMA,
        version: "0.1.0".to_owned(),
        status,
        date: "2026-11-21".to_owned(),
        command: "scx_gamer-bench run --courses quiet-paced,hogs".to_owned(),
        plan,
        machine: Machine {
            game: "1 bytes of 1".to_owned(),
            kernel: kernel.to_owned(),
            cpus: "2 CPUs".to_owned(),
            clock: "counted".to_owned(),
            loops_per_us: 300,
        },
        entrants: CONTESTANTS
            .iter()
            .map(|(name, _, _)| entrant(name))
            .collect(),
        cells,
    }
}

fn entrant(name: &str) -> Entrant {
    let known = name.starts_with("scx_");
    let text = |text: String| if known { text } else { String::new() };
    Entrant {
        build: String::new(),
        name: name.to_owned(),
        version: text(format!("{name} 1.0.2")),
        command: text(name.to_owned()),
    }
}

fn cell(dir: &Path, round: u32, contestant: &str, course: &Course) -> Cell {
    let error = match (contestant, round) {
        (EJECTED, _) => Some(EJECTION.to_owned()),
        (SHORT, 2) if course.scenario == "hogs" => Some("the game failed".to_owned()),
        _ => None,
    };
    Cell {
        round,
        contestant: contestant.to_owned(),
        course: course.clone(),
        played: error
            .is_none()
            .then(|| played(dir, round, contestant, course)),
        error,
    }
}

fn noise(rng: &mut Rng, size: f64) -> f64 {
    // The sum of twelve is as good as normal.
    let sum: f64 = (0..12).map(|_| rng.f64() - 0.5).sum();
    (sum * size).exp()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "every figure here is positive and small"
)]
fn whole(value: f64) -> u64 {
    value as u64
}

fn samples_ns(rng: &mut Rng, count: u64, median_ms: f64, spread: f64) -> Vec<u64> {
    let sample = |_| {
        let outlier = if rng.u32(0..150) == 0 { 4.0 } else { 1.0 };
        whole(median_ms * outlier * noise(rng, spread) * 1e6)
    };
    (0..count).map(sample).collect()
}

fn played(dir: &Path, round: u32, contestant: &str, course: &Course) -> Played {
    let index = CONTESTANTS
        .iter()
        .position(|(name, _, _)| *name == contestant);
    let (_, factor, program_ns) = CONTESTANTS[index.unwrap()];
    let loaded = course.scenario == "hogs";
    let mut rng =
        Rng::with_seed(u64::from(round) * 100 + index.unwrap() as u64 + u64::from(loaded) * 50);
    let drift = noise(&mut rng, 0.05);
    let median_ms = if loaded { 6.0 * factor } else { 16.6 } * drift;
    let spread = if loaded { 0.25 } else { 0.02 };
    let frames = whole(SECONDS * 1000.0 / median_ms);
    let series = [
        (
            "frame_interval",
            samples_ns(&mut rng, frames, median_ms, spread),
        ),
        (
            "input_to_flip",
            samples_ns(&mut rng, frames * 4, median_ms * 1.8, spread + 0.1),
        ),
        (
            "audio_lateness",
            samples_ns(&mut rng, 375, 0.3 * drift, 0.5),
        ),
    ];
    let raw = raw_file(round, contestant, course);
    fs::create_dir_all(dir.join(&raw).parent().unwrap()).unwrap();
    let lines = series
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| format!("{name},{value}\n")));
    let text: String = std::iter::once("series,value_ns\n".to_owned())
        .chain(lines)
        .collect();
    fs::write(dir.join(&raw), text).unwrap();
    let switches = whole(40_000.0 * drift);
    let [(_, intervals), (_, flips), (_, sound)] = &series;
    Played {
        run: RunReport {
            frames: Frames::of(frames, intervals, SECONDS, REFRESH_HZ),
            input: Input {
                to_flip: Quantiles::of_ns(flips),
                ..Input::default()
            },
            audio: Some(Audio {
                periods: 375,
                lateness: Quantiles::of_ns(sound),
                xruns: if loaded {
                    u64::from(contestant == KERNEL) * rng.u64(4..9)
                } else {
                    0
                },
            }),
            ..run(frames, loaded, drift)
        },
        waits: Some(waits(
            switches,
            whole(9_000.0 * factor * noise(&mut rng, 0.3)),
        )),
        cost: Cost {
            seconds: SECONDS,
            switches: Some(switches),
            programs: vec![ProgramCost {
                name: "gamer_enqueue".to_owned(),
                runs: switches,
                run_ns: switches * program_ns,
            }],
        },
        raw,
    }
}

fn run(frames: u64, loaded: bool, drift: f64) -> RunReport {
    let loops = if loaded { whole(9e8 / drift) } else { 0 };
    RunReport {
        schema: RUN_SCHEMA,
        version: "0.1.0".to_owned(),
        setup: Setup {
            kernel: "6.18".to_owned(),
            cpus: 2,
            scheduler: String::new(),
            mode: gamesim::args::Mode::Uncapped,
            seconds: SECONDS,
            warmup: 1.0,
            loads: Vec::new(),
            oracle: false,
            loops_per_us: 300,
            refresh_hz: REFRESH_HZ,
        },
        parts: Parts::default(),
        notes: Vec::new(),
        frames: Frames::default(),
        input: Input::default(),
        audio: None,
        background: loaded
            .then(|| Background {
                spec: "hogs=4".to_owned(),
                loops,
                ..Background::default()
            })
            .into_iter()
            .collect(),
        work: Work {
            per_frame: 1_000_000,
            game: frames * 1_000_000,
            background: loops,
        },
    }
}

fn waits(switches: u64, longest_us: u64) -> WaitReport {
    let class = ClassReport {
        waits: switches,
        p50_us: 20,
        p99_us: longest_us / 4,
        p999_us: longest_us / 2,
        max_us: longest_us,
        longest_finished: Some(TaskWait {
            wait_us: longest_us,
            pid: 2,
            tgid: 2,
            comm: "hog/0".to_owned(),
            policy: "other".to_owned(),
            nice: 0,
            rt_priority: 0,
            cpu: 1,
            allowed_cpus: 2,
        }),
        longest_open: None,
    };
    WaitReport {
        version: REPORT_VERSION,
        duration_us: 4_000_000,
        switches,
        wakeups: switches / 2,
        migrations: switches / 10,
        lost: 0,
        all: class.clone(),
        normal: class.clone(),
        idle: class.clone(),
        rt: class,
    }
}
