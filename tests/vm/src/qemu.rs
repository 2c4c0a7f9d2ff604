//! QEMU's command line from typed values, and whether KVM really works here.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use procfs::{CpuInfo, Current as _};

use crate::emulator::Emulator;
use crate::failure::{Failure, Result};
use crate::kernel::Kernel;
use crate::machine::{Clock, Machine};
use crate::process::wait_bounded;

/// Says what to install if the tool that binds the emulator to us or the guest's init (which is
/// this machine's own) is not here.
pub(crate) fn check_tools(machine: &Machine) -> Result<()> {
    if machine.systemd && !Path::new(SYSTEMD).exists() {
        return Err(Failure::Missing(format!(
            "no {SYSTEMD} here; install systemd (or run: make deps)"
        )));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|dir| dir.join("setpriv").is_file()) {
        return Err(Failure::Missing(
            "no setpriv here; install util-linux (or run: make deps)".into(),
        ));
    }
    Ok(())
}

const SYSTEMD: &str = "/lib/systemd/systemd";

/// How instructions are executed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Accel {
    /// Hardware virtualisation.
    Kvm,
    /// Emulation, one host thread per CPU.
    Parallel,
    /// Emulation whose clock counts instructions.
    Counted,
}

impl Accel {
    /// The best way to run `emulator` with `clock` on this machine.
    #[must_use]
    pub fn for_clock(clock: Clock, emulator: &Emulator) -> Self {
        match clock {
            Clock::Counted => Self::Counted,
            Clock::Parallel if kvm_works(emulator) => Self::Kvm,
            Clock::Parallel => Self::Parallel,
        }
    }

    fn args(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm", "-cpu", "host"],
            Self::Parallel => &["-accel", "tcg,thread=multi", "-cpu", EMULATED_CPU],
            Self::Counted => &[
                "-accel",
                "tcg",
                "-icount",
                "shift=0,sleep=off",
                "-cpu",
                EMULATED_CPU,
            ],
        }
    }
}

/// All that the emulator can do, but five-level paging, which double-faulted after minutes of load
/// (QEMU 7.2). The family is that of Zen 2: by its own, LLVM takes the CPU for a 32-bit Athlon XP, and
/// whatever compiles at run time (llvmpipe) ends itself.
const EMULATED_CPU: &str = "max,la57=off,family=23,model=49,stepping=0";

/// Files of one running VM, all in its private directory.
#[derive(Clone, Debug)]
pub struct Files {
    /// The initramfs.
    pub initrd: PathBuf,
    /// The guest's serial console.
    pub console: PathBuf,
    /// Where the guest writes its result.
    pub result: PathBuf,
    /// QEMU's control socket.
    pub qmp: PathBuf,
    /// QEMU's own messages.
    pub messages: PathBuf,
}

impl Files {
    /// Names below `dir`.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        Self {
            initrd: dir.join("initrd"),
            console: dir.join("console"),
            result: dir.join("result"),
            qmp: dir.join("qmp"),
            messages: dir.join("messages"),
        }
    }
}

/// The whole command line, without the program. The command's output leaves by QEMU's stdout.
#[must_use]
pub fn args(kernel: &Kernel, machine: &Machine, accel: Accel, files: &Files) -> Vec<String> {
    let mut args: Vec<String> = accel.args().iter().map(|arg| (*arg).to_owned()).collect();
    args.extend(machine.shape.qemu_args(machine.mem_mib));
    let mut two = |flag: &str, value: String| args.extend([flag.to_owned(), value]);
    two("-machine", "q35".into());
    two("-display", "none".into());
    two("-nic", "none".into());
    two("-monitor", "none".into());
    two(
        "-qmp",
        format!("unix:{},server=on,wait=off", escaped(&files.qmp)),
    );
    two("-serial", format!("file:{}", escaped(&files.console)));
    for device in [
        "virtio-gpu-pci",
        "virtio-keyboard-pci",
        "virtio-mouse-pci",
        "virtio-serial-pci",
    ] {
        two("-device", device.into());
    }
    two("-chardev", "file,id=output,path=/dev/stdout".into());
    two(
        "-device",
        "virtserialport,chardev=output,nr=1,name=output".into(),
    );
    two(
        "-chardev",
        format!("file,id=result,path={}", escaped(&files.result)),
    );
    two(
        "-device",
        "virtserialport,chardev=result,nr=2,name=result".into(),
    );
    two("-virtfs", share("host", Path::new("/"), true));
    two("-virtfs", share("kernel", &kernel.modules, true));
    if let Some(dir) = &machine.share {
        two("-virtfs", share("share", dir, false));
    }
    two("-kernel", kernel.image.display().to_string());
    two("-initrd", files.initrd.display().to_string());
    two("-append", kernel_args(machine));
    args.push("-no-reboot".into());
    args
}

fn share(tag: &str, dir: &Path, readonly: bool) -> String {
    let access = if readonly { "on" } else { "off" };
    format!(
        "local,path={},mount_tag={tag},security_model=none,readonly={access},multidevs=remap",
        escaped(dir)
    )
}

/// QEMU's option syntax: a comma in a value is written twice.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

fn kernel_args(machine: &Machine) -> String {
    let mut args = String::from("console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off");
    if machine.idle_poll {
        args += " idle=poll";
    }
    if machine.systemd {
        // The host's mounts are not the guest's; only the command's unit is wanted.
        args += " fstab=no systemd.unit=vmrun.service systemd.firstboot=no";
    }
    if !machine.append.is_empty() {
        args += " ";
        args += &machine.append;
    }
    args
}

/// Whether a guest really runs under KVM here: an openable `/dev/kvm` may still not work. Found out
/// once per process, by booting a sector that ends the machine with a known code.
fn kvm_works(emulator: &Emulator) -> bool {
    static VERDICT: OnceLock<bool> = OnceLock::new();
    *VERDICT.get_or_init(|| {
        let openable = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok();
        let can = CpuInfo::current().is_ok_and(|cpus| virtualise(&cpus));
        openable && can && probe_kvm(emulator).unwrap_or(false)
    })
}

/// Whether these CPUs can run guests. A `/dev/kvm` without that (PVM has one) boots the probe's sector, but of
/// kernels only those that were made for it.
fn virtualise(cpus: &CpuInfo) -> bool {
    let flags = cpus.flags(0).unwrap_or_default();
    flags.iter().any(|flag| ["vmx", "svm"].contains(flag))
}

/// Longest time that the probe's guest may take; it needs a fraction of it where KVM works.
const PROBE_LIMIT: Duration = Duration::from_secs(4);
/// isa-debug-exit makes QEMU end with twice the written value plus one.
const PROBE_EXIT: i32 = 0x2a * 2 + 1;

fn probe_kvm(emulator: &Emulator) -> Result<bool> {
    let dir = tempfile::tempdir().context("directory for the KVM probe")?;
    let disk = dir.path().join("disk");
    let mut sector = [0_u8; 512];
    // mov dx, 0xf4; mov al, 0x2a; out dx, al; hlt
    sector[..7].copy_from_slice(&[0xba, 0xf4, 0x00, 0xb0, 0x2a, 0xee, 0xf4]);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&disk, sector).map_err(|error| Failure::at(&disk, error))?;
    let mut child = Command::new(emulator.program())
        .args(emulator.args())
        .envs(emulator.env())
        .args([
            "-accel", "kvm", "-cpu", "host", "-m", "64M", "-display", "none", "-nic", "none",
        ])
        .args([
            "-no-reboot",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=4",
            "-drive",
        ])
        .arg(format!("file={},format=raw,if=ide", escaped(&disk)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting QEMU")?;
    let status = wait_bounded(&mut child, PROBE_LIMIT)?;
    Ok(status.and_then(|status| status.code()) == Some(PROBE_EXIT))
}

/// Writes `content` to a new file.
pub(crate) fn write_file(path: &Path, content: &[u8]) -> Result<()> {
    let write = || fs::File::create_new(path)?.write_all(content);
    write().map_err(|error| Failure::at(path, error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use procfs::{CpuInfo, FromRead as _};

    use super::{Accel, Files, args, virtualise};
    use crate::emulator::Emulator;
    use crate::kernel::Kernel;
    use crate::machine::{Clock, Machine};

    fn line(machine: &Machine, accel: Accel) -> String {
        let kernel = Kernel {
            release: "6.18".into(),
            image: "/k/vmlinuz".into(),
            modules: "/k".into(),
            config: "/k/config".into(),
        };
        args(
            &kernel,
            machine,
            accel,
            &Files::below(Path::new("/tmp/a,b")),
        )
        .join(" ")
    }

    #[test]
    fn kvm_needs_cpus_that_virtualise() {
        for (flags, expected) in [
            ("flags\t\t: fpu vmx sse", true),
            ("flags\t\t: fpu svm", true),
            ("flags\t\t: fpu sse\nvmx flags\t: vnmi vmx", false),
        ] {
            let text = format!("processor\t: 0\n{flags}\n\n");
            let cpus = CpuInfo::from_read(text.as_bytes()).unwrap();
            assert_eq!(virtualise(&cpus), expected, "{flags:?}");
        }
    }

    #[test]
    fn counted_time_is_never_kvm() {
        assert_eq!(
            Accel::for_clock(Clock::Counted, &Emulator::at("qemu")),
            Accel::Counted
        );
        let line = line(&Machine::default(), Accel::Counted);
        assert!(
            line.contains("-accel tcg -icount shift=0,sleep=off -cpu max,la57=off,family=23"),
            "{line}"
        );
    }

    #[test]
    fn the_hosts_root_is_read_only_and_only_the_share_is_writable() {
        let machine = Machine {
            share: Some("/data".into()),
            ..Machine::default()
        };
        let line = line(&machine, Accel::Parallel);
        assert!(
            line.contains("path=/,mount_tag=host,security_model=none,readonly=on"),
            "{line}"
        );
        assert_eq!(line.matches("readonly=off").count(), 1);
        assert!(line.contains("path=/data,mount_tag=share,security_model=none,readonly=off"));
    }

    #[test]
    fn commas_in_paths_do_not_become_options() {
        let line = line(&Machine::default(), Accel::Parallel);
        assert!(line.contains("unix:/tmp/a,,b/qmp,server=on"), "{line}");
    }

    #[test]
    fn idle_poll_systemd_and_further_arguments_reach_the_kernel() {
        let plain = line(&Machine::default(), Accel::Parallel);
        assert!(!plain.contains("idle=poll") && !plain.contains("systemd"));
        let machine = Machine {
            idle_poll: true,
            systemd: true,
            append: "isolcpus=1".into(),
            ..Machine::default()
        };
        let line = line(&machine, Accel::Kvm);
        for part in [
            "-accel kvm -cpu host",
            "idle=poll",
            "systemd.unit=vmrun.service",
            "isolcpus=1",
        ] {
            assert!(line.contains(part), "{line}");
        }
    }
}
