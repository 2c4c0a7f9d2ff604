//! Goal: whichever of the kernel's files tells that CPUs differ, those on which a game runs best are known by
//! it; of a file that is missing or broken it is clear what that costs. Method: directories as the
//! kernel shows a machine's CPUs, and this program once more for each, as it looks there once.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::env;
use std::fs;
use std::process::Command;

use scx_gamer::topology::Layout;
use scx_utils::Topology;
use tempfile::TempDir;

/// Where the kernel's files are looked for.
const ROOT: &str = "SCX_SYSFS_PREFIX";
/// Begins the line that says what was found there.
const FOUND: &str = "found: ";
const RANKING: &str = "cpufreq/amd_pstate_prefcore_ranking";
const HIGHEST_PERF: &str = "acpi_cppc/highest_perf";
const CAPACITY: &str = "cpu_capacity";
const MAX_KHZ: &str = "cpufreq/cpuinfo_max_freq";
const CACHE_SIZE: &str = "cache/index3/size";
const CACHE_CPUS: &str = "cache/index3/shared_cpu_list";

/// What the kernel shows of a machine.
struct Machine(TempDir);

impl Machine {
    /// CPUs of one kind and one thread each, with one cache.
    fn of_cpus(count: usize) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        let all = format!("0-{}", count - 1);
        machine.write("online", &all);
        machine.write("smt/active", "0");
        for cpu in 0..count {
            machine.of_cpu(cpu, "topology/core_id", &cpu.to_string());
            machine.of_cpu(cpu, "topology/physical_package_id", "0");
            machine.of_cpu(cpu, "topology/cluster_id", "-1");
            machine.of_cpu(cpu, CACHE_SIZE, "32768K");
            machine.of_cpu(cpu, CACHE_CPUS, &all);
        }
        machine
    }

    /// Has `file` of each CPU say this, in their order; "" where there is none.
    fn with(self, file: &str, texts: &[&str]) -> Self {
        for (cpu, text) in texts.iter().enumerate() {
            self.of_cpu(cpu, file, text);
        }
        self
    }

    fn of_cpu(&self, cpu: usize, file: &str, text: &str) {
        self.write(&format!("cpu{cpu}/{file}"), text);
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join("sys/devices/system/cpu").join(file);
        if text.is_empty() {
            let _ = fs::remove_file(path);
            return;
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    /// What this program finds there.
    fn found(&self) -> String {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--ignored", "--exact", "--nocapture", "says_what_it_finds"]);
        let output = command.env(ROOT, self.0.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let found = text
            .lines()
            .find_map(|line| Some(line.split_once(FOUND)?.1));
        found.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    /// The fast CPUs of those that are found there.
    fn fast(&self) -> String {
        let found = self.found();
        let fast = found.split_once("; fast ");
        fast.unwrap_or_else(|| panic!("{found}")).1.to_owned()
    }
}

#[test]
#[ignore = "is a process of other tests"]
fn says_what_it_finds() {
    if env::var(ROOT).is_err() {
        return;
    }
    match Topology::new() {
        Ok(topology) => {
            let layout = Layout::of(&topology).unwrap();
            let places = layout.places().iter();
            let places = places.map(|at| format!("{} in {} on {}", at.cpu, at.llc, at.node));
            let places = places.collect::<Vec<_>>().join(", ");
            let fast: Vec<u16> = layout.fast_cpus().collect();
            println!("\n{FOUND}{places}; fast {fast:?}");
        }
        Err(error) => println!("\n{FOUND}{error:#}"),
    }
}

#[test]
fn where_nothing_tells_a_difference_no_cpu_is_fast() {
    assert_eq!(Machine::of_cpus(4).fast(), "[]");
    for file in [RANKING, HIGHEST_PERF, CAPACITY, MAX_KHZ] {
        let machine = Machine::of_cpus(4).with(file, &["200"; 4]);
        assert_eq!(machine.fast(), "[]", "{file}");
    }
}

#[test]
fn p_cores_are_known_by_each_file_that_tells_of_them() {
    for (file, p, e) in [
        (CAPACITY, "1024", "600"),
        (HIGHEST_PERF, "70", "43"),
        (MAX_KHZ, "5400000", "4200000"),
        (RANKING, "236", "166"),
    ] {
        let machine = Machine::of_cpus(5).with(file, &[p, p, e, e, e]);
        assert_eq!(machine.fast(), "[0, 1]", "{file}");
        let machine = Machine::of_cpus(3).with(file, &[e, p, e]);
        assert_eq!(machine.fast(), "[1]", "{file}");
    }
}

#[test]
fn the_first_file_in_which_cpus_differ_counts() {
    let same = Machine::of_cpus(4)
        .with(HIGHEST_PERF, &["255"; 4])
        .with(CAPACITY, &["600", "600", "1024", "1024"]);
    assert_eq!(same.fast(), "[2, 3]", "all are alike in the first");
    let both = Machine::of_cpus(4)
        .with(RANKING, &["236", "236", "160", "160"])
        .with(CAPACITY, &["600", "600", "1024", "1024"]);
    assert_eq!(both.fast(), "[0, 1]");
}

#[test]
fn cores_that_are_preferred_by_a_tenth_are_no_other_kind() {
    let machine = Machine::of_cpus(6).with(RANKING, &["236", "231", "226", "221", "216", "211"]);
    assert_eq!(machine.fast(), "[]");
}

/// Two dies of one chip, as one with stacked cache ranks its cores: by clock rate, or by cache.
#[test]
fn the_die_with_stacked_cache_is_fast_whichever_one_is_preferred() {
    let dies = |file, first, second| {
        let texts = [[first; 4], [second; 4]].concat();
        Machine::of_cpus(8)
            .with(CACHE_CPUS, &[["0-3"; 4], ["4-7"; 4]].concat())
            .with(CACHE_SIZE, &[["98304K"; 4], ["32768K"; 4]].concat())
            .with(file, &texts)
    };
    for file in [RANKING, HIGHEST_PERF, CAPACITY, MAX_KHZ] {
        let by_clock = dies(file, "196", "236");
        assert_eq!(by_clock.fast(), "[0, 1, 2, 3]", "{file}");
        let by_cache = dies(file, "236", "196");
        assert_eq!(by_cache.fast(), "[0, 1, 2, 3]", "{file}");
    }
    let ranks = ["236", "226", "216", "231", "196", "201", "181", "191"];
    let by_cache = dies(MAX_KHZ, "5250000", "5700000").with(RANKING, &ranks);
    assert_eq!(by_cache.fast(), "[0, 1, 2, 3]");
}

#[test]
fn caches_of_about_one_size_are_alike() {
    let machine = Machine::of_cpus(4)
        .with(CACHE_CPUS, &["0-1", "0-1", "2-3", "2-3"])
        .with(CACHE_SIZE, &["32768K", "32768K", "24576K", "24576K"]);
    assert_eq!(
        machine.found(),
        "0 in 0 on 0, 1 in 0 on 0, 2 in 1 on 0, 3 in 1 on 0; fast []"
    );
}

#[test]
fn cpus_that_are_offline_are_absent() {
    let machine = Machine::of_cpus(4).with(CAPACITY, &["1024", "600", "600", "600"]);
    machine.write("online", "0,2-3");
    assert_eq!(
        machine.found(),
        "0 in 0 on 0, 2 in 0 on 0, 3 in 0 on 0; fast [0]"
    );
}

#[test]
fn nodes_of_memory_are_known() {
    let machine = Machine::of_cpus(4).with(CACHE_CPUS, &["0-1", "0-1", "2-3", "2-3"]);
    for (node, cpus) in [(0, [0, 1]), (1, [2, 3])] {
        machine.write(&format!("../node/node{node}/distance"), "10 21");
        for cpu in cpus {
            let dir = format!("../node/node{node}/cpu{cpu}/online");
            machine.write(&dir, "1");
        }
    }
    assert_eq!(
        machine.found(),
        "0 in 0 on 0, 1 in 0 on 0, 2 in 1 on 1, 3 in 1 on 1; fast []"
    );
}

/// A CPU about which nothing can be read is taken for one of the quickest.
#[test]
fn a_broken_file_costs_what_it_would_have_told() {
    let one = Machine::of_cpus(4).with(CAPACITY, &["1024", "much", "600", "600"]);
    assert_eq!(one.fast(), "[0, 1]");
    let gone = Machine::of_cpus(4).with(CAPACITY, &["1024", "", "600", "600"]);
    assert_eq!(gone.fast(), "[0, 1]");
    for broken in ["", "much", "-1", "0", "99999999999999999999"] {
        let all = Machine::of_cpus(4)
            .with(CAPACITY, &[broken; 4])
            .with(MAX_KHZ, &["5400000", "5400000", "4200000", "4200000"]);
        assert_eq!(all.fast(), "[0, 1]", "{broken:?}: the next file counts");
    }
    for broken in ["", "large"] {
        let size = Machine::of_cpus(4)
            .with(CACHE_SIZE, &[broken; 4])
            .with(CAPACITY, &["600", "600", "600", "1024"]);
        assert_eq!(size.fast(), "[3]", "{broken:?}");
    }
}

#[test]
fn without_the_place_of_a_cpu_the_error_names_its_file() {
    for (file, text) in [("topology/core_id", ""), ("topology/core_id", "first")] {
        let machine = Machine::of_cpus(2).with(file, &["0", text]);
        let found = machine.found();
        assert!(found.contains("cpu1/topology/core_id"), "{found}");
    }
    let nothing = Machine(tempfile::tempdir().unwrap()).found();
    assert!(nothing.contains("No such file"), "{nothing}");
}
