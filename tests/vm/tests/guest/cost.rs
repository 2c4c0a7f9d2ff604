//! Goal: what a look at a message or a request costs is known, and small for whoever is not the
//! game. Method: the kernel's own run time statistics, in counted time: one instruction is 1 ns, and
//! two reads of the clock are within. What interrupts a run, or the other CPU does meanwhile, counts too, so that
//! of several looks the lowest is nearest to what a run itself costs.

use std::time::Duration;

use libbpf_rs::query::ProgInfoIter;
use scx_gamer::detect::evidence::Evidence;
use scx_gamer::detect::network;
use scx_gamer::detect::storage;
use scx_gamer::scheduler::enable_run_time_stats;

use super::network::loopback_up;
use super::peer::{Peer, tcp_echo, udp_echo};
use super::require_vm;
use super::storage::Device;
use crate::support::wait_for;

/// Of an event by a process that is not the game's.
const OUTSIDER_NS_MAX: u64 = 500;

/// Runs of the programs of these names, and their time in ns.
fn runs(names: &[&str]) -> (u64, u64) {
    let all = ProgInfoIter::default();
    let mine = all.filter(|info| names.contains(&&*info.name.to_string_lossy()));
    mine.fold((0, 0), |(cnt, ns), info| {
        (cnt + info.run_cnt, ns + info.run_time_ns)
    })
}

/// Time in ns of these programs' runs after the deeds have begun: the lowest mean of five looks, each
/// of a fifth of a second.
fn run_ns(names: &[&str], peer: &mut Peer, what: &str) -> u64 {
    peer.begin();
    let means: Vec<u64> = (0..5)
        .map(|_| {
            let (cnt_before, ns_before) = runs(names);
            wait_for(Duration::from_millis(200), || false);
            let (cnt, ns) = runs(names);
            assert!(cnt > cnt_before, "{what}: no event");
            (ns - ns_before) / (cnt - cnt_before)
        })
        .collect();
    println!("{what}: {means:?} ns each");
    means.into_iter().min().expect("there were looks")
}

#[test]
#[ignore = "runs inside the VM"]
fn outsiders_cost_next_to_nothing() {
    require_vm();
    loopback_up();
    let _stats = enable_run_time_stats().unwrap();
    let evidence = Evidence::create().unwrap();
    // Nobody that does anything here.
    evidence.set_game(u32::MAX, []).unwrap();
    let _network = network::detect(&evidence);
    let _storage = storage::detect(&evidence);
    let _device = Device::make();
    let (udp, tcp) = (udp_echo("127.0.0.1:0"), tcp_echo("127.0.0.1:0"));
    let messages = ["network_send", "network_receive"].as_slice();
    for (deed, on, names) in [
        ("udp", udp.as_str(), messages),
        ("bulk", &tcp, messages),
        ("read", Device::PATH, &["storage_request"]),
    ] {
        let start = || Peer::start("cost", 60, &[(deed, on)]);
        let outsider = run_ns(names, &mut start(), &format!("{deed} by others"));
        assert!(outsider < OUTSIDER_NS_MAX);
        let mut game = start();
        evidence.set_game(game.pid(), []).unwrap();
        // The other side of a connection is not the game.
        run_ns(
            names,
            &mut game,
            &format!("{deed} by the game and its other side"),
        );
        evidence.set_game(u32::MAX, []).unwrap();
    }
}
