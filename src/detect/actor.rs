//! Actor detectors: which threads do what in the kernel, by the functions that do it for them.
//!
//! [`ActorDetector`] hooks every function of [`HOOKS`] that speaks for its kind of evidence and is
//! there. Functions of modules that come later are hooked by [`ActorDetector::hook_missing`].

use std::collections::BTreeSet;
use std::mem::MaybeUninit;

use anyhow::{Context, Result};
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};

use super::cost::{Cost, Meter};
use super::evidence::{Evidence, EvidenceKind};
use super::hook::{Function, HookKind, Hooks, InUse};
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
pub const HOOKS: [ActorHook; 23] = [
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
];

impl ActorHook {
    /// The hook's row in [`HOOKS`], which marks carry.
    fn row(&self) -> u32 {
        let row = HOOKS.iter().position(|hook| hook == self);
        row.and_then(|row| u32::try_from(row).ok()).unwrap_or(0)
    }

    fn attach_by(&self, evidence: &Evidence, how: HookKind) -> Result<InUse> {
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
        Ok(InUse {
            meter,
            _links: vec![link],
        })
    }
}

/// All hooks for one kind of evidence.
#[derive(Debug)]
pub struct ActorDetector {
    kind: EvidenceKind,
    hooks: Hooks,
}

impl ActorDetector {
    /// Hooks what is there.
    #[must_use]
    pub fn load(evidence: &Evidence, kind: EvidenceKind) -> Self {
        let mut detector = Self {
            kind,
            hooks: Hooks::new(HookKind::BY_COST),
        };
        detector.hook_missing(evidence);
        detector
    }

    fn rows(&self) -> impl Iterator<Item = ActorHook> + use<> {
        let kind = self.kind;
        HOOKS.into_iter().filter(move |hook| hook.kind == kind)
    }
}

impl Detector for ActorDetector {
    fn hook_missing(&mut self, evidence: &Evidence) {
        let rows: Vec<ActorHook> = self.rows().collect();
        let functions = rows.iter().map(|row| Function {
            name: row.function,
            module: Some(row.module),
        });
        self.hooks.attach_missing(functions, |name, how| {
            let row = rows.iter().find(|row| row.function == name);
            let row = row.context("BUG: a function of no row")?;
            row.attach_by(evidence, how)
        });
    }

    fn cost(&self) -> Cost {
        self.hooks.cost()
    }

    fn name(&self) -> &'static str {
        self.kind.detector_name()
    }

    fn state(&self) -> DetectorState {
        let modules: BTreeSet<&str> = self.rows().map(|row| row.module).collect();
        self.hooks.state(&Vec::from_iter(modules))
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
}
