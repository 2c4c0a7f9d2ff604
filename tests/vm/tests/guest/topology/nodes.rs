//! Goal: who wakes stays on its NUMA node while a CPU there is idle; what waits on one node is taken by idle
//! CPUs of all, and by those of the same node first. Method: a thread whose CPU is taken whenever it
//! sleeps; endless threads that begin on one node, or in two caches, and may go elsewhere later. All
//! say themselves where they run.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gamesim::work::burn;
use nix::sched::sched_getcpu;
use nix::unistd::{Pid, gettid};
use scx_utils::read_cpulist;

use super::topology_of_cpus;
use crate::guest::require_vm;
use crate::support::daemon::Daemon;
use crate::support::{SELF, allow, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// The CPUs of each node; `None`, and a word about it, where there is one node.
fn nodes() -> Option<Vec<Vec<usize>>> {
    let path = |node| format!("/sys/devices/system/node/node{node}/cpulist");
    let lists = (0..).map(|node| fs::read_to_string(path(node)));
    let nodes: Vec<_> = lists
        .map_while(Result::ok)
        .map(|list| read_cpulist(list.trim()).unwrap())
        .collect();
    if nodes.len() < 2 {
        println!("not here: there is one node");
        return None;
    }
    Some(nodes)
}

/// The CPUs of each cache of these CPUs.
fn caches_of(cpus: &[usize]) -> Vec<Vec<usize>> {
    let packages = topology_of_cpus("physical_package_id");
    let mut caches = BTreeMap::<&str, Vec<usize>>::new();
    for cpu in cpus {
        caches.entry(&packages[*cpu]).or_default().push(*cpu);
    }
    caches.into_values().collect()
}

/// So long the thread that sleeps and wakes does so.
const PLAY: Duration = Duration::from_secs(3);
const WORK: Duration = Duration::from_millis(2);
const SLEEP: Duration = Duration::from_millis(6);
const AWAKE: usize = usize::MAX;
/// Steps of work between two looks at the time or the other. (A pause as in spin loops hands an emulated CPU's
/// turn on: such a loop costs the host a hundred times as much.)
const LOOK: u64 = 200;

/// Where a thread fell asleep, and where it woke.
type Nap = (usize, usize);

/// A thread begins on the first node and works and sleeps in turn, free to go anywhere; meanwhile another
/// takes the CPU that it slept on. Its naps.
fn naps_beside_a_chaser(nodes: &[Vec<usize>]) -> Vec<Nap> {
    let all = nodes.concat();
    let slept_on = AtomicUsize::new(AWAKE);
    let stop = AtomicBool::new(false);
    let chase = || {
        let mut at = AWAKE;
        while !stop.load(Ordering::Relaxed) {
            let next = slept_on.load(Ordering::SeqCst);
            if next != AWAKE && next != at {
                allow(SELF, &[next]);
                at = next;
            }
            burn(LOOK);
        }
    };
    let play = || {
        allow(SELF, &nodes[0]);
        thread::park_timeout(SLEEP);
        allow(SELF, &all);
        let mut naps = Vec::new();
        let began = Instant::now();
        while began.elapsed() < PLAY {
            let woke = Instant::now();
            while woke.elapsed() < WORK {
                burn(LOOK);
            }
            let before = sched_getcpu().unwrap();
            slept_on.store(before, Ordering::SeqCst);
            thread::park_timeout(SLEEP);
            slept_on.store(AWAKE, Ordering::SeqCst);
            naps.push((before, sched_getcpu().unwrap()));
        }
        naps
    };
    thread::scope(|scope| {
        scope.spawn(chase);
        let naps = scope.spawn(play).join().unwrap();
        stop.store(true, Ordering::Relaxed);
        naps
    })
}

#[test]
#[ignore = "runs inside the VM"]
fn who_wakes_stays_on_its_node_while_a_cpu_there_is_idle() {
    require_vm();
    let Some(nodes) = nodes() else { return };
    let node_of = |cpu: usize| nodes.iter().position(|node| node.contains(&cpu));
    let left = |flags: &[&str]| {
        let mut daemon = Daemon::start(flags);
        let naps = naps_beside_a_chaser(&nodes);
        daemon.assert_in_charge();
        assert!(naps.len() >= 100, "it hardly ever woke");
        let cnt = naps.len();
        let is_left = |(before, after): &Nap| node_of(*before) != node_of(*after);
        let left: Vec<Nap> = naps.into_iter().filter(is_left).collect();
        println!("{flags:?}: {} of {cnt} times on another node", left.len());
        left
    };
    let by_chance = left(&["--without", "placement"]);
    assert!(by_chance.len() > 10, "chance keeps it: {by_chance:?}");
    assert_eq!(left(&[]), []);
}

/// Endless threads that note where they run.
struct Hogs {
    stop: Arc<AtomicBool>,
    hogs: Vec<Hog>,
}

struct Hog {
    tid: Pid,
    /// Rounds of work on each CPU.
    rounds: Arc<Vec<AtomicU64>>,
    thread: Option<JoinHandle<()>>,
}

/// Steps of work between two looks at where it is.
const ROUND: u64 = 1_000;

impl Hogs {
    /// Starts `each` of them for each of these CPUs, on which alone they may run.
    fn start(each: usize, cpus: &[usize]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let hogs = (0..each * cpus.len()).map(|_| Hog::start(cpus, &stop));
        Self {
            hogs: hogs.collect(),
            stop,
        }
    }

    /// Lets them run on these CPUs from now on.
    fn allow(&self, cpus: &[usize]) {
        for hog in &self.hogs {
            allow(hog.tid, cpus);
        }
    }

    /// Rounds of all of them together on each of these CPUs.
    fn rounds(&self, cpus: &[usize]) -> Vec<u64> {
        let on = |cpu: &usize| {
            let rounds = self
                .hogs
                .iter()
                .map(|hog| hog.rounds[*cpu].load(Ordering::Relaxed));
            rounds.sum()
        };
        cpus.iter().map(on).collect()
    }

    /// Whether each has run.
    fn all_run(&self) -> bool {
        self.hogs.iter().all(Hog::has_run)
    }
}

impl Hog {
    fn start(cpus: &[usize], stop: &Arc<AtomicBool>) -> Self {
        let count = topology_of_cpus("core_id").len();
        let rounds: Arc<Vec<_>> = Arc::new((0..count).map(|_| AtomicU64::new(0)).collect());
        let (send, receive) = channel();
        let body = {
            let (rounds, stop, cpus) = (rounds.clone(), stop.clone(), cpus.to_vec());
            move || Self::run(&cpus, &rounds, &stop, &send)
        };
        let thread = Some(thread::spawn(body));
        Self {
            tid: receive.recv().unwrap(),
            rounds,
            thread,
        }
    }

    fn run(cpus: &[usize], rounds: &[AtomicU64], stop: &AtomicBool, tell: &Sender<Pid>) {
        allow(SELF, cpus);
        tell.send(gettid()).unwrap();
        while !stop.load(Ordering::Relaxed) {
            burn(ROUND);
            rounds[sched_getcpu().unwrap()].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn has_run(&self) -> bool {
        let mut rounds = self.rounds.iter();
        rounds.any(|rounds| rounds.load(Ordering::Relaxed) > 0)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for hog in &mut self.hogs {
            let _ = hog.thread.take().unwrap().join();
        }
    }
}

#[test]
#[ignore = "runs inside the VM"]
fn what_waits_on_one_node_is_taken_by_the_cpus_of_the_other() {
    require_vm();
    let Some(nodes) = nodes() else { return };
    let (home, others) = (&nodes[0], nodes[1..].concat());
    let mut daemon = Daemon::start(&[]);
    let hogs = Hogs::start(3, home);
    assert!(wait_for(PATIENCE, || hogs.all_run()));
    assert!(hogs.rounds(&others).iter().all(|rounds| *rounds == 0));
    let before = daemon.metrics().dispatch_steal;
    hogs.allow(&nodes.concat());
    let began = Instant::now();
    let spread = wait_for(PATIENCE, || {
        hogs.rounds(&others).iter().all(|rounds| *rounds > 0)
    });
    println!("on all CPUs after {} ms", began.elapsed().as_millis());
    let at_home = hogs.rounds(home);
    thread::park_timeout(Duration::from_secs(1));
    let stolen = daemon.metrics().dispatch_steal - before;
    println!(
        "stolen {stolen}; rounds at home {:?}, elsewhere {:?}",
        hogs.rounds(home),
        hogs.rounds(&others)
    );
    assert!(spread, "a CPU of another node takes nothing");
    let still = hogs.rounds(home);
    assert!(still.iter().zip(&at_home).all(|(now, before)| now > before));
    assert!(stolen >= others.len() as u64);
    daemon.assert_in_charge();
}

#[test]
#[ignore = "runs inside the VM"]
fn a_cpu_takes_from_its_own_node_before_another() {
    require_vm();
    let Some(nodes) = nodes() else { return };
    let (near, far) = (caches_of(&nodes[0]), caches_of(&nodes[1]));
    let ([idle, neighbour], [distant, rest]) = (&near[..], &far[..]) else {
        println!("not here: there are not two caches on each node");
        return;
    };
    let mut daemon = Daemon::start(&[]);
    // So that nobody else takes anything.
    let _keeps = Hogs::start(1, rest);
    let keeps = Hogs::start(1, idle);
    let (here, there) = (Hogs::start(2, neighbour), Hogs::start(2, distant));
    let all = nodes.concat();
    assert!(wait_for(PATIENCE, || here.all_run() && there.all_run()));
    there.allow(&all);
    here.allow(&all);
    let rounds = || [here.rounds(idle), there.rounds(idle)];
    let before = rounds();
    drop(keeps);
    let mut after = rounds();
    let taken = wait_for(PATIENCE, || {
        after = rounds();
        after[0]
            .iter()
            .zip(&before[0])
            .all(|(now, then)| now > then)
    });
    println!("rounds on the CPUs that were set free, before and after: {before:?}, {after:?}");
    assert!(taken, "no neighbour came");
    // Only now: a CPU that ends a turn takes who waits before the kernel hands back whom it ran, and who looks
    // for work in between sees nobody waiting on this node.
    assert_eq!(after[1], before[1], "somebody came from the other node");
    daemon.assert_in_charge();
}
