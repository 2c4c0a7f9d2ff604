//! Which CPUs the kernel may run without a tick.

use std::fs;
use std::path::Path;

use log::warn;
use scx_utils::read_cpulist;

/// Those of `nohz_full=`, in order; `sysfs` is where that is mounted. None where the kernel cannot, or was
/// not told to.
#[must_use]
pub fn tickless_cpus(sysfs: &Path) -> Vec<usize> {
    let list = fs::read_to_string(sysfs.join("devices/system/cpu/nohz_full")).unwrap_or_default();
    let list = list.trim();
    // The kernel prints the second one if it could, but has no list.
    if list.is_empty() || list == "(null)" {
        return Vec::new();
    }
    read_cpulist(list).unwrap_or_else(|error| {
        warn!(
            "the kernel's list of CPUs without a tick, {list:?}, is not understood: {error:#}; \
             none is taken for one"
        );
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_without_a_tick_are_those_that_the_kernel_lists() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("devices/system/cpu");
        fs::create_dir_all(&dir).expect("mkdir");
        assert_eq!(tickless_cpus(root.path()), [0; 0], "no such file");
        for (list, cpus) in [
            ("1-3,6\n", &[1, 2, 3, 6][..]),
            ("(null)\n", &[]),
            ("\n", &[]),
            ("all of them\n", &[]),
        ] {
            fs::write(dir.join("nohz_full"), list).expect("write");
            assert_eq!(tickless_cpus(root.path()), cpus, "{list:?}");
        }
    }
}
