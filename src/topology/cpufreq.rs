//! Which governors set the clock rates of this machine's CPUs.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;

/// The only governor that asks a scheduler how fast a CPU has to be.
const LISTENER: &str = "schedutil";

/// Names of all governors in use; more than one where CPUs differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Governors(BTreeSet<String>);

impl Governors {
    /// Reads them; `sysfs` is where that is mounted. None without cpufreq, as in most virtual machines.
    #[must_use]
    pub fn read(sysfs: &Path) -> Self {
        let policies = fs::read_dir(sysfs.join("devices/system/cpu/cpufreq"));
        let policies = policies.into_iter().flatten().flatten();
        let names = policies.filter_map(|policy| {
            let name = fs::read_to_string(policy.path().join("scaling_governor")).ok()?;
            Some(name.trim().to_owned())
        });
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether performance targets have an effect on some CPU.
    #[must_use]
    pub fn listen(&self) -> bool {
        self.0.contains(LISTENER)
    }
}

impl fmt::Display for Governors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(String::as_str).collect();
        formatter.write_str(&names.join(", "))
    }
}

#[cfg(test)]
impl<const N: usize> From<[&str; N]> for Governors {
    fn from(names: [&str; N]) -> Self {
        Self(names.map(str::to_owned).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn governors_are_those_of_all_policies_and_one_that_listens_is_enough() {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("devices/system/cpu/cpufreq");
        fs::create_dir_all(dir.join("ondemand")).expect("mkdir");
        let with = |policy: &str, governor: &str| {
            fs::create_dir_all(dir.join(policy)).expect("mkdir");
            fs::write(dir.join(policy).join("scaling_governor"), governor).expect("write");
            Governors::read(root.path())
        };
        let one = with("policy0", "performance\n");
        assert_eq!(one, Governors::from(["performance"]));
        assert!(!one.listen());
        let two = with("policy4", "schedutil\n");
        assert_eq!(two.to_string(), "performance, schedutil");
        assert!(two.listen());
    }

    #[test]
    fn without_cpufreq_nobody_listens() {
        let none = Governors::read(Path::new("/nonexistent"));
        assert!(none.is_empty() && !none.listen());
    }
}
