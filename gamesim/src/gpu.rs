//! The render node: the ioctls of one frame.
//!
//! On a virtio-gpu without 3D the host takes no command buffers, but transfers and waits are
//! real; the refused submit still goes through the driver's entry, as a detector sees it.
//! On other drivers a sync object is signalled and waited for.

use crate::sys;
use anyhow::{Context, Result};
use drm::control::{Device as ControlDevice, syncobj};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd};

/// An open DRM node.
#[derive(Debug)]
pub struct Node(File);

impl Node {
    /// Opens a device node for reading and writing.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &std::path::Path) -> std::io::Result<Self> {
        Ok(Self(OpenOptions::new().read(true).write(true).open(path)?))
    }

    /// Paths under /dev/dri whose name begins with `prefix`, in order.
    #[must_use]
    pub fn paths(prefix: &str) -> Vec<std::path::PathBuf> {
        let Ok(entries) = std::fs::read_dir("/dev/dri") else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .map(|entry| entry.path())
            .collect();
        paths.sort();
        paths
    }
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
impl drm::Device for Node {}
impl ControlDevice for Node {}

/// What one frame does with the GPU.
#[derive(Debug)]
pub enum Gpu {
    /// virtio-gpu: transfer, submit, wait.
    Virtio {
        /// The render node.
        node: Node,
        /// The frame's resource.
        resource: u32,
        /// Whether the host takes command buffers.
        executes: bool,
    },
    /// Any other driver: signal and wait for a sync object.
    Sync {
        /// The render node.
        node: Node,
        /// The frame's fence.
        fence: syncobj::Handle,
    },
}

const WIDTH: u32 = 256;
const HEIGHT: u32 = 64;

impl Gpu {
    /// Opens the first render node that works; the text says how it is used.
    ///
    /// # Errors
    /// When there is none.
    pub fn open() -> Result<(Self, String)> {
        let paths = Node::paths("renderD");
        anyhow::ensure!(!paths.is_empty(), "there is no render node");
        let mut reason = anyhow::anyhow!("no render node");
        for path in paths {
            match Node::open(&path).map_err(Into::into).and_then(Self::set_up) {
                Ok(found) => return Ok(found),
                Err(error) => reason = error.context(format!("{}", path.display())),
            }
        }
        Err(reason)
    }

    fn set_up(node: Node) -> Result<(Self, String)> {
        let driver = drm::Device::get_driver(&node)?;
        let name = driver.name().to_string_lossy().into_owned();
        if name != "virtio_gpu" {
            let fence = node.create_syncobj(true).context("no sync objects")?;
            return Ok((Self::Sync { node, fence }, format!("{name}: sync objects")));
        }
        let resource = sys::virtgpu_create(&node.0, WIDTH, HEIGHT).context("resource create")?;
        sys::virtgpu_transfer(&node.0, resource, WIDTH, HEIGHT).context("transfer")?;
        sys::virtgpu_wait(&node.0, resource).context("wait")?;
        let executes = sys::virtgpu_execbuffer(&node.0).is_ok();
        let what = if executes {
            "transfer, execbuffer, wait"
        } else {
            "transfer, wait (host without 3D)"
        };
        Ok((
            Self::Virtio {
                node,
                resource,
                executes,
            },
            format!("{name}: {what}"),
        ))
    }

    /// Does one frame's ioctls.
    ///
    /// # Errors
    /// The driver's own.
    pub fn submit(&self) -> Result<()> {
        match self {
            Self::Virtio {
                node,
                resource,
                executes,
            } => {
                sys::virtgpu_transfer(&node.0, *resource, WIDTH, HEIGHT).context("GPU transfer")?;
                let submitted = sys::virtgpu_execbuffer(&node.0);
                if *executes {
                    submitted.context("GPU submit")?;
                }
                sys::virtgpu_wait(&node.0, *resource).context("GPU wait")
            }
            Self::Sync { node, fence } => {
                node.syncobj_reset(&[*fence]).context("GPU fence reset")?;
                node.syncobj_signal(&[*fence]).context("GPU fence signal")?;
                node.syncobj_wait(&[*fence], i64::MAX, true, false)
                    .context("GPU fence wait")?;
                Ok(())
            }
        }
    }
}
