//! Control of a running machine: injects keyboard and mouse events from outside, as the devices.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};

use crate::failure::Result;

/// QEMU answers within milliseconds; a machine that is stuck must not block us.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// One event of a virtual device.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A key by QEMU's name for it (`a`, `spc`, `ret`, `shift`), pressed or let go.
    Key(&'a str, bool),
    /// A mouse button (`left`, `middle`, `right`), pressed or let go.
    Button(&'a str, bool),
    /// A relative mouse movement.
    Move {
        /// Steps to the right.
        x: i32,
        /// Steps down.
        y: i32,
    },
}

impl Input<'_> {
    fn events(&self) -> Vec<Value> {
        let axis =
            |axis: &str, value: i32| json!({"type": "rel", "data": {"axis": axis, "value": value}});
        match *self {
            Self::Key(name, down) => vec![json!({
                "type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}
            })],
            Self::Button(name, down) => {
                vec![json!({"type": "btn", "data": {"down": down, "button": name}})]
            }
            Self::Move { x, y } => vec![axis("x", x), axis("y", y)],
        }
    }
}

/// A connection to QEMU's control socket.
pub struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Connects and negotiates.
    ///
    /// # Errors
    /// Nobody answers at `socket`.
    pub(crate) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).context("QEMU's control socket")?;
        stream
            .set_read_timeout(Some(ANSWER_LIMIT))
            .context("QEMU's control socket")?;
        let mut qmp = Self {
            stream: BufReader::new(stream),
        };
        let greeting = qmp.read()?;
        if greeting.get("QMP").is_none() {
            return Err(anyhow!("not QEMU's control socket: {greeting}").into());
        }
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Sends events as one report (one SYN in the guest).
    ///
    /// # Errors
    /// QEMU refuses them, for example an unknown key name.
    pub fn send_input(&mut self, inputs: &[Input<'_>]) -> Result<()> {
        let events: Vec<Value> = inputs.iter().flat_map(Input::events).collect();
        self.execute("input-send-event", &json!({ "events": events }))
            .map(|_| ())
    }

    /// Runs one command and returns its answer.
    ///
    /// # Errors
    /// QEMU refuses the command or does not answer in time.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value> {
        let line = format!("{}\n", json!({"execute": command, "arguments": arguments}));
        self.stream
            .get_mut()
            .write_all(line.as_bytes())
            .with_context(|| command.to_owned())?;
        loop {
            let answer = self.read()?;
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = answer.get("error") {
                return Err(anyhow!("QEMU refused {command}: {error}").into());
            }
            // Anything else is an event that nobody asked for.
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.stream.read_line(&mut line).context("QEMU's answer")?;
        Ok(serde_json::from_str(&line).with_context(|| format!("QEMU's answer {line:?}"))?)
    }
}

#[cfg(test)]
mod tests {
    use super::Input;

    #[test]
    fn a_move_is_two_axis_events_and_a_key_is_one() {
        let events = Input::Move { x: 3, y: -4 }.events();
        assert_eq!(events.len(), 2);
        assert_eq!(events[1]["data"]["axis"], "y");
        assert_eq!(events[1]["data"]["value"], -4);
        assert_eq!(
            Input::Key("a", true).events()[0]["data"]["key"]["data"],
            "a"
        );
    }
}
