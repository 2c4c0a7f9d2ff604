//! Programs that stand around a game and are never the game itself.
//!
//! They inherit the game's environment, so only their names tell them apart: a name can speak
//! against a process here, never for it. All names are lower case; a `*` in a
//! pattern stands for any text.

/// Launchers, runtimes and tools of the Linux side.
const NATIVE: &[&str] = &[
    // Steam and its runtime
    "steam",
    "steam.sh",
    "steam-*",
    "steamwebhelper*",
    "steamerrorreporter*",
    "steamtours",
    "streaming_client",
    "gameoverlayui*",
    "fossilize*",
    "reaper",
    "srt-*",
    "pv-*",
    "pressure-vessel*",
    "bwrap",
    "vrserver",
    "vrmonitor",
    "vrcompositor",
    "vrwebhelper",
    // Proton and Wine
    "proton",
    "umu-*",
    "wineserver*",
    "winedbg",
    "wineboot",
    "winetricks",
    "d3ddriverquery*",
    "vulkandriverquery*",
    // other launchers
    "lutris*",
    "heroic*",
    "legendary",
    "gogdl",
    "nile",
    "comet",
    "bottles*",
    "gamescope*",
    "gamemode*",
    "mangohud*",
    "mangoapp",
    "obs",
    "obs-*",
    // display servers and sessions
    "xwayland",
    "xorg",
    "dbus-*",
    "xdg-*",
    "ibus-*",
    "pipewire*",
    "wireplumber",
    "pulseaudio",
    // browsers, which a game or a launcher may open
    "firefox*",
    "chrome*",
    "chromium*",
    "brave*",
    "vivaldi*",
    "opera",
    "msedge*",
    // crash handlers
    "*crashhandler*",
    "*crash_handler*",
    "crashpad_handler*",
    "*crashreport*",
    // interpreters and tools that start something else
    "sh",
    "bash",
    "dash",
    "zsh",
    "fish",
    "busybox",
    "python",
    "python2*",
    "python3*",
    "perl",
    "env",
    "sudo",
    "setsid",
    "nohup",
    "nice",
    "timeout",
    "taskset",
    "tee",
    "cat",
    "sed",
    "grep",
    "awk",
    "ldconfig",
    "ld-linux*",
    "gdb",
    "strace",
    "zenity",
    // compilers
    "cc",
    "cc1*",
    "gcc*",
    "g++*",
    "clang*",
    "collect2",
    "as",
    "ld",
    "ld.*",
    "make",
    "ninja",
    "cmake",
    "cargo",
    "rustc",
];

/// Parts of Windows, launchers, crash handlers and anti-cheat services under Wine.
const WINDOWS: &[&str] = &[
    // Wine's own services and tools
    "services.exe",
    "explorer.exe",
    "winedevice.exe",
    "plugplay.exe",
    "svchost.exe",
    "rpcss.exe",
    "tabtip.exe",
    "conhost.exe",
    "wineboot.exe",
    "winedbg.exe",
    "winecfg.exe",
    "winefile.exe",
    "wineconsole.exe",
    "winemenubuilder.exe",
    "start.exe",
    "steam.exe",
    "cmd.exe",
    "powershell.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "regedit.exe",
    "reg.exe",
    "msiexec.exe",
    "iexplore.exe",
    "notepad.exe",
    "control.exe",
    "taskmgr.exe",
    "uninstaller.exe",
    "spoolsv.exe",
    "dllhost.exe",
    "wmiprvse.exe",
    "xalia.exe",
    // Steam's tools
    "steamservice.exe",
    "steamwebhelper.exe",
    "gameoverlayui*.exe",
    "iscriptevaluator.exe",
    "d3ddriverquery*.exe",
    "vulkandriverquery*.exe",
    // installers
    "setup.exe",
    "*installer.exe",
    "unins*.exe",
    "vcredist*",
    "vc_redist*",
    "dxsetup.exe",
    "dotnetfx*",
    "ue*prereqsetup*",
    // launchers and their helpers
    "*launcher.exe",
    "epicwebhelper.exe",
    "epiconlineservices*.exe",
    "upc.exe",
    "uplay*.exe",
    "ubisoft*.exe",
    "eadesktop.exe",
    "eabackgroundservice.exe",
    "ealocalhostsvc.exe",
    "link2ea.exe",
    "origin.exe",
    "originwebhelperservice.exe",
    "battle.net*.exe",
    "agent.exe",
    "galaxyclient*.exe",
    "rockstarservice.exe",
    "rockstarsteamhelper.exe",
    "socialclubhelper.exe",
    "*cefsubprocess*",
    "cefsharp.browsersubprocess.exe",
    "*webhelper.exe",
    "qtwebengineprocess.exe",
    "msedgewebview2.exe",
    // crash handlers
    "unitycrashhandler*.exe",
    "crashreportclient*.exe",
    "crashpad_handler.exe",
    "*crashhandler*.exe",
    "*crashreporter*.exe",
    "crashsender*.exe",
    "bssndrpt*.exe",
    "werfault.exe",
    // anti-cheat
    "easyanticheat*",
    "start_protected_game.exe",
    "beservice*.exe",
    "*_be.exe",
];

/// Wine's loaders: the program in them is the `.exe` of their command line.
const WINE_LOADERS: &[&str] = &["wine", "wine64", "wine-preloader", "wine64-preloader"];

/// Whether a program of this name is one of the known helpers. `name` in lower case.
pub fn is_helper(name: &str) -> bool {
    let table = if name.ends_with(".exe") {
        WINDOWS
    } else {
        NATIVE
    };
    table.iter().any(|pattern| matches(pattern, name))
}

/// Whether a program file of this name loads Windows programs. `name` in lower case.
pub fn is_wine_loader(name: &str) -> bool {
    WINE_LOADERS.contains(&name)
}

/// Whether a program file of this name is the server of a Wine prefix. `name` in lower case.
pub fn is_wine_server(name: &str) -> bool {
    matches("wineserver*", name)
}

/// A `*` stands for any text, also none.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((start, pattern)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut rest) = name.strip_prefix(start) else {
        return false;
    };
    let mut parts = pattern.split('*');
    let end = parts.next_back().unwrap_or_default();
    for part in parts {
        let Some((_, behind)) = rest.split_once(part) else {
            return false;
        };
        rest = behind;
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names_and_stars_any_text() {
        let cases = [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a*", "bab", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*b*d", "abcd", true),
            ("a*c*", "abcd", true),
            ("a*c*", "xabcd", false),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn every_pattern_is_lower_case_because_names_are_lowered() {
        for pattern in NATIVE.iter().chain(WINDOWS) {
            assert_eq!(*pattern, pattern.to_lowercase());
        }
    }
}
