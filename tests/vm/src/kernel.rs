//! Which kernel to boot: a cached one, a fetched one, a path, or the running one.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

use crate::apt::apt_is_here;
use crate::failure::{Failure, Result};
use crate::{cache, fetch};

/// Releases whose BTF gives the implicit-argument kfuncs malformed prototypes, so that no sched_ext
/// scheduler loads. Never chosen as "the newest"; still bootable by their exact name.
const MALFORMED_BTF: [&str; 1] = ["7.2.12+deb13-amd64"];

/// A bootable kernel: an image, its modules (indexed by depmod) and its configuration.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// What `uname -r` says in the guest.
    pub release: String,
    /// The bzImage.
    pub image: PathBuf,
    /// Module tree; becomes `/lib/modules/<release>` in the guest.
    pub modules: PathBuf,
    /// Build configuration; becomes `/boot/config-<release>`, which libbpf needs.
    pub config: PathBuf,
}

impl Kernel {
    /// The kernel that `word` means: a path (kernel directory or image), `running`, or a release
    /// or its beginning (`6.18`, `7`): then the newest such one in the cache, and only if there is
    /// none, the newest of the distribution's archive. A machine without apt falls back to its
    /// running kernel.
    ///
    /// # Errors
    /// No such kernel, or it is not complete; the text says what to do.
    pub fn ensure(word: &str) -> Result<Self> {
        if word == "running" {
            return Self::running();
        }
        if word.contains('/') {
            return Self::at_path(Path::new(word));
        }
        check_word(word)?;
        let cache = cache::dir("kernels")?;
        if let Some(release) = newest_cached(&cache, word) {
            return Self::in_dir(&release, &cache.join(&release));
        }
        if !apt_is_here() {
            let kernel = Self::running().map_err(|error| {
                Failure::Missing(format!(
                    "kernel {word} is not cached, there is no apt to fetch it, and {error}"
                ))
            })?;
            eprintln!(
                "vm: no apt to fetch {word} with; taking the running kernel {}",
                kernel.release
            );
            return Ok(kernel);
        }
        Self::fetch_into(&cache, word, false)
    }

    /// Fetches the newest kernel that `word` means from the archive, even if an older one is
    /// cached. A release that is cached already is not downloaded again.
    ///
    /// # Errors
    /// As [`Kernel::ensure`], and all that apt may refuse.
    pub fn fetch(word: &str) -> Result<Self> {
        check_word(word)?;
        Self::fetch_into(&cache::dir("kernels")?, word, true)
    }

    fn fetch_into(cache: &Path, word: &str, update: bool) -> Result<Self> {
        let release = fetch::fetch(cache, word, update)?;
        Self::in_dir(&release, &cache.join(&release))
    }

    /// This machine's own kernel.
    fn running() -> Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self::installed(
            release.trim(),
            Path::new(&format!("/boot/vmlinuz-{}", release.trim())),
        )
    }

    /// A kernel directory (as in the cache) or an image with its modules in `/lib/modules`.
    fn at_path(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(missing(path, "does not exist"));
        }
        let path = path
            .canonicalize()
            .map_err(|error| Failure::at(path, error))?;
        if path.is_dir() {
            let release = image_release(&path.join("vmlinuz"))?;
            Self::in_dir(&release, &path)
        } else {
            let release = image_release(&path)?;
            Self::installed(&release, &path)
        }
    }

    fn in_dir(release: &str, dir: &Path) -> Result<Self> {
        Self {
            release: release.into(),
            image: dir.join("vmlinuz"),
            modules: dir.into(),
            config: dir.join("config"),
        }
        .checked()
    }

    fn installed(release: &str, image: &Path) -> Result<Self> {
        let modules = Path::new("/lib/modules").join(release);
        let beside = image.with_file_name(format!("config-{release}"));
        let config = if beside.exists() {
            beside
        } else {
            modules.join("config")
        };
        Self {
            release: release.into(),
            image: image.into(),
            modules,
            config,
        }
        .checked()
    }

    fn checked(self) -> Result<Self> {
        for file in [&self.image, &self.modules.join("modules.dep"), &self.config] {
            if !file.is_file() {
                return Err(missing(file, "is missing"));
            }
        }
        let config =
            fs::read_to_string(&self.config).map_err(|error| Failure::at(&self.config, error))?;
        if !has_sched_ext(&config) {
            return Err(missing(
                &self.config,
                "says this kernel is built without sched_ext",
            ));
        }
        Ok(self)
    }
}

fn missing(path: &Path, what: &str) -> Failure {
    Failure::Missing(format!(
        "{} {what}; give KERNEL=6.18, KERNEL=7 or an exact release (fetched with apt), or KERNEL=PATH: \
         an image such as /boot/vmlinuz-... with its modules in /lib/modules, or a directory that holds \
         vmlinuz, config, modules.dep and kernel/",
        path.display()
    ))
}

/// Whether a kernel configuration has sched_ext.
pub(crate) fn has_sched_ext(config: &str) -> bool {
    config
        .lines()
        .any(|line| line == "CONFIG_SCHED_CLASS_EXT=y")
}

fn check_word(word: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-~_".contains(c);
    if word.starts_with(|c: char| c.is_ascii_digit()) && word.chars().all(plain) {
        return Ok(());
    }
    Err(Failure::Usage(format!(
        "{word:?} is not a kernel: give 6.18, 7, an exact release, a path, or running"
    )))
}

/// The newest release in the cache that `word` means. A directory there has its final name only
/// when it is complete.
pub(crate) fn newest_cached(cache: &Path, word: &str) -> Option<String> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let complete = entries.filter(|entry| entry.path().join("modules.dep").is_file());
    let releases: Vec<String> = complete
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    newest(&releases, word)
}

/// The release that `word` means among `releases`: itself, or the newest that it is the beginning
/// of, without those that no scheduler can load on.
pub(crate) fn newest(releases: &[String], word: &str) -> Option<String> {
    if let Some(exact) = releases.iter().find(|release| *release == word) {
        return Some(exact.clone());
    }
    let usable = releases.iter().filter(|release| {
        matches(release, word)
            && !release.contains("rc")
            && !MALFORMED_BTF.contains(&release.as_str())
    });
    usable.max_by(|a, b| compare(a, b)).cloned()
}

/// Whether `release` is `word` or continues it with something else than a digit (7.1 is not 7.13).
fn matches(release: &str, word: &str) -> bool {
    release
        .strip_prefix(word)
        .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Orders releases by the numbers of the version, then by those of the build (`7.3` comes before
/// `7.3.4+deb13`, whatever the names of their flavours hold).
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        text.split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect()
    };
    let parts = |release: &str| {
        let version_len = release.find(['+', '-', '~']).unwrap_or(release.len());
        let (version, build) = release.split_at(version_len);
        (numbers(version), numbers(build))
    };
    parts(a).cmp(&parts(b))
}

/// The release that a bzImage says it is (x86 boot protocol: offset at 0x20e, from 0x200 on).
fn image_release(image: &Path) -> Result<String> {
    let bytes = fs::read(image).map_err(|_| missing(image, "cannot be read"))?;
    release_of(&bytes).ok_or_else(|| missing(image, "is not an x86 bzImage"))
}

fn release_of(bytes: &[u8]) -> Option<String> {
    if bytes.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let offset = u16::from_le_bytes([*bytes.get(0x20e)?, *bytes.get(0x20f)?]);
    let text = bytes.get(0x200 + usize::from(offset)..)?;
    let word = text.split(|byte| *byte == b' ' || *byte == 0).next()?;
    String::from_utf8(word.to_vec())
        .ok()
        .filter(|release| !release.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Kernel, MALFORMED_BTF, check_word, newest, release_of};

    fn releases() -> Vec<String> {
        let mut all: Vec<String> = [
            "6.18.9+deb13-amd64",
            "6.18.15+deb13-amd64",
            "7.2.9+deb14-amd64",
        ]
        .map(String::from)
        .into();
        all.extend(MALFORMED_BTF.map(String::from));
        all.push("7.4-rc2-amd64".into());
        all
    }

    #[test]
    fn newest_compares_numbers_and_avoids_malformed_btf_and_candidates() {
        assert_eq!(newest(&releases(), "6.18").unwrap(), "6.18.15+deb13-amd64");
        assert_eq!(newest(&releases(), "7").unwrap(), "7.2.9+deb14-amd64");
        assert_eq!(newest(&releases(), "6.1"), None);
        assert_eq!(newest(&releases(), "5"), None);
    }

    #[test]
    fn malformed_btf_is_given_only_by_its_exact_name() {
        assert_eq!(
            newest(&releases(), MALFORMED_BTF[0]).unwrap(),
            MALFORMED_BTF[0]
        );
        assert_eq!(newest(&releases(), "7.2.12"), None);
    }

    #[test]
    fn words_that_are_no_kernel_are_refused() {
        for word in ["", "newest", "6.18;reboot", "-7", "6 18"] {
            assert!(check_word(word).is_err(), "{word}");
        }
        assert!(check_word("7.3.4+deb13-amd64").is_ok());
    }

    #[test]
    fn missing_kernel_text_says_what_to_give() {
        let error = Kernel::ensure("/nowhere/vmlinuz").unwrap_err();
        assert_eq!(error.exit_code(), 96);
        let text = error.to_string();
        for part in [
            "/nowhere/vmlinuz does not exist",
            "KERNEL=6.18",
            "KERNEL=PATH",
        ] {
            assert!(text.contains(part), "{text}");
        }
        let dir = tempfile::tempdir().unwrap();
        let error = Kernel::at_path(Path::new(dir.path()))
            .unwrap_err()
            .to_string();
        assert!(error.contains("vmlinuz cannot be read"), "{error}");
    }

    #[test]
    fn image_release_is_read_from_the_boot_header_only() {
        let mut image = vec![0_u8; 0x400];
        assert_eq!(release_of(&image), None);
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x300..0x30c].copy_from_slice(b"6.18.1-x (me");
        assert_eq!(release_of(&image).unwrap(), "6.18.1-x");
    }
}
