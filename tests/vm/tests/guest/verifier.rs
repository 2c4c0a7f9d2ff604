//! Goal: every program of every BPF object passes this kernel's verifier, and what that takes is
//! known. Method: load each object in each way it may be loaded; the host compares the printed
//! counts with the ones on file.

use std::collections::BTreeSet;

use libbpf_rs::query::ProgInfoIter;
use scx_gamer::cli::Cli;
use scx_gamer::config::Config;
use scx_gamer::daemon;
use scx_gamer::detect::actor;
use scx_gamer::detect::audio;
use scx_gamer::detect::evidence::{Evidence, EvidenceKind};
use scx_gamer::detect::flip;
use scx_gamer::detect::gpu_irq::GpuIrqDetector;
use scx_gamer::detect::hook::HookKind;
use scx_gamer::detect::input::{InputDetector, InputOptions, RingLayout};
use scx_gamer::detect::network;
use scx_gamer::detect::process::ProcessEvents;
use scx_gamer::detect::relay;
use scx_gamer::detect::storage;
use scx_gamer::detect::sync::SyncDetector;
use scx_gamer::events::CpuNode;
use scx_gamer::topology::Layout;
use scx_utils::Topology;

use super::require_vm;

/// Begins each line with the count of one program: `MARK PRESET/PROGRAM INSTRUCTIONS`.
pub(crate) const MARK: &str = "verified";

/// One way to hook alone.
pub(super) const FENTRY: &[HookKind] = &[HookKind::Fentry];
pub(super) const KPROBE: &[HookKind] = &[HookKind::Kprobe];

#[test]
#[ignore = "runs inside the VM"]
fn every_program_passes_the_verifier() {
    require_vm();
    // The host reads whole lines, and the test runner has begun one.
    println!();
    // As on a machine with cpufreq, which the guest has not.
    let usual = ["scx_gamer", "--with=cpuperf"].as_slice();
    let saving = ["scx_gamer", "--with=cpuperf", "--power-save"].as_slice();
    let all = [
        "scx_gamer",
        "--detect-sync=on",
        "--power-save",
        "--with=cpuperf,frame-clock,rates,loans,rt-waits",
    ]
    .as_slice();
    let one = Layout::of(&Topology::new().unwrap()).unwrap();
    assert_eq!(one.llc_count(), 1);
    let two = Layout::new([(0, 0..1), (1, 1..2)].into_iter(), 2).unwrap();
    let kinds = two.clone().with_kinds(&[0].into(), true);
    for (preset, flags, layout) in [
        ("one_llc", usual, &one),
        ("two_llcs", usual, &two),
        ("power_save", saving, &one),
        ("all_features", all, &kinds),
    ] {
        let cli = <Cli as clap::Parser>::parse_from(flags);
        let config = Config::from_cli(&cli).unwrap();
        for (program, insns) in daemon::verify(&config, layout).unwrap() {
            report(preset, &program, insns);
        }
    }
    let evidence = Evidence::create().unwrap();
    let cpus = [CpuNode { cpu: 0, node: 0 }, CpuNode { cpu: 1, node: 0 }];
    for &hook in HookKind::BY_COST {
        for layout in [RingLayout::Many, RingLayout::Single] {
            let options = InputOptions {
                hooks: &[hook],
                layouts: &[layout],
                ..InputOptions::default()
            };
            let preset = format!("input_{layout}").replace(' ', "_");
            report_new(&preset, || {
                InputDetector::load(&evidence, &cpus, &options).unwrap()
            });
        }
    }
    report_new("process", || ProcessEvents::load(&evidence).unwrap());
    for &hook in HookKind::BY_COST {
        let load = || GpuIrqDetector::load_by(&evidence, hook).unwrap();
        report_new(&format!("gpu_irq_{hook}"), load);
    }
    report_new("actor", || actor::detect(&evidence, EvidenceKind::Input));
    for (ways, way) in [FENTRY, KPROBE].into_iter().zip(["fentry", "kprobe"]) {
        report_new(&format!("flip_{way}"), || flip::detect(&evidence, ways));
        report_new(&format!("audio_{way}"), || audio::detect(&evidence, ways));
        report_new(&format!("relay_{way}"), || relay::detect(&evidence, ways));
    }
    report_new("network", || network::detect(&evidence));
    report_new("storage", || storage::detect(&evidence));
    report_new("sync", || SyncDetector::load(&evidence));
}

/// Loads an object and reports the programs that came with it, under the names that the kernel
/// keeps (15 bytes).
fn report_new<T>(preset: &str, load: impl FnOnce() -> T) {
    let before: BTreeSet<u32> = ProgInfoIter::default().map(|info| info.id).collect();
    let loaded = load();
    let new = ProgInfoIter::default().filter(|info| !before.contains(&info.id));
    let mut programs: Vec<_> = new
        .map(|info| {
            (
                info.name.to_string_lossy().into_owned(),
                info.verified_insns,
            )
        })
        .collect();
    drop(loaded);
    programs.sort();
    assert!(!programs.is_empty(), "{preset} has no program");
    for (program, insns) in programs {
        report(preset, &program, insns);
    }
}

fn report(preset: &str, program: &str, insns: u32) {
    assert!(insns > 0, "{preset}/{program} was not counted");
    println!("{MARK} {preset}/{program} {insns}");
}
