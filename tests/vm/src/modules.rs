//! Which module files a guest needs, in load order, from the kernel's own `modules.dep`.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::failure::{Failure, Result};

/// A kernel's module tree, as indexed by depmod.
pub struct ModuleTree {
    root: PathBuf,
    /// Normalised module name -> its file and the files it depends on, relative to the root.
    loadable: HashMap<String, (String, Vec<String>)>,
    builtin: HashSet<String>,
}

impl ModuleTree {
    /// Reads the index below `root` (`/lib/modules/<release>` or a copy of it).
    ///
    /// # Errors
    /// The tree has no readable `modules.dep`.
    pub fn read(root: &Path) -> Result<Self> {
        let dep = root.join("modules.dep");
        let text = fs::read_to_string(&dep).map_err(|error| {
            Failure::Missing(format!(
                "{}: {error}; run depmod for this kernel, or fetch it again",
                dep.display()
            ))
        })?;
        let loadable = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .map(|(file, needs)| {
                let needs = needs.split_whitespace().map(str::to_owned).collect();
                (module_name(file), (file.to_owned(), needs))
            })
            .collect();
        let builtin = fs::read_to_string(root.join("modules.builtin"))
            .unwrap_or_default()
            .lines()
            .map(module_name)
            .collect();
        Ok(Self {
            root: root.to_owned(),
            loadable,
            builtin,
        })
    }

    /// Files to load for `wanted`, each after all it depends on and none twice. What is built
    /// into the kernel needs no file.
    ///
    /// # Errors
    /// A module is neither loadable nor built in.
    pub fn load_order<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<PathBuf>> {
        let mut order = Vec::new();
        let mut seen = HashSet::new();
        for name in wanted {
            let key = module_name(name);
            let Some((file, needs)) = self.loadable.get(&key) else {
                if self.builtin.contains(&key) {
                    continue;
                }
                return Err(Failure::Missing(format!(
                    "this kernel has no module {name} (looked in {})",
                    self.root.display()
                )));
            };
            // depmod writes the direct dependency first and the deepest last.
            for file in needs.iter().rev().chain([file]) {
                if seen.insert(file.clone()) {
                    order.push(self.root.join(file));
                }
            }
        }
        Ok(order)
    }
}

/// `kernel/fs/9p/9p.ko.xz` and `9p` are the same module; so are `snd-dummy` and `snd_dummy`.
fn module_name(path: &str) -> String {
    let base = path.rsplit('/').next().unwrap_or(path);
    base.split(".ko").next().unwrap_or(base).replace('-', "_")
}

/// The plain ELF content of a module file, whatever it is compressed with.
///
/// # Errors
/// The file cannot be read or its decompressor is missing or fails.
pub fn read_module(file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|ext| ext.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return fs::read(file).map_err(|error| Failure::at(file, error)),
    };
    let output = Command::new(tool)
        .arg("-dc")
        .arg(file)
        .output()
        .with_context(|| format!("{tool} (needed to unpack {})", file.display()))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(Failure::Host(anyhow::anyhow!(
            "{tool} -dc {}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{ModuleTree, module_name};

    fn tree() -> (tempfile::TempDir, ModuleTree) {
        let dir = tempfile::tempdir().unwrap();
        let dep = "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n\
                   kernel/net/9p/9pnet.ko.xz: kernel/fs/netfs/netfs.ko.xz\n\
                   kernel/fs/netfs/netfs.ko.xz:\n\
                   kernel/sound/snd-dummy.ko:\n";
        fs::write(dir.path().join("modules.dep"), dep).unwrap();
        fs::write(
            dir.path().join("modules.builtin"),
            "kernel/drivers/virtio/virtio-pci.ko\n",
        )
        .unwrap();
        let tree = ModuleTree::read(dir.path()).unwrap();
        (dir, tree)
    }

    fn names(tree: &ModuleTree, wanted: &[&str]) -> Vec<String> {
        let order = tree.load_order(wanted.iter().copied()).unwrap();
        order
            .iter()
            .map(|file| module_name(&file.to_string_lossy()))
            .collect()
    }

    #[test]
    fn dependencies_come_first_and_only_once() {
        let (_dir, tree) = tree();
        assert_eq!(
            names(&tree, &["9p", "9pnet", "netfs"]),
            ["netfs", "9pnet", "9p"]
        );
    }

    #[test]
    fn dash_and_underscore_name_the_same_module_and_builtin_needs_no_file() {
        let (_dir, tree) = tree();
        assert_eq!(names(&tree, &["snd_dummy", "virtio_pci"]), ["snd_dummy"]);
    }

    #[test]
    fn unknown_module_and_missing_index_are_named() {
        let (dir, tree) = tree();
        let error = tree.load_order(["nonsense"]).unwrap_err().to_string();
        assert!(error.contains("no module nonsense"), "{error}");
        let error = ModuleTree::read(&dir.path().join("none"))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("modules.dep") && error.contains("depmod"),
            "{error}"
        );
    }
}
