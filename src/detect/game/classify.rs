//! Judges one process by one snapshot: is it a game, and how sure is that?
//!
//! Marks in the environment and the program that runs speak for a process. They are inherited by
//! everything around the game, so the known helpers are ruled out by name, and what is left is
//! ordered by weight (threads, memory, CPU time): in a game's tree the game is the heaviest.

use super::helpers::{is_helper, is_wine_loader, is_wine_server};
use super::snapshot::ProcessSnapshot;

/// Evidence from which on a process may be the game, 0..=[`EVIDENCE_MAX`].
pub const EVIDENCE_THRESHOLD: u8 = 50;
/// The most that evidence is worth; weight adds up to [`WEIGHT_MAX`].
pub const EVIDENCE_MAX: u8 = 80;
/// The most that a process's weight is worth.
pub const WEIGHT_MAX: u8 = 20;

/// Points for one kind of evidence alone. A mark that names a game is worth more than one that
/// any Windows program carries.
const NAMED_BY_LAUNCHER: u8 = 60;
const SEEN_AS_RUNTIME: u8 = 50;
/// Points for each further kind.
const FURTHER_KIND: u8 = 10;
/// A program of the distribution is less likely a game than one from a launcher's library.
const SYSTEM_PROGRAM: u8 = 10;
const SYSTEM_DIRS: [&str; 6] = [
    "/usr/bin/",
    "/bin/",
    "/usr/sbin/",
    "/sbin/",
    "/usr/lib/",
    "/usr/libexec/",
];
const NAME_CHARS_MAX: usize = 64;

/// What a process is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks for it, or it is a known helper.
    NotAGame,
    /// A Wine loader which has not become a program yet: worth a second look.
    Undecided,
    /// It may be the game.
    Game(Claim),
}

/// Why a process may be the game.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Program name, printable and short.
    pub name: String,
    /// [`EVIDENCE_THRESHOLD`]..=[`EVIDENCE_MAX`].
    pub evidence_points: u8,
    /// The evidence in a few words.
    pub evidence: String,
}

/// What a process can be to a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kin {
    /// A launcher or a known helper: never part of the game's family.
    Helper,
    /// A Windows program, or the server that all of a Wine prefix work with.
    Wine,
    /// Anything else.
    Other,
}

/// What `process` can be to a game.
pub fn kin(process: &ProcessSnapshot) -> Kin {
    let program = process.exe.as_deref().map(base_name).unwrap_or_default();
    if is_wine_server(&program.to_lowercase()) {
        return Kin::Wine;
    }
    let windows_program = windows_program(process, &program);
    if is_known_helper(process, &program, windows_program.as_deref()) {
        return Kin::Helper;
    }
    if windows_program.is_some() {
        Kin::Wine
    } else if is_wine_loader(&program.to_lowercase()) && is_wine_tool(process) {
        Kin::Helper
    } else {
        Kin::Other
    }
}

/// Judges a process. `under_gamescope`: it descends from a gamescope.
pub fn classify(process: &ProcessSnapshot, under_gamescope: bool) -> Verdict {
    let program = process.exe.as_deref().map(base_name).unwrap_or_default();
    let windows_program = windows_program(process, &program);
    let kinds = list_evidence(process, windows_program.is_some(), under_gamescope);
    if is_wine_loader(&program.to_lowercase()) && windows_program.is_none() {
        return if is_wine_tool(process) {
            Verdict::NotAGame
        } else {
            Verdict::Undecided
        };
    }
    if kinds.is_empty() || is_known_helper(process, &program, windows_program.as_deref()) {
        return Verdict::NotAGame;
    }
    let best = kinds.iter().map(|kind| kind.points).max().unwrap_or(0);
    let further = u8::try_from(kinds.len() - 1).unwrap_or(u8::MAX);
    let mut points = best
        .saturating_add(further.saturating_mul(FURTHER_KIND))
        .min(EVIDENCE_MAX);
    if windows_program.is_none() && is_system_program(process) {
        points = points.saturating_sub(SYSTEM_PROGRAM);
    }
    if points < EVIDENCE_THRESHOLD {
        return Verdict::NotAGame;
    }
    let words: Vec<_> = kinds.into_iter().map(|kind| kind.words).collect();
    Verdict::Game(Claim {
        name: displayable(windows_program.as_deref().unwrap_or(if program.is_empty() {
            &process.comm
        } else {
            &program
        })),
        evidence_points: points,
        evidence: words.join(", "),
    })
}

struct Kind {
    points: u8,
    words: String,
}

fn list_evidence(process: &ProcessSnapshot, is_windows: bool, under_gamescope: bool) -> Vec<Kind> {
    let marks = &process.marks;
    let named = |words: &str| Kind {
        points: NAMED_BY_LAUNCHER,
        words: words.to_owned(),
    };
    let runtime = |words: &str| Kind {
        points: SEEN_AS_RUNTIME,
        words: words.to_owned(),
    };
    [
        marks
            .steam_app
            .as_ref()
            .map(|id| named(&format!("Steam app {id}"))),
        marks.lutris.then(|| named("Lutris")),
        marks.heroic.then(|| named("Heroic")),
        under_gamescope.then(|| named("gamescope")),
        marks.steam_compat.then(|| runtime("Steam runtime")),
        is_windows.then(|| runtime("Windows program")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The `.exe` in a Wine loader, however far it has got: before, it is an argument of the loader;
/// then Wine moves it to the front. The first one counts: `start.exe game.exe` is `start.exe`.
fn windows_program(process: &ProcessSnapshot, program: &str) -> Option<String> {
    if !is_wine_loader(&program.to_lowercase()) {
        return None;
    }
    process
        .cmdline
        .iter()
        .map(|argument| base_name(argument))
        .find(|name| name.to_lowercase().ends_with(".exe"))
}

/// `wine` with the name of one of its own tools, such as `wine winecfg`.
fn is_wine_tool(process: &ProcessSnapshot) -> bool {
    process
        .cmdline
        .iter()
        .skip(1)
        .any(|argument| is_helper(&format!("{}.exe", base_name(argument).to_lowercase())))
}

fn is_known_helper(process: &ProcessSnapshot, program: &str, windows: Option<&str>) -> bool {
    if let Some(name) = windows {
        return is_helper(&name.to_lowercase());
    }
    let own_name = process.cmdline.first().map(|argument| base_name(argument));
    is_helper(&program.to_lowercase())
        || own_name.is_some_and(|name| is_helper(&name.to_lowercase()))
}

fn is_system_program(process: &ProcessSnapshot) -> bool {
    let exe = process.exe.as_deref().unwrap_or_default();
    SYSTEM_DIRS.iter().any(|dir| exe.starts_with(dir))
}

/// How heavy a process is, 0..=[`WEIGHT_MAX`]. `cpu_pct`: its present load in percent of one CPU.
pub fn weigh(process: &ProcessSnapshot, cpu_pct: u64) -> u8 {
    let threads = process.thread_cnt.max(1).ilog2().min(4);
    let memory = (process.rss_mib + 1).ilog2().min(8);
    let load = (cpu_pct / 12).min(8);
    u8::try_from(u64::from(threads + memory) + load)
        .unwrap_or(WEIGHT_MAX)
        .min(WEIGHT_MAX)
}

/// Whether this is gamescope itself, which marks its descendants.
pub fn is_gamescope(process: &ProcessSnapshot) -> bool {
    let program = process.exe.as_deref().map(base_name).unwrap_or_default();
    matches!(
        program.as_str(),
        "gamescope" | "gamescope-wl" | "gamescopereaper"
    )
}

/// Whether this is the Steam client: what it starts carries Steam's own marks if it is a game.
pub fn is_steam_client(process: &ProcessSnapshot) -> bool {
    process.exe.as_deref().map(base_name).unwrap_or_default() == "steam"
}

/// The last part of a path of either system, without the kernel's note that the file is gone.
fn base_name(path: &str) -> String {
    let path = path.strip_suffix(" (deleted)").unwrap_or(path);
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()
}

/// Names go to logs and terminals, and anyone can choose one.
pub(super) fn displayable(name: &str) -> String {
    name.chars()
        .take(NAME_CHARS_MAX)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect()
}
