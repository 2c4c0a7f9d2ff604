//! GPU interrupt detector: which CPUs and which threads serve the interrupts of GPUs and displays.
//!
//! The numbers of these interrupts stand in sysfs, below the devices of the DRM cards.

use std::collections::BTreeSet;
use std::fs;
use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle};

use super::cost::{Cost, Meter};
use super::evidence::Evidence;
use super::hook::HookKind;
use super::{Detector, DetectorState};
use crate::intf;
use crate::skel::detect_gpu_irq::DetectGpuIrqSkelBuilder;

const SYSFS: &str = "/sys";
const HANDLER: &str = "irq_handler_entry";
/// What the thread of an interrupt runs: one that its driver asked for, or one made by `threadirqs`.
const OWN: &str = "irq_thread_fn";
const FORCED: &str = "irq_forced_thread_fn";

/// The numbers of all interrupts of DRM cards; `sysfs` is where that is mounted.
#[must_use]
pub fn card_irqs(sysfs: &Path) -> BTreeSet<u32> {
    let entries = fs::read_dir(sysfs.join("class/drm")).into_iter().flatten();
    let cards = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("card"));
        // Not card0-HDMI-A-1.
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    });
    let devices = cards.map(|card| card.path().join("device"));
    devices.flat_map(|device| device_irqs(&device)).collect()
}

/// Message-signalled ones where there are any: the file `irq` then names the line that they replace,
/// which may be another device's. A virtio device has neither, its parent does.
fn device_irqs(device: &Path) -> BTreeSet<u32> {
    let own = [device.join("irq"), device.join("msi_irqs")];
    let device = if own.iter().any(|path| path.exists()) {
        device.to_owned()
    } else {
        // Through the link: the parent of the device, not of the link.
        match device.canonicalize() {
            Ok(real) => real.join(".."),
            Err(_) => return BTreeSet::new(),
        }
    };
    let messages = fs::read_dir(device.join("msi_irqs")).into_iter().flatten();
    let messages = messages.flatten();
    let messages = messages.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let irqs: BTreeSet<u32> = messages.collect();
    if !irqs.is_empty() {
        return irqs;
    }
    let line = fs::read_to_string(device.join("irq")).unwrap_or_default();
    line.trim()
        .parse()
        .ok()
        .filter(|irq| *irq != 0)
        .into_iter()
        .collect()
}

/// The detector. Detaches on drop.
pub struct GpuIrqDetector {
    irqs: BTreeSet<u32>,
    attached: Option<Attached>,
    failure: String,
}

struct Attached {
    threads: Option<HookKind>,
    irqs: MapHandle,
    meter: Meter,
    _links: Vec<Link>,
}

impl GpuIrqDetector {
    /// Hooks interrupts if there is a card with any.
    #[must_use]
    pub fn load(evidence: &Evidence) -> Self {
        let mut detector = Self {
            irqs: BTreeSet::new(),
            attached: None,
            failure: String::new(),
        };
        detector.hook_missing(evidence);
        detector
    }

    /// [`Self::load`] with the threads of interrupts hooked in one way only.
    ///
    /// # Errors
    /// If the kernel does not accept it.
    pub fn load_by(evidence: &Evidence, how: HookKind) -> Result<Self> {
        Ok(Self {
            irqs: BTreeSet::new(),
            attached: Some(Attached::attach(evidence, Some(how))?),
            failure: String::new(),
        })
    }

    fn attach(&mut self, evidence: &Evidence) {
        let ways = HookKind::BY_COST.iter().copied().map(Some);
        let mut failures = Vec::new();
        // CPUs can be told without the threads.
        for threads in ways.chain([None]) {
            match Attached::attach(evidence, threads) {
                Ok(attached) => {
                    self.attached = Some(attached);
                    return;
                }
                Err(error) => failures.push(format!("{error:#}")),
            }
        }
        self.failure = failures.join("; ");
    }
}

impl Detector for GpuIrqDetector {
    fn name(&self) -> &'static str {
        "gpu irq"
    }

    fn cost(&self) -> Cost {
        let attached = self.attached.as_ref();
        attached.map_or_else(Cost::default, |attached| attached.meter.cost())
    }

    fn state(&self) -> DetectorState {
        let Some(attached) = &self.attached else {
            return DetectorState::Unavailable {
                reason: self.failure.clone(),
            };
        };
        let threads = attached
            .threads
            .map_or_else(String::new, |how| format!(", {how}/{OWN}, {how}/{FORCED}"));
        let irqs: Vec<String> = self.irqs.iter().map(u32::to_string).collect();
        DetectorState::Active {
            hook: format!("tp_btf/{HANDLER}{threads}; interrupts {}", irqs.join(" ")),
        }
    }

    fn hook_step(&mut self, evidence: &Evidence, _: usize) -> bool {
        let irqs = card_irqs(Path::new(SYSFS));
        if self.attached.is_none() {
            if irqs.is_empty() {
                "no card in /sys/class/drm has an interrupt".clone_into(&mut self.failure);
                return false;
            }
            self.attach(evidence);
        }
        let Some(attached) = &self.attached else {
            return false;
        };
        for gone in self.irqs.difference(&irqs) {
            attached.set(*gone, false);
        }
        for new in irqs.difference(&self.irqs) {
            attached.set(*new, true);
        }
        self.irqs = irqs;
        false
    }
}

impl Attached {
    fn attach(evidence: &Evidence, threads: Option<HookKind>) -> Result<Self> {
        let mut storage = MaybeUninit::uninit();
        let mut open = DetectGpuIrqSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the detector of GPU interrupts")?;
        evidence.lend(open.open_object_mut())?;
        let progs = &mut open.progs;
        if let Some(how) = threads {
            how.prepare(&mut progs.own_fentry, &mut progs.own_kprobe, None, OWN)?;
            how.prepare(
                &mut progs.forced_fentry,
                &mut progs.forced_kprobe,
                None,
                FORCED,
            )?;
        }
        let skel = open
            .load()
            .context("cannot load the detector of GPU interrupts")?;
        let progs = &skel.progs;
        let handler = progs.irq_entry.attach_trace();
        let mut links = vec![handler.with_context(|| format!("cannot attach to {HANDLER}"))?];
        if let Some(how) = threads {
            links.push(how.attach(&progs.own_fentry, &progs.own_kprobe, OWN)?);
            links.push(how.attach(&progs.forced_fentry, &progs.forced_kprobe, FORCED)?);
        }
        Ok(Self {
            threads,
            irqs: MapHandle::try_from(&skel.maps.gpu_irqs)?,
            meter: Meter::of(skel.object())?,
            _links: links,
        })
    }

    /// Whether an interrupt is of a GPU or a display. One with too high a number is not counted.
    fn set(&self, irq: u32, is_gpu: bool) {
        if irq >= intf::GPU_IRQ_MAX {
            log::info!("interrupt {irq} of a GPU is not looked at: its number is too high");
            return;
        }
        let key = irq.to_ne_bytes();
        if let Err(error) = self.irqs.update(&key, &[is_gpu.into()], MapFlags::ANY) {
            log::warn!("interrupt {irq} of a GPU is not looked at: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A card whose device has these files, with their text.
    fn add_card(root: &Path, name: &str, device: &str, files: &[(&str, &str)]) {
        let device = root.join("devices").join(device);
        fs::create_dir_all(&device).unwrap();
        for (file, text) in files {
            let path = device.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let card = root.join("class/drm").join(name);
        fs::create_dir_all(&card).unwrap();
        symlink(&device, card.join("device")).unwrap();
    }

    fn irqs(root: &Path) -> Vec<u32> {
        card_irqs(root).into_iter().collect()
    }

    #[test]
    fn message_signalled_interrupts_take_the_place_of_the_line() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("irq", "22\n"),
            ("msi_irqs/30", "msix\n"),
            ("msi_irqs/31", "msix\n"),
        ];
        add_card(root.path(), "card0", "pci/gpu", &files);
        add_card(root.path(), "card1", "pci/old", &[("irq", "16\n")]);
        add_card(root.path(), "card2", "pci/none", &[("irq", "0\n")]);
        assert_eq!(irqs(root.path()), [16, 30, 31]);
    }

    #[test]
    fn a_virtio_device_has_those_of_its_parent_and_a_pci_device_has_not() {
        let root = tempfile::tempdir().unwrap();
        let bridge = root.path().join("devices/pci/msi_irqs");
        fs::create_dir_all(&bridge).unwrap();
        fs::write(bridge.join("24"), "msi").unwrap();
        add_card(root.path(), "card0", "pci/a/virtio0", &[]);
        let parent = root.path().join("devices/pci/a/msi_irqs");
        fs::create_dir_all(&parent).unwrap();
        fs::write(parent.join("40"), "msix").unwrap();
        add_card(root.path(), "card1", "pci/b", &[("irq", "17")]);
        assert_eq!(irqs(root.path()), [17, 40]);
    }

    #[test]
    fn connectors_render_nodes_nonsense_and_nothing_are_no_interrupts() {
        let root = tempfile::tempdir().unwrap();
        assert!(irqs(root.path()).is_empty());
        add_card(root.path(), "card0-HDMI-A-1", "a", &[("irq", "1")]);
        add_card(root.path(), "renderD128", "b", &[("irq", "2")]);
        let nonsense = [("irq", "x\n"), ("msi_irqs/y", ""), ("msi_irqs/-1", "")];
        add_card(root.path(), "card3", "c", &nonsense);
        fs::create_dir_all(root.path().join("class/drm/card4")).unwrap();
        assert!(irqs(root.path()).is_empty());
    }
}
