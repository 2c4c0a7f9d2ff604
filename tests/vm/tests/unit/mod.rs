//! Goal: the systemd unit gives the daemon what it needs and no more, brings it back, and gives up
//! in the end. Method: one boot with systemd as init; `unit.sh` plays an administrator there.

use std::path::Path;
use std::time::Duration;

use vmtest::guest::GuestCommand;
use vmtest::machine::{Clock, Machine};

use crate::{boot, show_as};

#[test]
fn unit_runs_restarts_and_gives_up() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .unwrap();
    let machine = Machine {
        // It waits for back-offs more than it computes; all its bounds are generous.
        clock: Clock::Parallel,
        limit: Duration::from_secs(1200),
        systemd: true,
        ..Machine::default()
    };
    let script = include_str!("unit.sh");
    let checkout = checkout.to_str().unwrap();
    let command = GuestCommand::new(["bash", "-u", "-c", script, "unit.sh", checkout]);
    let outcome = boot("6.18", &machine, &command)
        .finish(&mut show_as("unit"))
        .unwrap();
    assert_eq!(outcome.code, 0, "the script's output is above");
}
