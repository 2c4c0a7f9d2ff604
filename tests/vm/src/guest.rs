//! A running VM: boots it with one command, passes the output on as it comes, and ends with a typed
//! result. However it ends, the emulator and its private directory are gone afterwards.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use anyhow::Context;

pub use crate::command::GuestCommand;
use crate::emulator::Emulator;
use crate::failure::{Failure, Result};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::process::Process;
use crate::qemu::{self, Accel, Files};
use crate::qmp::Qmp;
use crate::slots::Slots;
use crate::workdir::WorkDir;
use crate::{image, interrupt};

/// Console lines that a failure shows.
const CONSOLE_LINES: usize = 40;

/// What a finished command left.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code, 128 + signal number if a signal ended it.
    pub code: u8,
    /// All that it wrote to stdout and stderr.
    pub output: String,
}

/// A VM that runs its command. Dropping it ends it.
pub struct Vm {
    // Order matters: the emulator ends before its directory goes, and others start after both.
    process: Process,
    emulator: Emulator,
    args: Vec<String>,
    booted_again: bool,
    output: Vec<u8>,
    files: Files,
    nonce: String,
    deadline: Instant,
    limit: Duration,
    _dir: WorkDir,
    _slots: Slots,
}

impl Vm {
    /// Boots `kernel` on `machine` and starts `command` there. Waits until other VMs leave enough of
    /// the host's CPUs free (so a thread that keeps one VM must not boot a second), and returns as
    /// soon as the emulator runs. A guest that dies before its command has started is booted once
    /// more.
    ///
    /// # Errors
    /// Something that the guest needs is not here, or QEMU cannot be started.
    pub fn boot(kernel: &Kernel, machine: &Machine, command: &GuestCommand) -> Result<Self> {
        Self::boot_on(Emulator::find()?, kernel, machine, command)
    }

    fn boot_on(
        emulator: Emulator,
        kernel: &Kernel,
        machine: &Machine,
        command: &GuestCommand,
    ) -> Result<Self> {
        qemu::check_tools(machine)?;
        interrupt::watch();
        let accel = Accel::for_clock(machine.clock, &emulator);
        let dir = WorkDir::new()?;
        let files = Files::below(dir.path());
        let nonce = fs::read_to_string("/proc/sys/kernel/random/uuid").context("random number")?;
        let nonce = nonce.trim().to_owned();
        qemu::write_file(
            &files.initrd,
            &image::build(kernel, machine, command, &nonce)?,
        )?;
        let args = qemu::args(kernel, machine, accel, &files);
        let slots = Slots::take(accel, machine.shape.cpus())?;
        Ok(Self {
            process: Process::start(&emulator, &args, &files)?,
            emulator,
            args,
            booted_again: false,
            output: Vec::new(),
            files,
            nonce,
            deadline: Instant::now() + machine.limit,
            limit: machine.limit,
            _dir: dir,
            _slots: slots,
        })
    }

    /// Waits until the command has printed `text`, passing all output to `sink`.
    ///
    /// # Errors
    /// The VM ended first, the limit passed, or a signal arrived.
    pub fn wait_for(&mut self, text: &str, sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        let wanted = text.as_bytes();
        while !self.output.windows(wanted.len()).any(|part| part == wanted) {
            if !self.pump(sink)? {
                return Err(self.no_result());
            }
        }
        Ok(())
    }

    /// A connection to the machine's control socket.
    ///
    /// # Errors
    /// QEMU does not answer.
    pub fn qmp(&self) -> Result<Qmp> {
        Qmp::connect(&self.files.qmp)
    }

    /// Waits for the command's end, passing all output to `sink`.
    ///
    /// # Errors
    /// The VM ended without a result, the limit passed, or a signal arrived.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) -> Result<Outcome> {
        while self.pump(sink)? {}
        let left = self.left();
        let _ = self.process.wait(left)?;
        match parse_result(&text_of(&self.files.result), &self.nonce) {
            Some(code) => {
                let output = String::from_utf8_lossy(&self.output).into_owned();
                Ok(Outcome { code, output })
            }
            None => Err(self.no_result()),
        }
    }

    /// Takes one piece of output; false when there will be no more.
    fn pump(&mut self, sink: &mut dyn FnMut(&[u8])) -> Result<bool> {
        loop {
            match self.process.chunk() {
                Ok(chunk) => {
                    sink(&chunk);
                    self.output.extend_from_slice(&chunk);
                    return Ok(true);
                }
                Err(RecvTimeoutError::Disconnected) if self.boot_again()? => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(false),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if interrupt::arrived() {
                return Err(Failure::Interrupted);
            }
            if Instant::now() >= self.deadline {
                let seconds = self.limit.as_secs();
                return Err(Failure::TimedOut {
                    seconds,
                    console: self.console(),
                });
            }
        }
    }

    /// Boots a second time, and never a third, if the guest died before its command started: an
    /// emulated kernel sometimes does. False if the end was any other.
    fn boot_again(&mut self) -> Result<bool> {
        let left = self.left();
        let status = self.process.wait(left)?;
        let result = text_of(&self.files.result);
        let console = text_of(&self.files.console);
        if self.booted_again || !died_early(status, &result, &console) {
            return Ok(false);
        }
        self.booted_again = true;
        let console = self.console();
        let why = last_words(&console);
        eprintln!("vm: the guest died before its command started ({why}); booting once more");
        self.process = Process::start(&self.emulator, &self.args, &self.files)?;
        Ok(true)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn no_result(&self) -> Failure {
        Failure::NoResult {
            console: self.console(),
        }
    }

    /// The last lines of what QEMU and the guest's kernel said.
    fn console(&self) -> String {
        let text = text_of(&self.files.messages) + &text_of(&self.files.console);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|l| !l.is_empty())
            .collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

fn text_of(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The line of a console that names a panic, or else the last one.
fn last_words(console: &str) -> &str {
    let mut lines = console.lines().rev();
    let panic = lines.find(|line| line.contains("Kernel panic"));
    panic.or(console.lines().last()).unwrap_or("without a word")
}

/// What `init.sh` says before it powers off because something is missing: the next boot would too.
const GAVE_UP: &str = "vm: giving up: ";

/// Whether the machine stopped (and QEMU did not refuse to run) before the first line of the result
/// said that the command starts.
fn died_early(status: Option<ExitStatus>, result: &str, console: &str) -> bool {
    let stopped = status.is_some_and(|status| status.code().is_none_or(|code| code == 0));
    stopped && result.is_empty() && !console.contains(GAVE_UP)
}

/// The exit code in the result channel: exactly the two lines of this run.
fn parse_result(text: &str, nonce: &str) -> Option<u8> {
    let end = text.strip_prefix(&format!("started {nonce}\n"))?;
    let line = end.strip_suffix('\n')?;
    line.strip_prefix("exit ")?
        .strip_prefix(nonce)?
        .strip_prefix(' ')?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::path::Path;
    use std::process::ExitStatus;

    use super::{GuestCommand, Outcome, Vm, died_early, last_words, parse_result};
    use crate::emulator::Emulator;
    use crate::failure::Result;
    use crate::kernel::Kernel;
    use crate::machine::{Clock, Machine};

    #[test]
    fn only_the_exact_lines_of_this_run_are_a_result() {
        let started = |line: &str| format!("started n-1\n{line}");
        assert_eq!(parse_result(&started("exit n-1 0\n"), "n-1"), Some(0));
        assert_eq!(parse_result(&started("exit n-1 255\n"), "n-1"), Some(255));
        for fake in [
            "",
            "exit n-1 0",
            "exit 0\n",
            "exit n-2 0\n",
            "exit n-1 256\n",
            "exit n-1 -1\n",
            "exit n-1 +1 \n",
            "exit n-1 0\nexit n-1 1\n",
            "hello\nexit n-1 0\n",
            "exit n-1  0\n",
        ] {
            assert_eq!(parse_result(&started(fake), "n-1"), None, "{fake:?}");
        }
        assert_eq!(parse_result("exit n-1 0\n", "n-1"), None);
        assert_eq!(parse_result("started n-2\nexit n-1 0\n", "n-1"), None);
    }

    #[test]
    fn only_a_machine_that_stopped_before_the_command_died_early() {
        let code = |code: i32| Some(ExitStatus::from_raw(code << 8));
        assert!(died_early(code(0), "", "Kernel panic - not syncing"));
        assert!(
            died_early(Some(ExitStatus::from_raw(11)), "", ""),
            "QEMU itself crashed"
        );
        assert!(!died_early(code(0), "started n-1\n", ""));
        assert!(!died_early(code(0), "", "vm: giving up: no 9p root\n"));
        assert!(!died_early(code(1), "", ""), "QEMU refused its arguments");
        assert!(!died_early(None, "", ""), "the limit ended it");
    }

    #[test]
    fn the_panic_is_shown_rather_than_what_follows_it() {
        let console = "a\nKernel panic - not syncing: x\nKernel Offset: 0\n";
        assert_eq!(last_words(console), "Kernel panic - not syncing: x");
        assert_eq!(last_words("a\nb\n"), "b");
        assert_eq!(last_words(""), "without a word");
    }

    #[test]
    fn what_init_says_when_it_gives_up_is_what_is_looked_for() {
        assert!(include_str!("guest_scripts/init.sh").contains(super::GAVE_UP));
    }

    /// A kernel directory with nothing but what the harness reads from one.
    fn pretended_kernel(dir: &Path) -> Kernel {
        fs::write(dir.join("config"), "").unwrap();
        fs::write(dir.join("modules.dep"), "").unwrap();
        let modules = "virtio_pci virtio_console 9pnet_virtio 9p overlay";
        let modules: Vec<String> = modules
            .split(' ')
            .chain(Machine::MODULES)
            .map(|name| format!("kernel/{name}.ko\n"))
            .collect();
        fs::write(dir.join("modules.builtin"), modules.concat()).unwrap();
        Kernel {
            release: "6.18".into(),
            image: dir.join("vmlinuz"),
            modules: dir.into(),
            config: dir.join("config"),
        }
    }

    /// Runs on a pretended emulator; returns how often that was started, too. Its script has `$boot`
    /// (the number of the boot), `$nonce` and `$result`.
    fn run_on(script: &str) -> (Result<Outcome>, usize) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("qemu");
        let head = format!(
            "#!/bin/sh\necho boot >>'{0}/boots'\nboot=$(wc -l <'{0}/boots')\n\
             for word; do case $word in *id=result,path=*) result=${{word##*path=}} ;; esac; done\n\
             nonce=$(sed -n 's/^NONCE=//p' \"${{result%/*}}/initrd\")\n",
            dir.path().display()
        );
        fs::write(&program, head + script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let machine = Machine {
            clock: Clock::Counted,
            ..Machine::default()
        };
        let kernel = pretended_kernel(dir.path());
        let command = GuestCommand::new(["true"]);
        let vm = Vm::boot_on(Emulator::at(program), &kernel, &machine, &command).unwrap();
        let outcome = vm.finish(&mut |_| ());
        let boots = fs::read_to_string(dir.path().join("boots")).unwrap();
        (outcome, boots.lines().count())
    }

    const FINE: &str = "echo out; printf 'started %s\\nexit %s 3\\n' $nonce $nonce >$result\n";

    #[test]
    fn a_guest_that_dies_before_its_command_is_booted_once_more() {
        let (outcome, boots) = run_on(&format!("[ $boot = 2 ] || exit 0\n{FINE}"));
        let outcome = outcome.unwrap();
        assert_eq!((outcome.code, outcome.output.as_str()), (3, "out\n"));
        assert_eq!(boots, 2);
    }

    #[test]
    fn a_guest_that_always_dies_is_booted_twice_and_no_more() {
        let (outcome, boots) = run_on("exit 0\n");
        assert_eq!(outcome.unwrap_err().exit_code(), 97);
        assert_eq!(boots, 2);
    }

    #[test]
    fn a_command_that_had_started_is_never_run_again() {
        let (outcome, boots) = run_on("printf 'started %s\\n' $nonce >$result\n");
        assert_eq!(outcome.unwrap_err().exit_code(), 97);
        assert_eq!(boots, 1);
        let (outcome, boots) = run_on("exit 1\n");
        assert_eq!(outcome.unwrap_err().exit_code(), 97);
        assert_eq!(boots, 1);
    }
}
