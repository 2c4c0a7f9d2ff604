//! The descriptor of a ring buffer manager, which libbpf-rs hands out as a bare number.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;

use libbpf_rs::RingBuffer;

pub(super) fn ring_fd<'a>(ring_buffer: &'a RingBuffer<'static>) -> BorrowedFd<'a> {
    // SAFETY: the descriptor belongs to the ring buffer, which keeps it open while it lives, and
    // the borrow does not outlive it.
    unsafe { BorrowedFd::borrow_raw(ring_buffer.epoll_fd()) }
}
