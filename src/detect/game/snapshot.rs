//! What the classifier sees of a process, and the questions it asks of the system.

/// Marks which launchers leave in the environment of what they start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// `SteamAppId`, or `SteamGameId` where that one is 0 (shortcuts): digits, never 0.
    pub steam_app: Option<String>,
    /// Any `STEAM_COMPAT_*`: started through Proton or a Steam runtime.
    pub steam_compat: bool,
    /// `LUTRIS_GAME_UUID`.
    pub lutris: bool,
    /// `HEROIC_APP_NAME`.
    pub heroic: bool,
    /// `GAMESCOPE_WAYLAND_DISPLAY`.
    pub gamescope: bool,
    /// The Wine prefix that a Windows program would run in, without a slash at its end:
    /// `WINEPREFIX`, else the one that Proton or Wine itself would choose.
    pub wine_prefix: Option<String>,
}

/// Ids of Steam itself, which is not a game.
const STEAM_OWN_IDS: [&str; 2] = ["7", "769"];
const STEAM_ID_DIGITS_MAX: usize = 20;
/// Longest path that the kernel takes (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;

impl Marks {
    /// Finds the marks in the bytes of `/proc/PID/environ`. Any bytes are allowed: the
    /// environment belongs to other people's processes.
    pub fn from_environ(environ: &[u8]) -> Self {
        let mut marks = Self::default();
        let mut steam_game_id = None;
        let (mut wine, mut proton, mut home) = (None, None, None);
        for entry in environ.split(|&byte| byte == 0) {
            let Some(equals) = entry.iter().position(|&byte| byte == b'=') else {
                continue;
            };
            let (key, value) = (&entry[..equals], &entry[equals + 1..]);
            match key {
                b"SteamAppId" => marks.steam_app = parse_steam_id(value),
                b"SteamGameId" => steam_game_id = parse_steam_id(value),
                b"LUTRIS_GAME_UUID" => marks.lutris = !value.is_empty(),
                b"HEROIC_APP_NAME" => marks.heroic = !value.is_empty(),
                b"GAMESCOPE_WAYLAND_DISPLAY" => marks.gamescope = !value.is_empty(),
                b"WINEPREFIX" => wine = prefix(value, ""),
                b"HOME" => home = prefix(value, "/.wine"),
                _ if key.starts_with(b"STEAM_COMPAT_") => {
                    marks.steam_compat |= !value.is_empty();
                    if key == b"STEAM_COMPAT_DATA_PATH" {
                        proton = prefix(value, "/pfx");
                    }
                }
                _ => {}
            }
        }
        marks.steam_app = marks.steam_app.or(steam_game_id);
        marks.wine_prefix = wine.or(proton).or(home);
        marks
    }
}

/// `value` with `below` behind it; nothing if that names no directory.
fn prefix(value: &[u8], below: &str) -> Option<String> {
    let path = str::from_utf8(value).ok()?.trim_end_matches('/');
    let plausible = path.starts_with('/') && path.len() <= PATH_BYTES_MAX;
    plausible.then(|| path.to_owned() + below)
}

fn parse_steam_id(value: &[u8]) -> Option<String> {
    let id = str::from_utf8(value).ok()?;
    let plausible = (1..=STEAM_ID_DIGITS_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_digit())
        && id.bytes().any(|byte| byte != b'0')
        && !STEAM_OWN_IDS.contains(&id);
    plausible.then(|| id.to_owned())
}

/// A process at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSnapshot {
    /// Process id.
    pub pid: u32,
    /// Its parent's process id.
    pub ppid: u32,
    /// Its user.
    pub uid: u32,
    /// The main thread's name. For display only: anyone can choose it.
    pub comm: String,
    /// Path of the program file; `None` where the kernel does not tell.
    pub exe: Option<String>,
    /// The arguments, the program's own name first.
    pub cmdline: Vec<String>,
    /// What the environment tells.
    pub marks: Marks,
    /// When it was started, in ticks since boot: tells apart two processes with the same id.
    pub start_ticks: u64,
    /// Number of threads.
    pub thread_cnt: u64,
    /// Resident memory, MiB.
    pub rss_mib: u64,
    /// CPU time used so far, ms.
    pub cpu_ms: u64,
}

/// Who a process is, without what it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The process it belongs to; differs from the id asked for if that is a thread's.
    pub tgid: u32,
    /// Its parent's process id.
    pub ppid: u32,
    /// The main thread's name.
    pub comm: String,
    /// As in [`ProcessSnapshot::start_ticks`].
    pub start_ticks: u64,
}

/// Why there is no snapshot. Neither is an error: processes end, and belong to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// The process has ended, perhaps while it was read.
    Gone,
    /// The kernel does not let us read it, or it cannot be understood.
    Refused,
}

/// The classifier's questions to the outside world.
pub trait ProcessSource {
    /// Ids of all processes.
    fn pids(&self) -> Vec<u32>;

    /// Who `pid` is; `None` if there is no such process alive.
    fn identity(&self, pid: u32) -> Option<Identity>;

    /// Everything about `pid`.
    ///
    /// # Errors
    /// [`Unread`] tells why there is nothing to see.
    fn snapshot(&self, pid: u32) -> Result<ProcessSnapshot, Unread>;

    /// When `pid` last had the focus, `CLOCK_MONOTONIC` in ns; 0: never, or nobody can tell.
    fn focus_ns(&self, pid: u32) -> u64;
}
