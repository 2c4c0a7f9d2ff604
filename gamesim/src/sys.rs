//! The few system calls that no safe wrapper covers. The only unsafe code of this crate.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

fn set_policy(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    let param = libc::sched_param {
        sched_priority: priority,
    };
    // SAFETY: `param` outlives the call; thread id 0 is the calling thread.
    check(unsafe { libc::sched_setscheduler(0, policy, &raw const param) })
}

/// Makes the calling thread SCHED_FIFO.
///
/// # Errors
/// EPERM without CAP_SYS_NICE or a real-time limit, EINVAL outside 1..=99.
pub fn set_fifo(priority: i32) -> io::Result<()> {
    set_policy(libc::SCHED_FIFO, priority)
}

/// Makes the calling thread SCHED_FIFO, and not what it starts.
///
/// # Errors
/// Those of [`set_fifo`].
pub fn set_fifo_alone(priority: i32) -> io::Result<()> {
    set_policy(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, priority)
}

/// Makes the calling thread SCHED_IDLE; threads it starts inherit that.
///
/// # Errors
/// Those of sched_setscheduler(2).
pub fn set_idle() -> io::Result<()> {
    set_policy(libc::SCHED_IDLE, 0)
}

/// Sets the calling thread's nice value (-20..=19); threads it starts inherit it.
///
/// # Errors
/// Those of setpriority(2).
pub fn set_nice(nice: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) })
}

/// Spawns `command` so that the child gets `signal` when the calling thread ends.
///
/// # Errors
/// Those of spawning.
pub fn spawn_tied(command: &mut Command, signal: nix::sys::signal::Signal) -> io::Result<Child> {
    // SAFETY: the closure runs between fork and exec and makes two async-signal-safe system calls.
    unsafe {
        command.pre_exec(move || {
            nix::sys::prctl::set_pdeathsig(signal)?;
            // Signals we block to read them from a descriptor must reach the child.
            Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
        });
    }
    command.spawn()
}

/// A file descriptor that becomes readable when process `pid` ends.
///
/// # Errors
/// ESRCH when there is no such process; ENOSYS before Linux 5.3.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the kernel returns a new descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    check(fd)?;
    // SAFETY: `fd` is a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Makes an evdev client stamp its events with CLOCK_MONOTONIC.
///
/// # Errors
/// ENOTTY when `fd` is no evdev device.
pub fn evdev_use_monotonic(fd: &impl AsFd) -> io::Result<()> {
    const EVIOCSCLOCKID: libc::c_ulong = 0x4004_45a0;
    let clock: libc::c_int = libc::CLOCK_MONOTONIC;
    // SAFETY: the request reads one int, which outlives the call.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), EVIOCSCLOCKID, &raw const clock) })
}

/// DRM_IOCTL_VIRTGPU_EXECBUFFER's argument.
#[repr(C)]
#[derive(Default)]
struct VirtgpuExecbuffer {
    flags: u32,
    size: u32,
    command: u64,
    bo_handles: u64,
    num_bo_handles: u32,
    fence_fd: i32,
    ring_idx: u32,
    syncobj_stride: u32,
    num_in_syncobjs: u32,
    num_out_syncobjs: u32,
    in_syncobjs: u64,
    out_syncobjs: u64,
}
const _: () = assert!(size_of::<VirtgpuExecbuffer>() == 64);

/// DRM_IOCTL_VIRTGPU_RESOURCE_CREATE's argument.
#[repr(C)]
#[derive(Default)]
struct VirtgpuResourceCreate {
    target: u32,
    format: u32,
    bind: u32,
    width: u32,
    height: u32,
    depth: u32,
    array_size: u32,
    last_level: u32,
    nr_samples: u32,
    flags: u32,
    bo_handle: u32,
    res_handle: u32,
    size: u32,
    stride: u32,
}
const _: () = assert!(size_of::<VirtgpuResourceCreate>() == 56);

/// DRM_IOCTL_VIRTGPU_TRANSFER_TO_HOST's argument (box is x, y, z, w, h, d).
#[repr(C)]
#[derive(Default)]
struct VirtgpuTransfer {
    bo_handle: u32,
    region: [u32; 6],
    level: u32,
    offset: u32,
    stride: u32,
    layer_stride: u32,
}
const _: () = assert!(size_of::<VirtgpuTransfer>() == 44);

/// DRM_IOCTL_VIRTGPU_WAIT's argument.
#[repr(C)]
#[derive(Default)]
struct VirtgpuWait {
    handle: u32,
    flags: u32,
}

/// A DRM driver command: read-write, number counted from DRM_COMMAND_BASE.
fn drm_command<T>(file: &File, number: u8, argument: &mut T) -> io::Result<()> {
    const READ_WRITE: libc::c_ulong = 3 << 30;
    const DRM: libc::c_ulong = 0x64 << 8;
    let size = (size_of::<T>() as libc::c_ulong) << 16;
    let request = READ_WRITE | size | DRM | (0x40 + libc::c_ulong::from(number));
    loop {
        // SAFETY: the request's size field is T's size, and `argument` is a live, exclusive T
        // of plain integers, so whatever the kernel writes there is valid.
        let result = check(unsafe { libc::ioctl(file.as_raw_fd(), request, &raw mut *argument) });
        match result {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Creates a 2D resource of `width` x `height` BGRX pixels on a virtio-gpu and returns its handle.
///
/// # Errors
/// The driver's own.
pub fn virtgpu_create(file: &File, width: u32, height: u32) -> io::Result<u32> {
    let mut argument = VirtgpuResourceCreate {
        target: 2,
        format: 2,
        bind: 2,
        width,
        height,
        depth: 1,
        array_size: 1,
        size: width * height * 4,
        stride: width * 4,
        ..VirtgpuResourceCreate::default()
    };
    drm_command(file, 4, &mut argument)?;
    Ok(argument.bo_handle)
}

/// Sends a resource's pixels to the host.
///
/// # Errors
/// The driver's own.
pub fn virtgpu_transfer(file: &File, handle: u32, width: u32, height: u32) -> io::Result<()> {
    let mut argument = VirtgpuTransfer {
        bo_handle: handle,
        region: [0, 0, 0, width, height, 1],
        ..VirtgpuTransfer::default()
    };
    drm_command(file, 7, &mut argument)
}

/// Waits for the host to be done with a resource.
///
/// # Errors
/// The driver's own.
pub fn virtgpu_wait(file: &File, handle: u32) -> io::Result<()> {
    drm_command(file, 8, &mut VirtgpuWait { handle, flags: 0 })
}

/// Submits an empty command buffer.
///
/// # Errors
/// ENOSYS where the host offers no 3D: the call still reaches the driver's submit entry.
pub fn virtgpu_execbuffer(file: &File) -> io::Result<()> {
    drm_command(
        file,
        2,
        &mut VirtgpuExecbuffer {
            fence_fd: -1,
            ..VirtgpuExecbuffer::default()
        },
    )
}
