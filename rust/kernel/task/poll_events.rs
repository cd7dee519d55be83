// SPDX-License-Identifier: GPL-2.0

//! The events that a driver reports to `poll()`, `select()` and `epoll_wait()`, by their names in
//! `include/uapi/linux/eventpoll.h`.

/// There is data to read.
pub const EPOLLIN: u32 = 0x1;
/// There is urgent data to read.
pub const EPOLLPRI: u32 = 0x2;
/// Data can be written.
pub const EPOLLOUT: u32 = 0x4;
/// There is an error. It is always reported.
pub const EPOLLERR: u32 = 0x8;
/// The device is gone. It is always reported.
pub const EPOLLHUP: u32 = 0x10;
/// The same as [`EPOLLIN`], for processes that ask for this one.
pub const EPOLLRDNORM: u32 = 0x40;
/// There is data of a priority band to read.
pub const EPOLLRDBAND: u32 = 0x80;
/// The same as [`EPOLLOUT`], for processes that ask for this one.
pub const EPOLLWRNORM: u32 = 0x100;
/// Data of a priority band can be written.
pub const EPOLLWRBAND: u32 = 0x200;
/// The other end does not send any more.
pub const EPOLLRDHUP: u32 = 0x2000;

/// All events of this module. `EPOLLNVAL` and `EPOLLMSG` are not for drivers. The upper bits of a
/// mask of C are flags, and 0x4000 is `POLLFREE`.
pub(crate) const ALL: u32 = EPOLLIN
    | EPOLLPRI
    | EPOLLOUT
    | EPOLLERR
    | EPOLLHUP
    | EPOLLRDNORM
    | EPOLLRDBAND
    | EPOLLWRNORM
    | EPOLLWRBAND
    | EPOLLRDHUP;
