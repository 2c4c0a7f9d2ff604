//! Actor detectors: which threads do what in the kernel, by the functions that do it for them.
//!
//! [`ActorDetector`] hooks every function of [`HOOKS`] that speaks for its kind of evidence and is
//! there. Functions of modules that come later are hooked by [`ActorDetector::hook_missing`].

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::path::Path;

use anyhow::{Context, Result};
use libbpf_rs::Link;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::{Evidence, EvidenceKind};
use super::hook::HookKind;
use super::{Detector, DetectorState};
use crate::skel::detect_actor::DetectActorSkelBuilder;

/// A kernel function that runs for the thread which calls for it, and what that says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActorHook {
    /// What the thread is seen doing.
    pub kind: EvidenceKind,
    /// Where it is: a module, or built in under its name.
    pub module: &'static str,
    /// The function.
    pub function: &'static str,
}

const fn hook(kind: EvidenceKind, module: &'static str, function: &'static str) -> ActorHook {
    ActorHook {
        kind,
        module,
        function,
    }
}

/// Every function that tells something, and what. All of the kernel are found on 6.18 and 7.3. They are entered by
/// system calls only: in an interrupt, the current thread would be anybody.
pub const HOOKS: [ActorHook; 25] = [
    // /dev/input/event*: compositors, and most games.
    hook(EvidenceKind::Input, "evdev", "evdev_read"),
    // /dev/hidraw*: Steam, and games that speak to a gamepad themselves.
    hook(EvidenceKind::Input, "hid", "hidraw_read"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_cs_ioctl"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_userq_signal_ioctl"),
    hook(EvidenceKind::Gpu, "i915", "i915_gem_execbuffer2_ioctl"),
    hook(EvidenceKind::Gpu, "xe", "xe_exec_ioctl"),
    hook(EvidenceKind::Gpu, "nouveau", "nouveau_gem_ioctl_pushbuf"),
    hook(EvidenceKind::Gpu, "nouveau", "nouveau_exec_ioctl_exec"),
    hook(
        EvidenceKind::Gpu,
        "virtio_gpu",
        "virtio_gpu_execbuffer_ioctl",
    ),
    // A host without 3D takes finished pictures instead.
    hook(
        EvidenceKind::Gpu,
        "virtio_gpu",
        "virtio_gpu_transfer_to_host_ioctl",
    ),
    // Waits for what was submitted: through DRM's core, or a driver's own way.
    hook(EvidenceKind::Gpu, "drm", "drm_syncobj_wait_ioctl"),
    hook(EvidenceKind::Gpu, "drm", "drm_syncobj_timeline_wait_ioctl"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_cs_wait_ioctl"),
    hook(EvidenceKind::Gpu, "amdgpu", "amdgpu_cs_wait_fences_ioctl"),
    hook(EvidenceKind::Gpu, "i915", "i915_gem_wait_ioctl"),
    hook(EvidenceKind::Gpu, "xe", "xe_wait_user_fence_ioctl"),
    hook(EvidenceKind::Gpu, "nouveau", "nouveau_gem_ioctl_cpu_prep"),
    hook(EvidenceKind::Gpu, "virtio_gpu", "virtio_gpu_wait_ioctl"),
    // NVIDIA's own driver submits from user mode. What it shows of that: waits for the GPU, and
    // fences made and taken over for others.
    hook(EvidenceKind::Gpu, "nvidia", "nvidia_poll"),
    hook(
        EvidenceKind::Gpu,
        "nvidia_drm",
        "nv_drm_semsurf_fence_create_ioctl",
    ),
    hook(
        EvidenceKind::Gpu,
        "nvidia_drm",
        "nv_drm_semsurf_fence_wait_ioctl",
    ),
    // A flip, the old and the new way.
    hook(EvidenceKind::Display, "drm", "drm_mode_page_flip_ioctl"),
    hook(EvidenceKind::Display, "drm", "drm_mode_atomic_ioctl"),
    // read and write; what maps the buffer asks how far the device has got.
    hook(EvidenceKind::Audio, "snd_pcm", "__snd_pcm_lib_xfer"),
    hook(EvidenceKind::Audio, "snd_pcm", "do_pcm_hwsync"),
];

impl ActorHook {
    /// Whether the module is there; a part of the kernel itself usually shows up as one, too.
    fn is_loaded(&self) -> bool {
        Path::new("/sys/module").join(self.module).exists()
    }

    /// The hook's row in [`HOOKS`], which marks carry.
    fn row(&self) -> u32 {
        let row = HOOKS.iter().position(|hook| hook == self);
        row.and_then(|row| u32::try_from(row).ok()).unwrap_or(0)
    }

    fn attach(&self, evidence: &Evidence) -> Result<Attached> {
        let mut failures = Vec::new();
        for &how in HookKind::BY_COST {
            match self.attach_by(evidence, how) {
                Ok((link, meter)) => {
                    return Ok(Attached {
                        function: self.function,
                        how,
                        meter,
                        _link: link,
                    });
                }
                Err(error) => failures.push(format!("{how}: {error:#}")),
            }
        }
        anyhow::bail!("cannot hook {}: {}", self.function, failures.join("; "))
    }

    fn attach_by(&self, evidence: &Evidence, how: HookKind) -> Result<(Link, Meter)> {
        let mut storage = MaybeUninit::uninit();
        let mut open = DetectActorSkelBuilder::default()
            .open(&mut storage)
            .context("cannot open the actor detector")?;
        evidence.lend(open.open_object_mut())?;
        let rodata = open.maps.rodata_data.as_mut();
        let rodata = rodata.context("BUG: the actor detector has no read-only data")?;
        rodata.kind = self.kind.index();
        rodata.source = self.row();
        let progs = &mut open.progs;
        how.prepare(
            &mut progs.actor_fentry,
            &mut progs.actor_kprobe,
            self.function,
        )?;
        let skel = open.load().context("cannot load the actor detector")?;
        let meter = Meter::of(skel.object())?;
        let progs = &skel.progs;
        let link = how.attach(&progs.actor_fentry, &progs.actor_kprobe, self.function)?;
        Ok((link, meter))
    }
}

/// A hook in use. Detaches on drop; until then the function's module cannot be removed.
#[derive(Debug)]
struct Attached {
    function: &'static str,
    how: HookKind,
    meter: Meter,
    _link: Link,
}

/// All hooks for one kind of evidence.
#[derive(Debug)]
pub struct ActorDetector {
    kind: EvidenceKind,
    attached: Vec<Attached>,
    failures: Vec<String>,
}

impl ActorDetector {
    /// Hooks what is there.
    #[must_use]
    pub fn load(evidence: &Evidence, kind: EvidenceKind) -> Self {
        let mut detector = Self {
            kind,
            attached: Vec::new(),
            failures: Vec::new(),
        };
        detector.hook_missing(evidence);
        detector
    }

    fn hooks(&self) -> impl Iterator<Item = ActorHook> + use<> {
        let kind = self.kind;
        HOOKS.into_iter().filter(move |hook| hook.kind == kind)
    }
}

impl Detector for ActorDetector {
    fn hook_missing(&mut self, evidence: &Evidence) {
        self.failures.clear();
        for hook in self.hooks() {
            let is_hooked = |one: &Attached| one.function == hook.function;
            if self.attached.iter().any(is_hooked) || !hook.is_loaded() {
                continue;
            }
            match hook.attach(evidence) {
                Ok(attached) => self.attached.push(attached),
                Err(error) => self.failures.push(format!("{error:#}")),
            }
        }
    }

    fn cost(&self) -> Cost {
        self.attached.iter().map(|one| one.meter.cost()).sum()
    }

    fn name(&self) -> &'static str {
        self.kind.detector_name()
    }

    fn state(&self) -> DetectorState {
        if !self.attached.is_empty() {
            let hooks = self.attached.iter();
            let hooks = hooks.map(|one| format!("{}/{}", one.how, one.function));
            let all: Vec<_> = hooks.chain(self.failures.iter().cloned()).collect();
            return DetectorState::Active {
                hook: all.join(", "),
            };
        }
        let reason = if self.failures.is_empty() {
            let modules: BTreeSet<&str> = self.hooks().map(|hook| hook.module).collect();
            let modules: Vec<&str> = modules.into_iter().collect();
            format!(
                "no module of these is loaded: {}; that is fine until something uses one",
                modules.join(", ")
            )
        } else {
            self.failures.join("; ")
        };
        DetectorState::Unavailable { reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_hook_and_no_function_stands_twice() {
        for kind in EvidenceKind::OF_ACTORS {
            assert!(HOOKS.iter().any(|hook| hook.kind == kind), "{kind:?}");
        }
        let functions: BTreeSet<&str> = HOOKS.iter().map(|hook| hook.function).collect();
        assert_eq!(functions.len(), HOOKS.len());
    }

    #[test]
    fn without_a_hook_the_modules_are_named_and_with_a_failure_the_failure() {
        let mut detector = ActorDetector {
            kind: EvidenceKind::Input,
            attached: Vec::new(),
            failures: Vec::new(),
        };
        let state = detector.state().to_string();
        assert!(state.contains("unavailable: no module"), "{state}");
        assert!(state.contains("evdev, hid;"), "{state}");
        detector
            .failures
            .push("cannot hook it: no reason".to_owned());
        let state = detector.state().to_string();
        assert_eq!(state, "unavailable: cannot hook it: no reason");
    }
}
