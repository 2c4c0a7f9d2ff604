//! Goal: the answer over time: found, held, handed over, given up; with storms and lost events.
//! Method: a scripted machine and a scripted clock under the real finder.

mod game_support;

use std::time::Duration;

use game_support::{Machine, Scripted, process, steam_game};
use scx_gamer::detect::game::candidates::CANDIDATES_MAX;
use scx_gamer::detect::game::snapshot::ProcessSnapshot;
use scx_gamer::detect::game::{GameError, GameOptions};

const WINE: &str = "/p/bin/wine64-preloader";

fn plain(pid: u32) -> ProcessSnapshot {
    process(pid, "/usr/bin/cc1", "cc1 x.c", "HOME=/root")
}

#[test]
fn a_game_is_found_within_a_second_of_its_exec_and_released_at_its_end() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.run_ms(200);
    assert_eq!(machine.game(), 100);
    machine.exit(100);
    assert_eq!(machine.game(), 0);
    assert_eq!(machine.change_cnt, 2);
}

#[test]
fn a_game_that_runs_already_is_found_at_the_start() {
    let source = Scripted::default();
    source.put(steam_game(100, 3));
    let machine = Machine::start(source, GameOptions::default()).expect("no --game-pid");
    assert_eq!(machine.game(), 100);
}

#[test]
fn in_a_proton_tree_the_game_is_chosen_and_the_answer_changes_once() {
    let steam = "SteamAppId=480 STEAM_COMPAT_DATA_PATH=/c";
    let mut machine = Machine::new();
    machine.exec(process(
        10,
        "/s/reaper",
        "reaper SteamLaunch -- game.exe",
        steam,
    ));
    machine.exec(process(11, "/s/pv-adverb", "pv-adverb -- game.exe", steam));
    machine.exec(process(
        12,
        "/usr/bin/python3.11",
        "python3 /p/proton run game.exe",
        steam,
    ));
    machine.run_ms(300);
    machine.exec(process(13, "/p/bin/wineserver", "wineserver", steam));
    machine.exec(process(
        14,
        WINE,
        r"C:\windows\system32\services.exe",
        steam,
    ));
    machine.exec(process(
        15,
        WINE,
        r"C:\windows\system32\explorer.exe",
        steam,
    ));
    machine.run_ms(300);
    assert_eq!(machine.game(), 0);
    machine.exec(process(16, WINE, r"Z:\g\game.exe", steam));
    machine.run_ms(10_000);
    assert_eq!(machine.game(), 16);
    assert_eq!(machine.change_cnt, 1);
}

#[test]
fn a_loader_is_looked_at_again_until_it_has_become_the_game() {
    let mut machine = Machine::new();
    machine.exec(process(20, WINE, WINE, "SteamAppId=480"));
    machine.run_ms(200);
    assert_eq!(machine.game(), 0);
    machine
        .source
        .put(process(20, WINE, r"Z:\g\game.exe", "SteamAppId=480"));
    machine.run_ms(400);
    assert_eq!(machine.game(), 20);
}

#[test]
fn a_loader_that_becomes_nothing_is_forgotten() {
    let mut machine = Machine::new();
    machine.exec(process(20, WINE, WINE, "SteamAppId=480"));
    machine.run_ms(5_000);
    assert_eq!((machine.game(), machine.finder.tracked_cnt()), (0, 0));
    assert_eq!(machine.finder.next_deadline(), None);
}

#[test]
fn a_lighter_or_equal_newcomer_never_takes_over() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 300));
    machine.run_ms(3_000);
    for pid in 101..120 {
        machine.exec(steam_game(pid, 300));
    }
    machine.run_ms(60_000);
    assert_eq!((machine.game(), machine.change_cnt), (100, 1));
}

#[test]
fn a_clearly_heavier_newcomer_takes_over_after_the_hold_off_and_once() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.run_ms(3_000);
    let heavy = ProcessSnapshot {
        thread_cnt: 40,
        ..steam_game(101, 4_000)
    };
    machine.exec(heavy);
    machine.run_ms(2_500);
    assert_eq!(machine.game(), 100, "not before it has led for 3 s");
    machine.run_ms(4_000);
    assert_eq!(machine.game(), 101);
    machine.run_ms(60_000);
    assert_eq!(machine.change_cnt, 2);
}

#[test]
fn a_lead_that_comes_and_goes_does_not_flap() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.exec(steam_game(101, 3));
    machine.run_ms(5_000);
    let first = machine.game();
    let other = 201 - first;
    for round in 0..60 {
        let heavy = round % 2 == 0;
        let threads = if heavy { 64 } else { 1 };
        machine.source.put(ProcessSnapshot {
            thread_cnt: threads,
            ..steam_game(other, if heavy { 4_000 } else { 3 })
        });
        machine.run_ms(2_000);
    }
    assert_eq!((machine.game(), machine.change_cnt), (first, 1));
}

#[test]
fn of_a_running_tree_the_heaviest_is_chosen_at_the_start() {
    let source = Scripted::default();
    for pid in 100..110 {
        source.put(steam_game(pid, 3));
    }
    source.put(steam_game(105, 2_000));
    for pid in 1_000..3_000 {
        source.put(plain(pid));
    }
    let machine = Machine::start(source, GameOptions::default()).expect("no --game-pid");
    assert_eq!((machine.game(), machine.change_cnt), (105, 0));
}

#[test]
fn the_next_best_that_is_alive_follows_a_game_that_ends() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 2_000));
    machine.run_ms(200);
    machine.exec(steam_game(101, 1_000));
    machine.exec(steam_game(102, 3));
    machine.run_ms(1_000);
    machine.source.end(101);
    machine.exit(100);
    assert_eq!(machine.game(), 102, "101 has ended unheard");
    machine.exit(102);
    assert_eq!((machine.game(), machine.finder.tracked_cnt()), (0, 0));
}

#[test]
fn a_reused_process_id_is_another_process() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.run_ms(200);
    // The end was lost, and the id belongs to a compiler now.
    machine.source.put(ProcessSnapshot {
        start_ticks: 77_777,
        ..plain(100)
    });
    machine.finder.on_events_lost(machine.now);
    machine.run_ms(1_100);
    assert_eq!(machine.game(), 0);
    // Again, and it belongs to another game: the same number, but a new answer.
    machine.exec(steam_game(100, 3));
    machine.run_ms(200);
    let since = machine.finder.current().expect("a game").since;
    let changes = machine.change_cnt;
    machine.exec(ProcessSnapshot {
        start_ticks: 99_999,
        ..steam_game(100, 3)
    });
    machine.run_ms(200);
    assert_eq!((machine.game(), machine.change_cnt), (100, changes + 1));
    assert!(machine.finder.current().expect("a game").since > since);
}

#[test]
fn a_game_that_executes_another_program_is_judged_anew() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.run_ms(200);
    let shell = process(100, "/usr/bin/bash", "bash", "SteamAppId=480");
    machine.exec(shell);
    machine.run_ms(200);
    assert_eq!(machine.game(), 0);
}

#[test]
fn the_set_of_candidates_is_bounded_and_keeps_the_game() {
    let mut machine = Machine::new();
    machine.exec(steam_game(1_000, 3));
    machine.run_ms(200);
    for pid in 1..=500 {
        machine.exec(steam_game(pid, 20));
    }
    machine.run_ms(1_000);
    assert_eq!(machine.game(), 1_000);
    assert!(machine.finder.tracked_cnt() <= CANDIDATES_MAX);
    assert!(machine.finder.counters().evicted_cnt >= 400);
}

#[test]
fn a_game_that_ends_while_it_is_read_is_no_error() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.source.vanish(100);
    machine.exec(steam_game(101, 3));
    machine.run_ms(200);
    assert_eq!(machine.game(), 101);
    assert_eq!(machine.finder.counters().gone_cnt, 1);
    machine.source.vanish(101);
    machine.run_ms(1_000);
    assert_eq!(machine.game(), 0, "the second look found it gone");
}

#[test]
fn unreadable_entries_are_counted_and_stop_nothing() {
    let source = Scripted::default();
    for pid in 1..50 {
        source.refuse(pid);
    }
    source.put(steam_game(100, 3));
    let machine = Machine::start(source, GameOptions::default()).expect("no --game-pid");
    assert_eq!(machine.game(), 100);
    assert_eq!(machine.finder.counters().refused_cnt, 49);
}

#[test]
fn a_game_that_becomes_unreadable_stays_the_game_until_it_ends() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.run_ms(200);
    machine.source.refuse(100);
    machine.run_ms(5_000);
    assert_eq!(machine.game(), 100);
    machine.exit(100);
    assert_eq!(machine.game(), 0);
}

#[test]
fn processes_that_end_soon_are_never_read() {
    let mut machine = Machine::new();
    let before = machine.source.look_cnt();
    for pid in 1..=5_000 {
        machine.exec(plain(pid));
        machine.run_ms(1);
        machine.exit(pid);
    }
    machine.run_ms(1_000);
    assert_eq!(machine.source.look_cnt(), before);
    assert_eq!(machine.finder.tracked_cnt(), 0);
    assert_eq!(
        machine.finder.next_deadline(),
        None,
        "an idle finder asks for no time"
    );
}

#[test]
fn a_storm_without_ends_is_bounded_and_the_game_in_it_is_found() {
    let mut machine = Machine::new();
    for pid in 1..=50_000 {
        machine.exec(plain(pid));
    }
    machine.exec(steam_game(60_000, 3));
    assert!(machine.finder.tracked_cnt() <= 8_192);
    machine.run_ms(1_100);
    assert_eq!(
        machine.game(),
        60_000,
        "what found no room is found by a look through /proc"
    );
}

#[test]
fn lost_events_are_made_up_for_at_most_once_a_second() {
    let mut machine = Machine::new();
    machine.run_ms(5_000);
    machine.source.put(steam_game(100, 3));
    for _ in 0..1_000 {
        machine.finder.on_events_lost(machine.now);
        machine.run_ms(5);
    }
    assert_eq!(machine.game(), 100);
    assert!((5..=7).contains(&machine.finder.counters().rescan_cnt));
    machine.source.end(100);
    machine.finder.on_events_lost(machine.now);
    machine.run_ms(1_000);
    assert_eq!(machine.game(), 0);
}

#[test]
fn without_process_events_the_game_is_found_and_released_by_looking() {
    let options = GameOptions {
        polling: true,
        ..GameOptions::default()
    };
    let mut machine = Machine::start(Scripted::default(), options).expect("no --game-pid");
    machine.source.put(steam_game(100, 3));
    machine.run(Duration::from_secs(2));
    assert_eq!(machine.game(), 100);
    machine.source.end(100);
    machine.run(Duration::from_secs(2));
    assert_eq!(machine.game(), 0);
}

#[test]
fn the_named_process_wins_as_long_as_it_lives() {
    let source = Scripted::default();
    source.put(process(50, "/usr/bin/vim", "vim", ""));
    source.put(steam_game(100, 4_000));
    let options = GameOptions {
        game_pid: Some(50),
        ..GameOptions::default()
    };
    let mut machine = Machine::start(source, options).expect("50 is alive");
    machine.run_ms(60_000);
    let game = machine.finder.current().expect("a game");
    assert_eq!(
        (game.pid, game.confidence, game.evidence.as_str()),
        (50, 100, "--game-pid")
    );
    machine.exit(50);
    assert_eq!(machine.game(), 100);
    machine.exec(process(50, "/usr/bin/vim", "vim", ""));
    machine.run_ms(60_000);
    assert_eq!(machine.game(), 100, "a reused id is not the named process");
}

#[test]
fn a_named_process_that_does_not_exist_is_refused_in_words() {
    let options = GameOptions {
        game_pid: Some(50),
        ..GameOptions::default()
    };
    let error = Machine::start(Scripted::default(), options)
        .err()
        .expect("there is no 50");
    assert_eq!(error, GameError::NoSuchProcess { pid: 50 });
    assert!(
        error
            .to_string()
            .starts_with("--game-pid 50: there is no such process")
    );
}

#[test]
fn gamescope_marks_its_descendants_and_not_the_desktop() {
    let mark = "GAMESCOPE_WAYLAND_DISPLAY=gamescope-0";
    let mut machine = Machine::new();
    machine.exec(process(10, "/usr/bin/gamescope", "gamescope -- mygame", ""));
    machine.exec(ProcessSnapshot {
        ppid: 10,
        ..process(11, "/usr/bin/bash", "bash", mark)
    });
    machine.exec(process(20, "/usr/bin/ibus", "ibus", mark));
    machine.run_ms(500);
    assert_eq!(machine.game(), 0);
    machine.exec(ProcessSnapshot {
        ppid: 11,
        ..process(12, "/g/mygame", "mygame", mark)
    });
    machine.run_ms(500);
    assert_eq!(machine.game(), 12);
}

#[test]
fn only_one_game_costs_nothing_after_its_first_seconds() {
    let mut machine = Machine::new();
    machine.exec(steam_game(100, 3));
    machine.run_ms(10_000);
    assert_eq!(machine.finder.next_deadline(), None);
}
