//! A KMS display: two dumb buffers and page flips with events.

use crate::clock::duration_ns;
use crate::gpu::Node;
use anyhow::{Context, Result, bail};
use drm::buffer::DrmFourcc;
use drm::control::atomic::AtomicModeReq;
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{
    AtomicCommitFlags, Device as ControlDevice, Event, Mode, PageFlipFlags, connector, crtc,
    framebuffer, plane, property,
};
use drm::{ClientCapability, Device};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;
use std::time::Duration;

/// A flip that takes longer than this will not come any more.
const FLIP_LIMIT: Duration = Duration::from_secs(20);
/// Smaller modes are refused by some drivers; larger ones only cost the host.
const WIDTH_MIN: u16 = 640;

/// A display we are master of.
#[derive(Debug)]
pub struct Display {
    node: Node,
    crtc: crtc::Handle,
    buffers: Vec<(DumbBuffer, framebuffer::Handle)>,
    /// Refresh rate of the mode [Hz].
    pub refresh_hz: u32,
    /// Width and height [pixels].
    pub size: (u16, u16),
    next: usize,
    /// For atomic flips: what shows the picture, and its property that says which.
    plane: Option<(plane::Handle, property::Handle)>,
}

struct Output {
    connector: connector::Handle,
    crtc: crtc::Handle,
    mode: Mode,
}

/// The smallest mode (from 640 pixels) with the refresh rate nearest to the one wanted.
fn choose_mode(modes: &[Mode], refresh_hz: u32) -> Option<Mode> {
    modes
        .iter()
        .filter(|mode| mode.size().0 >= WIDTH_MIN)
        .min_by_key(|mode| {
            let (width, height) = mode.size();
            (
                mode.vrefresh().abs_diff(refresh_hz),
                u32::from(width) * u32::from(height),
            )
        })
        .copied()
}

fn find_output(node: &Node, refresh_hz: u32) -> Result<Output> {
    let resources = node.resource_handles().context("no KMS resources")?;
    for handle in resources.connectors() {
        let info = node.get_connector(*handle, true)?;
        if info.state() != connector::State::Connected {
            continue;
        }
        let Some(mode) = choose_mode(info.modes(), refresh_hz) else {
            continue;
        };
        for encoder in info.encoders() {
            let possible = node.get_encoder(*encoder)?.possible_crtcs();
            if let Some(crtc) = resources.filter_crtcs(possible).first() {
                return Ok(Output {
                    connector: *handle,
                    crtc: *crtc,
                    mode,
                });
            }
        }
    }
    bail!("no connected display")
}

impl Display {
    /// Takes the first display that nobody else owns.
    ///
    /// # Errors
    /// Why there is none.
    pub fn open(refresh_hz: u32) -> Result<Self> {
        let paths = Node::paths("card");
        let mut reason = anyhow::anyhow!("there is no DRM device");
        for path in paths {
            match Node::open(&path)
                .map_err(Into::into)
                .and_then(|node| Self::set_up(node, refresh_hz))
            {
                Ok(display) => return Ok(display),
                Err(error) => reason = error.context(format!("{}", path.display())),
            }
        }
        Err(reason)
    }

    fn set_up(node: Node, refresh_hz: u32) -> Result<Self> {
        let output = find_output(&node, refresh_hz)?;
        let size = output.mode.size();
        let mut buffers = Vec::new();
        for _ in 0..2 {
            let area = (u32::from(size.0), u32::from(size.1));
            let buffer = node
                .create_dumb_buffer(area, DrmFourcc::Xrgb8888, 32)
                .context("cannot create a dumb buffer")?;
            let frame = node
                .add_framebuffer(&buffer, 24, 32)
                .context("cannot add a framebuffer")?;
            buffers.push((buffer, frame));
        }
        let first = buffers.first().map(|(_, frame)| *frame);
        node.set_crtc(
            output.crtc,
            first,
            (0, 0),
            &[output.connector],
            Some(output.mode),
        )
        .context("cannot set a mode (does something else own the display?)")?;
        let refresh_hz = output.mode.vrefresh();
        Ok(Self {
            node,
            crtc: output.crtc,
            buffers,
            refresh_hz,
            size,
            next: 1,
            plane: None,
        })
    }

    /// Flips by atomic commits from now on, as compositors do today.
    ///
    /// # Errors
    /// When the driver has no atomic commits.
    pub fn flip_atomically(&mut self) -> Result<()> {
        self.node
            .set_client_capability(ClientCapability::UniversalPlanes, true)?;
        self.node
            .set_client_capability(ClientCapability::Atomic, true)
            .context("no atomic commits")?;
        for plane in self.node.plane_handles()? {
            if self.node.get_plane(plane)?.crtc() != Some(self.crtc) {
                continue;
            }
            let properties = self.node.get_properties(plane)?;
            if let Some(picture) = properties.as_hashmap(&self.node)?.get("FB_ID") {
                self.plane = Some((plane, picture.handle()));
                return Ok(());
            }
        }
        bail!("no plane shows the picture")
    }

    fn ask_for_flip(&self, frame: framebuffer::Handle) -> Result<()> {
        let Some((plane, picture)) = self.plane else {
            let asked = self
                .node
                .page_flip(self.crtc, frame, PageFlipFlags::EVENT, None);
            return asked.context("page flip refused");
        };
        let mut request = AtomicModeReq::new();
        request.add_property(plane, picture, property::Value::Framebuffer(Some(frame)));
        let flags = AtomicCommitFlags::PAGE_FLIP_EVENT | AtomicCommitFlags::NONBLOCK;
        let asked = self.node.atomic_commit(flags, request);
        asked.context("atomic commit refused")
    }

    /// Draws a band whose place depends on the frame into the hidden buffer.
    ///
    /// # Errors
    /// When the buffer cannot be mapped.
    pub fn draw(&mut self, frame: u64) -> Result<()> {
        let Some((buffer, _)) = self.buffers.get_mut(self.next) else {
            bail!("BUG: no such buffer");
        };
        let mut map = self
            .node
            .map_dumb_buffer(buffer)
            .context("cannot map the frame")?;
        let band = 16 * 4 * usize::from(self.size.0);
        let bands = (map.len() / band.max(1)).max(1);
        let place = usize::try_from(frame % bands as u64).unwrap_or(0) * band;
        if let Some(pixels) = map.get_mut(place..place + band) {
            pixels.fill(frame.to_le_bytes()[0]);
        }
        Ok(())
    }

    /// Shows the hidden buffer and waits for that: CLOCK_MONOTONIC of the flip in ns.
    ///
    /// # Errors
    /// When the flip is refused or its event does not come.
    pub fn flip(&mut self) -> Result<u64> {
        let Some((_, frame)) = self.buffers.get(self.next) else {
            bail!("BUG: no such buffer");
        };
        self.ask_for_flip(*frame)?;
        self.next = 1 - self.next;
        loop {
            let timeout = PollTimeout::try_from(FLIP_LIMIT).unwrap_or(PollTimeout::MAX);
            match poll(
                &mut [PollFd::new(self.node.as_fd(), PollFlags::POLLIN)],
                timeout,
            ) {
                Ok(0) => bail!("no flip event within {} s", FLIP_LIMIT.as_secs()),
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in self
                .node
                .receive_events()
                .context("cannot read flip events")?
            {
                if let Event::PageFlip(flip) = event {
                    return Ok(duration_ns(flip.duration));
                }
            }
        }
    }
}
