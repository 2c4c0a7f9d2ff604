//! Goal: the family is the game's descendants and its Wine session, without launchers and helpers; it
//! ends with the game, and no stranger is ever in it. The focus settles what is otherwise a draw.
//! Method: a scripted machine and a scripted clock under the real finder.

mod game_support;

use game_support::{Machine, Scripted, process, steam_game};
use scx_gamer::detect::game::GameOptions;
use scx_gamer::detect::game::family::FAMILY_MAX;
use scx_gamer::detect::game::snapshot::ProcessSnapshot;

const WINE: &str = "/p/bin/wine64-preloader";
const PROTON: &str = "SteamAppId=480 STEAM_COMPAT_DATA_PATH=/c WINEPREFIX=/c/pfx/";

fn child(ppid: u32, process: ProcessSnapshot) -> ProcessSnapshot {
    ProcessSnapshot { ppid, ..process }
}

fn plain(pid: u32, ppid: u32, exe: &str) -> ProcessSnapshot {
    child(ppid, process(pid, exe, exe, "HOME=/home/u"))
}

/// A machine on which the process 100 is the game.
fn with_game() -> Machine {
    let mut machine = Machine::new();
    machine.run_ms(2_000);
    machine.exec(steam_game(100, 300));
    machine.run_ms(200);
    assert_eq!(machine.game(), 100);
    machine
}

#[test]
fn descendants_belong_and_helpers_among_them_do_not() {
    let mut machine = with_game();
    machine.exec(plain(101, 100, "/g/renderer"));
    machine.exec(plain(102, 100, "/bin/sh"));
    machine.exec(plain(103, 102, "/g/worker"));
    machine.exec(plain(104, 100, "/usr/lib/firefox/firefox"));
    machine.exec(plain(105, 100, "/g/UnityCrashHandler64"));
    machine.exec(plain(106, 1, "/usr/bin/cc1plus"));
    machine.run_ms(200);
    assert_eq!(machine.family(), [101, 103]);
}

#[test]
fn family_that_was_there_before_the_game_was_known_is_found() {
    let source = Scripted::default();
    source.put(plain(10, 1, "/home/u/.steam/steam"));
    source.put(child(10, steam_game(100, 300)));
    source.put(plain(101, 100, "/g/renderer"));
    source.put(plain(102, 10, "/home/u/.steam/steamwebhelper"));
    let mut machine = Machine::start(source, GameOptions::default()).expect("no --game-pid");
    machine.run_ms(1_100);
    assert_eq!((machine.game(), machine.family()), (100, vec![101]));
}

#[test]
fn a_fork_of_the_family_belongs_at_once_and_one_of_a_stranger_never() {
    let mut machine = with_game();
    machine.finder.on_fork(100, 101, 7);
    machine.finder.on_fork(101, 102, 8);
    machine.finder.on_fork(50, 51, 9);
    assert_eq!(machine.family(), [101, 102]);
    assert!(machine.finder.take_family_change());
    assert!(!machine.finder.take_family_change());
    // It becomes a browser.
    machine.exec(ProcessSnapshot {
        start_ticks: 8,
        ..plain(102, 101, "/usr/bin/chromium")
    });
    machine.run_ms(200);
    assert_eq!(machine.family(), [101]);
}

#[test]
fn a_member_stays_when_its_parent_ends_and_leaves_when_it_ends_itself() {
    let mut machine = with_game();
    machine.finder.on_fork(100, 101, 7);
    machine.finder.on_fork(101, 102, 8);
    machine.exit(101);
    machine.exec(ProcessSnapshot {
        start_ticks: 8,
        ..plain(102, 1, "/g/daemon")
    });
    machine.run_ms(5_000);
    assert_eq!(machine.family(), [102]);
    machine.exit(102);
    assert_eq!(machine.family(), Vec::<u32>::new());
}

#[test]
fn a_wine_session_belongs_with_its_server_and_without_its_services_and_launchers() {
    let mut machine = Machine::new();
    machine.run_ms(2_000);
    let wine = |pid, program: &str, environ| child(1, process(pid, WINE, program, environ));
    machine.exec(process(10, "/s/reaper", "reaper -- game.exe", PROTON));
    machine.exec(process(11, "/p/bin/wineserver", "wineserver", PROTON));
    machine.exec(wine(12, r"C:\windows\system32\services.exe", PROTON));
    machine.exec(wine(13, r"C:\Epic\EpicGamesLauncher.exe", PROTON));
    machine.run_ms(500);
    machine.exec(wine(16, r"Z:\g\game.exe", PROTON));
    machine.exec(wine(17, r"Z:\g\shadercompiler.exe", PROTON));
    // Another user's, another prefix, and no Windows program.
    machine.exec(ProcessSnapshot {
        uid: 1001,
        ..wine(18, r"Z:\g\game2.exe", PROTON)
    });
    machine.exec(wine(19, r"Z:\h\other.exe", "WINEPREFIX=/d"));
    machine.exec(process(
        20,
        "/p/bin/wineserver",
        "wineserver",
        "WINEPREFIX=/d",
    ));
    machine.exec(process(21, "/usr/bin/vlc", "vlc", PROTON));
    machine.run_ms(1_500);
    assert_eq!((machine.game(), machine.family()), (16, vec![11, 17]));
}

#[test]
fn a_prefix_that_nobody_names_is_the_one_that_wine_or_proton_chooses() {
    for (game, server) in [
        ("HOME=/home/u WINEPREFIX=/home/u/.wine", "HOME=/home/u"),
        ("STEAM_COMPAT_DATA_PATH=/c", "WINEPREFIX=/c/pfx"),
    ] {
        let mut machine = Machine::new();
        machine.run_ms(2_000);
        machine.exec(process(11, "/p/bin/wineserver", "wineserver", server));
        machine.run_ms(200);
        machine.exec(process(16, WINE, r"Z:\g\game.exe", game));
        machine.run_ms(200);
        assert_eq!((machine.game(), machine.family()), (16, vec![11]), "{game}");
    }
}

#[test]
fn the_end_of_the_game_empties_its_family() {
    let mut machine = with_game();
    machine.exec(plain(101, 100, "/g/renderer"));
    machine.run_ms(200);
    assert_eq!(machine.family(), [101]);
    assert!(machine.finder.take_family_change());
    machine.exit(100);
    assert_eq!((machine.game(), machine.family()), (0, vec![]));
    assert!(machine.finder.take_family_change());
    // Without a game nobody is family.
    machine.finder.on_fork(101, 102, 7);
    machine.exec(plain(103, 101, "/g/worker"));
    machine.run_ms(2_000);
    assert_eq!(machine.family(), Vec::<u32>::new());
}

#[test]
fn a_reused_process_id_gives_a_stranger_nothing() {
    let mut machine = with_game();
    machine.finder.on_fork(100, 101, 7);
    // Its end and the stranger's exec were both lost.
    machine.source.put(ProcessSnapshot {
        start_ticks: 999,
        ..plain(101, 1, "/usr/bin/cc1")
    });
    machine.finder.on_events_lost(machine.now);
    machine.run_ms(1_100);
    assert_eq!(machine.family(), Vec::<u32>::new());
    // The end was lost only.
    machine.finder.on_fork(100, 102, 7);
    machine.exec(ProcessSnapshot {
        start_ticks: 999,
        ..plain(102, 1, "/usr/bin/cc1")
    });
    machine.run_ms(200);
    assert_eq!(machine.family(), Vec::<u32>::new());
}

#[test]
fn the_family_is_bounded_and_what_finds_no_room_is_counted() {
    let mut machine = with_game();
    for pid in 1_000..3_000 {
        machine.finder.on_fork(100, pid, 7);
    }
    let counters = machine.finder.counters();
    assert_eq!(machine.family().len(), FAMILY_MAX);
    assert_eq!(counters.family_refused_cnt, 2_000 - FAMILY_MAX as u64);
    for pid in 1_000..3_000 {
        machine.exit(pid);
    }
    assert_eq!(machine.family(), Vec::<u32>::new());
}

#[test]
fn of_equally_likely_games_the_one_with_the_newest_focus_is_chosen() {
    let source = Scripted::default();
    for pid in [100, 101, 102] {
        source.put(steam_game(pid, 300));
    }
    source.focus(101, 5);
    source.focus(102, 4);
    let mut machine = Machine::start(source, GameOptions::default()).expect("no --game-pid");
    assert_eq!(machine.game(), 101);
    machine.source.focus(100, 6);
    machine.run_ms(2_000);
    assert_eq!(machine.game(), 101, "not before it has led for 3 s");
    machine.run_ms(4_000);
    assert_eq!((machine.game(), machine.change_cnt), (100, 1));
    machine.run_ms(60_000);
    assert_eq!(machine.change_cnt, 1);
}

#[test]
fn focus_does_not_outweigh_evidence() {
    let source = Scripted::default();
    source.put(ProcessSnapshot {
        thread_cnt: 40,
        ..steam_game(100, 4_000)
    });
    source.put(steam_game(101, 3));
    source.focus(101, 5);
    let mut machine = Machine::start(source, GameOptions::default()).expect("no --game-pid");
    machine.run_ms(60_000);
    assert_eq!((machine.game(), machine.change_cnt), (100, 0));
}
