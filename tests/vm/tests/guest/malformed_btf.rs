//! Goal: a kernel whose BTF keeps every scheduler from loading is named as the cause. Method: the
//! daemon on such a kernel.

use std::process::Command;

use super::bad_input::assert_refused;
use super::require_vm;
use crate::support::built;

#[test]
#[ignore = "runs inside the VM"]
fn malformed_btf_is_named() {
    require_vm();
    let output = Command::new(built("scx_gamer")).output().unwrap();
    assert_refused(&output, 3, &["BTF is malformed", "boot another"]);
    let doctor = Command::new(built("scx_gamer"))
        .arg("doctor")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&doctor.stdout);
    assert_eq!(doctor.status.code(), Some(3), "{text}");
    assert!(
        text.contains("pahole") && text.contains("boot another"),
        "{text}"
    );
}
