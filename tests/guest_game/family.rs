//! Goal: the family that the BPF side knows is the game's, in trees of every launcher's shape, and
//! nobody else's. Method: as in the other tests here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::rig::{BOUND, Daemon, STARTED, await_running, copy, start};

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_steam_games_children_are_its_family_and_the_client_and_helpers_are_not() {
    let dir = TempDir::new().expect("a directory");
    let [client, game] = ["steam", "game"].map(|name| copy(&dir, "/bin/bash", name));
    let [renderer, helper, web] = ["renderer", "UnityCrashHandler64", "steamwebhelper"]
        .map(|name| copy(&dir, "/bin/sleep", name));
    let mut daemon = Daemon::start(None);
    // The shells wait for their children, and so stay above them.
    let inner = format!(
        "{} 100 & {} 100 & wait",
        renderer.display(),
        helper.display()
    );
    let outer = format!(
        "{} 100 & SteamAppId=480 {} -c '{inner}' & wait",
        web.display(),
        game.display()
    );
    let tree = start(&client, &["-c", &outer], &[]);
    let game = await_running(&game, 0, 1)[0];
    daemon.await_game(game, BOUND);
    let renderer = await_running(&renderer, 0, 1)[0];
    daemon.await_family(&[renderer]);
    drop(tree);
    daemon.await_game(0, BOUND);
    daemon.await_family(&[]);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_wine_session_that_was_there_first_is_family_and_another_prefix_is_not() {
    let dir = TempDir::new().expect("a directory");
    let loader = copy(&dir, "/bin/bash", "wine64-preloader");
    let server = copy(&dir, "/bin/sleep", "wineserver");
    let proton = [("SteamAppId", "480"), ("STEAM_COMPAT_DATA_PATH", "/c")];
    let lutris = [("LUTRIS_GAME_UUID", "u"), ("WINEPREFIX", "/l/")];
    let wine = |program: &str, environ: &[(&str, &str)]| {
        start(&loader, &["-c", "read line", program], environ)
    };
    for environ in [&proton, &lutris] {
        let server_of_it = start(&server, &["100"], environ);
        let _other_server = start(&server, &["100"], &[("WINEPREFIX", "/other")]);
        let _services = wine(r"C:\windows\system32\services.exe", environ);
        let _launcher = wine(r"C:\Epic\EpicGamesLauncher.exe", environ);
        let mut daemon = Daemon::start(None);
        let game = wine(r"Z:\games\Game.exe", environ);
        daemon.await_game(game.pid(), BOUND);
        daemon.await_family(&[server_of_it.pid()]);
        let other = wine(r"Z:\games\Compiler.exe", environ);
        daemon.await_family(&[server_of_it.pid(), other.pid()]);
        drop(other);
        daemon.await_family(&[server_of_it.pid()]);
        drop(game);
        daemon.await_family(&[]);
    }
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn under_gamescope_the_games_forks_are_family_and_threads_are_no_processes() {
    let script = "import os, sys, threading, time\n\
                  threading.Thread(target=time.sleep, args=(100,), daemon=True).start()\n\
                  time.sleep(0.5)\n\
                  os.fork() or os.fork()\n\
                  time.sleep(100)";
    let dir = TempDir::new().expect("a directory");
    let gamescope = copy(&dir, "/bin/bash", "gamescope");
    let game = copy(&dir, "/usr/bin/python3", "mygame");
    let mut daemon = Daemon::start(None);
    let outer = format!(
        "GAMESCOPE_WAYLAND_DISPLAY=gamescope-0 {} -c '{script}' & wait",
        game.display()
    );
    let tree = start(&gamescope, &["-c", &outer], &[]);
    let pid = await_running(&game, 0, 1)[0];
    daemon.await_game(pid, BOUND);
    daemon.run_for(BOUND);
    // The child and the grandchild, which have no program of their own.
    let mut forks = await_running(&game, pid, 2);
    daemon.await_family(&forks);
    let gone = forks.remove(0);
    kill(
        Pid::from_raw(i32::try_from(gone).expect("ids are small")),
        Signal::SIGKILL,
    )
    .expect("it is alive");
    daemon.await_family(&forks);
    drop(tree);
    daemon.await_family(&[]);
}

#[test]
#[ignore = "runs inside the VM, as root"]
fn a_reused_process_id_gives_a_stranger_nothing() {
    let dir = TempDir::new().expect("a directory");
    let game = copy(&dir, "/bin/bash", "game");
    let renderer = copy(&dir, "/bin/sleep", "renderer");
    let mut daemon = Daemon::start(None);
    let script = format!("{} 100 & wait; read line", renderer.display());
    let game = start(&game, &["-c", &script], &[("SteamAppId", "480")]);
    daemon.await_game(game.pid(), BOUND);
    let member = await_running(&renderer, 0, 1)[0];
    daemon.await_family(&[member]);
    // Nobody reads events meanwhile: the place is gone with the process, not with the news of it.
    let id = Pid::from_raw(i32::try_from(member).expect("ids are small"));
    kill(id, Signal::SIGKILL).expect("it is alive");
    let begin = Instant::now();
    let stranger = loop {
        fs::write("/proc/sys/kernel/ns_last_pid", (member - 1).to_string()).expect("we are root");
        let process = start(Path::new("/bin/sleep"), &["100"], &[]);
        if process.pid() == member {
            break process;
        }
        assert!(begin.elapsed() < STARTED, "the id is not free");
    };
    assert_eq!(daemon.evidence.family(), BTreeSet::new());
    daemon.run_for(BOUND);
    assert_eq!(
        (daemon.game(), daemon.evidence.family()),
        (game.pid(), BTreeSet::new())
    );
    drop(stranger);
}
