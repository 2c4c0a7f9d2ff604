//! Goal: what is a game and what only stands around one, for each launcher.
//! Method: one snapshot per case, judged by the pure classifier.

mod game_support;

use game_support::process;
use proptest::prelude::{any, proptest};
use scx_gamer::detect::game::classify::{Verdict, classify};
use scx_gamer::detect::game::snapshot::{Marks, ProcessSnapshot};

const STEAM: &str = "SteamAppId=1091500 SteamGameId=1091500 STEAM_COMPAT_DATA_PATH=/c/1091500";
const WINE: &str = "/home/u/.steam/Proton/files/bin/wine64-preloader";

fn points(process: &ProcessSnapshot) -> Option<u8> {
    match classify(process, false) {
        Verdict::Game(claim) => Some(claim.evidence_points),
        Verdict::NotAGame | Verdict::Undecided => None,
    }
}

fn name(process: &ProcessSnapshot) -> String {
    match classify(process, false) {
        Verdict::Game(claim) => claim.name,
        other => panic!("not a game: {other:?}"),
    }
}

#[test]
fn each_launcher_is_evidence() {
    let cases = [
        ("/g/hl2_linux", "./hl2_linux -game tf", "SteamAppId=440"),
        (
            "/g/game",
            "./game",
            "SteamAppId=0 SteamGameId=14495982834125537280",
        ),
        ("/g/game", "./game", "STEAM_COMPAT_DATA_PATH=/c/1"),
        ("/g/game", "./game", "LUTRIS_GAME_UUID=5f2c"),
        ("/g/game", "./game", "HEROIC_APP_NAME=Fortnite"),
        (
            "/usr/lib/wine/wine64",
            r"C:\Games\Doom\doom.exe -skip",
            "HOME=/root",
        ),
        ("/usr/bin/sleep", "sleep 60", "SteamAppId=480"),
    ];
    for (exe, cmdline, environ) in cases {
        assert!(
            points(&process(9, exe, cmdline, environ)).is_some(),
            "{exe} {environ}"
        );
    }
}

#[test]
fn gamescope_is_evidence_only_for_its_descendants() {
    let game = process(9, "/usr/games/supertuxkart", "supertuxkart", "");
    assert!(matches!(classify(&game, true), Verdict::Game(_)));
    assert_eq!(classify(&game, false), Verdict::NotAGame);
}

#[test]
fn more_evidence_is_never_less_sure() {
    let exe = |environ| points(&process(9, WINE, r"Z:\g\game.exe", environ)).unwrap_or(0);
    let native = points(&process(9, "/g/game", "./game", "SteamAppId=440")).unwrap_or(0);
    assert!(exe(STEAM) > exe("SteamAppId=440"));
    assert!(exe("SteamAppId=440") > native);
    assert!(native > exe(""));
    assert!(exe("LUTRIS_GAME_UUID=1") > exe(""));
}

#[test]
fn nothing_of_a_proton_tree_is_a_game_but_the_game() {
    let helpers = [
        (
            "/s/ubuntu12_32/steam",
            "/s/ubuntu12_32/steam -srt-logger-opened",
        ),
        (
            "/s/ubuntu12_32/reaper",
            "/s/ubuntu12_32/reaper SteamLaunch AppId=1 -- p run game.exe",
        ),
        ("/s/srt-bwrap", "srt-bwrap --args 21 -- game.exe"),
        (
            "/s/pv-adverb",
            "/usr/lib/pressure-vessel/from-host/bin/pv-adverb -- game.exe",
        ),
        (
            "/s/pressure-vessel-wrap",
            "pressure-vessel-wrap -- game.exe",
        ),
        (
            "/usr/bin/python3.11",
            "python3 /p/proton waitforexitandrun /g/game.exe",
        ),
        ("/usr/bin/bash", "/bin/sh /g/game.sh"),
        ("/usr/bin/dash", "sh -c game.exe"),
        ("/p/files/bin/wineserver", "/p/files/bin/wineserver"),
        ("/s/steamwebhelper", "steamwebhelper --type=renderer"),
        ("/s/gameoverlayui", "gameoverlayui -pid 77"),
        ("/s/fossilize_replay", "fossilize_replay --master"),
        (WINE, r"c:\windows\system32\steam.exe Z:\g\game.exe"),
        (WINE, r"C:\windows\system32\services.exe"),
        (WINE, r"C:\windows\system32\explorer.exe /desktop"),
        (WINE, r"C:\windows\system32\winedevice.exe"),
        (WINE, r"C:\windows\system32\plugplay.exe"),
        (
            WINE,
            r"C:\windows\system32\SVCHOST.EXE -k LocalServiceNetworkRestricted",
        ),
        (WINE, r"C:\windows\system32\rpcss.exe"),
        (WINE, r"C:\windows\system32\tabtip.exe"),
        (WINE, r"C:\windows\system32\conhost.exe --server 4"),
        (WINE, r"C:\windows\system32\start.exe /exec Z:\g\game.exe"),
        (WINE, r"Z:\g\UnityCrashHandler64.exe --attach 300"),
        (WINE, r"Z:\g\CrashReportClient.exe"),
        (WINE, r"Z:\g\REDprelauncher.exe"),
        (WINE, r"C:\EA\EADesktop.exe"),
        (WINE, r"Z:\g\EasyAntiCheat_EOS_Setup.exe"),
    ];
    for (exe, cmdline) in helpers {
        assert_eq!(
            points(&process(9, exe, cmdline, STEAM)),
            None,
            "{exe} {cmdline}"
        );
    }
    let game = process(9, WINE, r"Z:\g\bin\x64\Cyberpunk2077.exe", STEAM);
    assert_eq!(name(&game), "Cyberpunk2077.exe");
}

#[test]
fn services_exe_is_never_a_game_whatever_runs_under_its_name() {
    for exe in [
        WINE,
        "/usr/lib/wine/wine",
        "/tmp/services.exe",
        "/usr/bin/sleep",
        "",
    ] {
        for environ in [STEAM, "LUTRIS_GAME_UUID=1", "HEROIC_APP_NAME=1", ""] {
            for cmdline in [
                "services.exe",
                r"C:\windows\system32\services.exe",
                "/tmp/Services.EXE",
            ] {
                let services = process(9, exe, cmdline, environ);
                assert!(
                    !matches!(classify(&services, true), Verdict::Game(_)),
                    "{exe} {environ}"
                );
            }
        }
    }
}

#[test]
fn a_wine_loader_is_undecided_until_it_has_a_program() {
    let loader = process(9, WINE, WINE, STEAM);
    assert_eq!(classify(&loader, false), Verdict::Undecided);
    let with_program = process(9, WINE, &format!(r"{WINE} wine64 Z:\g\game.exe"), STEAM);
    assert_eq!(name(&with_program), "game.exe");
    assert_eq!(
        classify(&process(9, WINE, "wine winecfg", ""), false),
        Verdict::NotAGame
    );
}

#[test]
fn a_plain_desktop_has_no_game() {
    let desktop = [
        ("/usr/lib/systemd/systemd", "/sbin/init"),
        ("/usr/bin/kwin_wayland", "kwin_wayland"),
        ("/usr/lib/firefox/firefox", "firefox"),
        ("/opt/google/chrome/chrome", "chrome --type=gpu-process"),
        ("/usr/bin/gcc-12", "gcc -O2 game.c"),
        ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "cc1 -quiet game.c"),
        ("/usr/bin/vim", "vim game.exe"),
        ("/usr/bin/python3.11", "python3 game.exe"),
        ("", "[kworker/0:1]"),
    ];
    for (exe, cmdline) in desktop {
        assert_eq!(
            points(&process(9, exe, cmdline, "HOME=/root")),
            None,
            "{exe}"
        );
    }
}

#[test]
fn browsers_and_compilers_stay_out_when_they_inherit_the_marks() {
    for exe in [
        "/usr/lib/firefox/firefox",
        "/opt/chrome/chrome",
        "/usr/bin/gcc-12",
        "/x/cc1plus",
    ] {
        assert_eq!(points(&process(9, exe, exe, STEAM)), None, "{exe}");
    }
}

#[test]
fn the_name_of_a_thread_alone_says_nothing() {
    let mut process = process(9, "/usr/bin/vim", "vim", "");
    for comm in [
        "game.exe",
        "steam_app_1",
        "hl2_linux",
        "GameThread",
        "wine64-preloader",
    ] {
        process.comm = comm.to_owned();
        assert_eq!(classify(&process, false), Verdict::NotAGame);
    }
}

#[test]
fn steam_ids_are_digits_and_not_steam_itself() {
    for environ in [
        "SteamAppId=",
        "SteamAppId=0",
        "SteamAppId=x",
        "SteamAppId=769",
        "XSteamAppId=5",
    ] {
        assert_eq!(
            Marks::from_environ(environ.as_bytes()).steam_app,
            None,
            "{environ}"
        );
    }
    let long = format!("SteamAppId={}", "9".repeat(500));
    assert_eq!(Marks::from_environ(long.as_bytes()).steam_app, None);
}

#[test]
fn names_reach_the_terminal_without_control_characters_and_short() {
    let nasty = format!("/g/\u{1b}[31m{}", "x".repeat(500));
    let shown = name(&process(9, &nasty, "x", "SteamAppId=5"));
    assert!(shown.chars().count() <= 64 && !shown.chars().any(char::is_control));
}

proptest! {
    #[test]
    fn any_bytes_in_an_environment_are_survived(bytes: Vec<u8>) {
        let _ = Marks::from_environ(&bytes);
    }

    #[test]
    fn any_text_is_judged_within_the_range(
        exe in any::<Option<String>>(), cmdline: Vec<String>, comm: String, steam: bool, scope: bool
    ) {
        let marks = Marks { steam_app: steam.then(|| "5".to_owned()), ..Marks::default() };
        let process = ProcessSnapshot { exe, cmdline, comm, marks, ..ProcessSnapshot::default() };
        if let Verdict::Game(claim) = classify(&process, scope) {
            assert!((50..=80).contains(&claim.evidence_points));
        }
    }
}
