//! The command that a guest runs, as a shell script that changes none of its words.

use std::env;
use std::fmt::Write as _;
use std::path::PathBuf;

use crate::failure::{Failure, Result};

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

#[cfg(test)]
mod tests {
    use super::GuestCommand;

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
