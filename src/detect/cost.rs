//! What a detector costs: how often its programs ran, for how long, and how many events they let
//! pass unseen.
#![allow(unsafe_code)]

use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use anyhow::{Context, Result};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Object, libbpf_sys};

use super::evidence::bytes_at;
use crate::intf;

/// Counts since the detector was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Events, also those that were let pass. A detector that looks at all of them counts none by
    /// itself: then it is the runs that the kernel has timed.
    pub event_cnt: u64,
    /// Events that were let pass, as they came faster than is of use.
    pub skipped_cnt: u64,
    /// Runs that the kernel has timed: only those while somebody looked.
    pub run_cnt: u64,
    /// The time of these, in ns.
    pub run_time_ns: u64,
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |a, b| Self {
            event_cnt: a.event_cnt.saturating_add(b.event_cnt),
            skipped_cnt: a.skipped_cnt.saturating_add(b.skipped_cnt),
            run_cnt: a.run_cnt.saturating_add(b.run_cnt),
            run_time_ns: a.run_time_ns.saturating_add(b.run_time_ns),
        })
    }
}

/// Reads the cost of one loaded BPF object.
#[derive(Debug)]
pub struct Meter {
    programs: Vec<OwnedFd>,
    /// `samples` of marks.bpf.h.
    samples: Option<MapHandle>,
}

impl Meter {
    /// For all programs of `object`, once it is loaded.
    ///
    /// # Errors
    /// If a descriptor cannot be duplicated.
    pub fn of(object: &Object) -> Result<Self> {
        let loaded = object.progs().filter(|program| program.autoload());
        let programs = loaded.map(|program| program.as_fd().try_clone_to_owned());
        let programs: std::io::Result<_> = programs.collect();
        let samples = object.maps().find(|map| map.name() == "samples");
        Ok(Self {
            programs: programs.context("cannot duplicate a program's descriptor")?,
            samples: samples.map(|map| MapHandle::try_from(&map)).transpose()?,
        })
    }

    /// The cost so far. What cannot be read counts nothing.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let mut cost: Cost = self.infos().map(|info| timed(&info)).sum();
        if let Some(samples) = &self.samples {
            let per_cpu = samples.lookup_percpu(&0u32.to_ne_bytes(), MapFlags::ANY);
            let per_cpu = per_cpu.ok().flatten().unwrap_or_default();
            let sampled: Cost = per_cpu.iter().map(|sample| sampled(sample)).sum();
            cost.event_cnt = sampled.event_cnt;
            cost.skipped_cnt = sampled.skipped_cnt;
        }
        cost
    }

    /// Runs that the kernel has left out so far, as another thread was preempted in the same program on
    /// that CPU. What cannot be read counts nothing.
    #[must_use]
    pub fn left_out_cnt(&self) -> u64 {
        self.infos().map(|info| info.recursion_misses).sum()
    }

    fn infos(&self) -> impl Iterator<Item = libbpf_sys::bpf_prog_info> {
        let programs = self.programs.iter();
        programs.filter_map(|program| program_info(program.as_fd()))
    }
}

fn sampled(sample: &[u8]) -> Cost {
    let long = |offset| u64::from_ne_bytes(bytes_at(sample, offset));
    Cost {
        event_cnt: long(offset_of!(intf::policy_sample, event_cnt)),
        skipped_cnt: long(offset_of!(intf::policy_sample, skipped_cnt)),
        ..Cost::default()
    }
}

fn timed(info: &libbpf_sys::bpf_prog_info) -> Cost {
    Cost {
        event_cnt: info.run_cnt,
        skipped_cnt: 0,
        run_cnt: info.run_cnt,
        run_time_ns: info.run_time_ns,
    }
}

/// What the kernel says about a loaded program.
pub(crate) fn program_info(program: BorrowedFd<'_>) -> Option<libbpf_sys::bpf_prog_info> {
    let mut info = libbpf_sys::bpf_prog_info::default();
    let mut len = u32::try_from(size_of::<libbpf_sys::bpf_prog_info>()).ok()?;
    let fd = program.as_raw_fd();
    // SAFETY: info and len are valid for the call, len is info's size; the kernel writes no more.
    let error =
        unsafe { libbpf_sys::bpf_obj_get_info_by_fd(fd, (&raw mut info).cast(), &raw mut len) };
    (error == 0).then_some(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_their_places_and_summed() {
        let words = [9u64, 100, 40, 7];
        let sample: Vec<u8> = words.into_iter().flat_map(u64::to_ne_bytes).collect();
        let info = libbpf_sys::bpf_prog_info {
            run_cnt: 3,
            run_time_ns: 600,
            ..Default::default()
        };
        let sum: Cost = [
            sampled(&sample),
            sampled(&sample),
            timed(&info),
            sampled(&[]),
        ]
        .into_iter()
        .sum();
        let expected = Cost {
            event_cnt: 203,
            skipped_cnt: 80,
            run_cnt: 3,
            run_time_ns: 600,
        };
        assert_eq!(sum, expected);
    }
}
