//! A running VM: boots it with one command, passes the output on as it comes, and ends with a typed
//! result. However it ends, the emulator and its private directory are gone afterwards.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};

use crate::failure::{Failure, Result};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::qemu::{self, Accel, Files};
use crate::qmp::Qmp;
use crate::{image, interrupt};

/// How often a waiting loop looks for a signal or the limit.
const LOOK: Duration = Duration::from_millis(100);
/// Console lines that a failure shows.
const CONSOLE_LINES: usize = 40;

/// What to run in the guest, as root, with a clean environment.
#[derive(Clone, Debug)]
pub struct GuestCommand {
    argv: Vec<String>,
    env: Vec<(String, String)>,
    dir: PathBuf,
}

impl GuestCommand {
    /// A program (found by the guest's PATH) with its arguments, in the caller's directory where
    /// the guest can see it, otherwise in `/`.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            dir: env::current_dir().unwrap_or_else(|_| "/".into()),
        }
    }

    /// Adds an environment variable.
    ///
    /// # Errors
    /// The name is not one that a shell can set.
    pub fn env(mut self, name: &str, value: &str) -> Result<Self> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty()
            || name.starts_with(|c: char| c.is_ascii_digit())
            || !name.chars().all(word)
        {
            return Err(Failure::Usage(format!(
                "{name:?} is not a name for a variable"
            )));
        }
        self.env.push((name.into(), value.into()));
        Ok(self)
    }

    /// The shell script that becomes the command.
    pub(crate) fn script(&self) -> String {
        let mut script = String::new();
        for (name, value) in &self.env {
            let _ = writeln!(script, "export {name}={}", quoted(value));
        }
        let dir = quoted(&self.dir.to_string_lossy());
        let _ = writeln!(script, "cd {dir} 2>/dev/null || cd /");
        script += "exec";
        for arg in &self.argv {
            let _ = write!(script, " {}", quoted(arg));
        }
        script.push('\n');
        script
    }
}

/// One word for a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

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
    // Order matters: the emulator ends before its directory goes.
    qemu: Emulator,
    chunks: Receiver<Vec<u8>>,
    output: Vec<u8>,
    files: Files,
    nonce: String,
    deadline: Instant,
    limit: Duration,
    _dir: tempfile::TempDir,
}

impl Vm {
    /// Boots `kernel` on `machine` and starts `command` there. Returns as soon as the emulator runs.
    ///
    /// # Errors
    /// Something that the guest needs is not here, or QEMU cannot be started.
    pub fn boot(kernel: &Kernel, machine: &Machine, command: &GuestCommand) -> Result<Self> {
        qemu::check_tools(machine)?;
        interrupt::watch();
        let dir = tempfile::Builder::new()
            .prefix("scx_gamer_vm.")
            .tempdir()
            .context("private directory of the VM")?;
        let files = Files::below(dir.path());
        let nonce = fs::read_to_string("/proc/sys/kernel/random/uuid").context("random number")?;
        let nonce = nonce.trim().to_owned();
        qemu::write_file(
            &files.initrd,
            &image::build(kernel, machine, command, &nonce)?,
        )?;
        let accel = Accel::for_clock(machine.clock);
        let messages = fs::File::create(&files.messages)
            .map_err(|error| Failure::at(&files.messages, error))?;
        // setpriv: the emulator must not outlive us even if we are killed.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", &qemu::program()])
            .args(qemu::args(kernel, machine, accel, &files))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(messages)
            .process_group(0)
            .spawn()
            .context("starting QEMU by setpriv")?;
        let mut qemu = Emulator(child);
        let chunks = read_chunks(qemu.0.stdout.take())?;
        let deadline = Instant::now() + machine.limit;
        Ok(Self {
            qemu,
            chunks,
            output: Vec::new(),
            files,
            nonce,
            deadline,
            limit: machine.limit,
            _dir: dir,
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
        let left = self.deadline.saturating_duration_since(Instant::now());
        let _ = wait_bounded(&mut self.qemu.0, left)?;
        let result = fs::read_to_string(&self.files.result).unwrap_or_default();
        match parse_result(&result, &self.nonce) {
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
            match self.chunks.recv_timeout(LOOK) {
                Ok(chunk) => {
                    sink(&chunk);
                    self.output.extend_from_slice(&chunk);
                    return Ok(true);
                }
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

    fn no_result(&self) -> Failure {
        Failure::NoResult {
            console: self.console(),
        }
    }

    /// The last lines of what QEMU and the guest's kernel said.
    fn console(&self) -> String {
        let read = |path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned());
        let text = read(&self.files.messages).unwrap_or_default()
            + &read(&self.files.console).unwrap_or_default();
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim_end)
            .filter(|l| !l.is_empty())
            .collect();
        lines[lines.len().saturating_sub(CONSOLE_LINES)..].join("\n")
    }
}

/// The emulator's process; ends with its owner.
struct Emulator(Child);

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads a pipe in a thread of its own, so that the caller can wait with a limit.
fn read_chunks(pipe: Option<impl Read + Send + 'static>) -> Result<Receiver<Vec<u8>>> {
    let mut pipe = pipe.ok_or_else(|| anyhow!("QEMU has no output pipe"))?;
    let (sender, receiver) = channel();
    thread::Builder::new()
        .name("vm-output".into())
        .spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(count) if sender.send(buffer[..count].to_vec()).is_err() => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
        })
        .context("thread for the guest's output")?;
    Ok(receiver)
}

/// The exit code in the result channel: exactly one line of this run.
fn parse_result(text: &str, nonce: &str) -> Option<u8> {
    let line = text.strip_suffix('\n')?;
    line.strip_prefix("exit ")?
        .strip_prefix(nonce)?
        .strip_prefix(' ')?
        .parse()
        .ok()
}

/// Waits for a child for at most `limit`, then ends it; `None` means that it had to.
pub(crate) fn wait_bounded(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().context("waiting for QEMU")? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || interrupt::arrived() {
            child.kill().context("ending QEMU")?;
            child.wait().context("waiting for QEMU")?;
            return Ok(None);
        }
        thread::park_timeout(left.min(LOOK / 5));
    }
}

#[cfg(test)]
mod tests {
    use super::{GuestCommand, parse_result};

    #[test]
    fn only_the_exact_line_of_this_run_is_a_result() {
        assert_eq!(parse_result("exit n-1 0\n", "n-1"), Some(0));
        assert_eq!(parse_result("exit n-1 255\n", "n-1"), Some(255));
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
            assert_eq!(parse_result(fake, "n-1"), None, "{fake:?}");
        }
    }

    #[test]
    fn arguments_reach_the_command_as_they_are() {
        let command = GuestCommand::new(["echo", "it's $HOME; \"x\"\n"])
            .env("A", "b c")
            .unwrap();
        let script = command.script();
        assert!(script.starts_with("export A='b c'\ncd '"), "{script}");
        assert!(
            script.ends_with("exec 'echo' 'it'\\''s $HOME; \"x\"\n'\n"),
            "{script}"
        );
    }

    #[test]
    fn names_that_a_shell_cannot_set_are_refused() {
        for name in ["", "1A", "A B", "A;reboot"] {
            let error = GuestCommand::new(["x"]).env(name, "").unwrap_err();
            assert_eq!(error.exit_code(), 2, "{name}");
        }
    }
}
