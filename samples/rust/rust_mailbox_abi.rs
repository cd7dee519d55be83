// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/rust_mailbox`.
//!
//! The driver and the programs that use it are compiled with this file, so they cannot differ.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = 0xbe;
/// `_IOW(MAGIC, 1, u32)`: gives the mailbox an address, which is the process and this port.
///
/// `ENXIO` if the file is not mapped, `EPERM` if another process has mapped it, `EBUSY` if it has
/// an address, `EEXIST` if another mailbox of the process has this one.
pub const BIND: u32 = 1;
/// `_IOW(MAGIC, 2, Send)`: sends a message.
///
/// Waits while the window of the receiver has no room, unless the file has `O_NONBLOCK`: `EAGAIN`.
/// `ESRCH` if there is no such process, `ECONNREFUSED` if it has no such mailbox, `EINVAL` if the
/// message is larger than the window. `EPIPE` if the receiver unmaps its window meanwhile, `EDQUOT`
/// if messages of the user that have not been released exhaust [`QUOTA`]. `EINVAL` for unknown
/// flags, `EBADF` if the pidfd is none, `EFAULT` if the message cannot be read, `EINTR` if a signal
/// ends the wait and its handler has no `SA_RESTART`.
pub const SEND: u32 = 2;
/// `_IOWR(MAGIC, 3, Received)`: receives the oldest message.
///
/// `ENXIO` and `EPERM` as for [`BIND`], `ETIME` if no message has come in time. `EAGAIN` if there
/// is none, and the file has `O_NONBLOCK` or the time is zero. `EINTR` if a signal ends the wait;
/// without a time, the call is restarted if the handler has `SA_RESTART`. `EFAULT` if the result
/// cannot be stored: the message is not lost then.
pub const RECEIVE: u32 = 3;
/// `_IOW(MAGIC, 4, u64)`: releases a message that has been received: its pages are free for others.
/// `EINVAL` if there is no message with this ID.
pub const RELEASE: u32 = 4;
/// `_IOR(MAGIC, 5, Stats)`: returns what the driver has allocated.
pub const STATS: u32 = 5;

/// The maximum size of a window, in pages.
pub const MAX_PAGES: usize = 1024;
/// What the messages of a user may be charged, in bytes.
pub const QUOTA: usize = 4 << 20;
/// What a message is charged in addition to its pages, in bytes.
pub const OVERHEAD: usize = 256;

/// The argument of [`SEND`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Send {
    /// The address of the message.
    pub addr: u64,
    /// The length of the message in bytes.
    pub len: u64,
    /// The port of the receiver.
    pub port: u64,
    /// The PID of the receiver, in the PID namespace of the sender. Or a pidfd of the receiver.
    pub to: u64,
    /// 0 or [`PIDFD`].
    pub flags: u64,
}

/// [`Send::to`] is a pidfd.
pub const PIDFD: u64 = 1;

/// The argument and result of [`RECEIVE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// In: the maximum time to wait in milliseconds, or `u64::MAX`.
    pub timeout: u64,
    /// In: where the security context of the sender is stored.
    pub context: u64,
    /// In: the size of the buffer for the security context.
    pub room: u64,
    /// Out: the length of the security context, of which the first bytes are stored. 0 if the
    /// kernel has no security module.
    pub context_len: u64,
    /// Out: the ID of the message, for [`RELEASE`].
    pub id: u64,
    /// Out: the offset of the message in the window, in bytes.
    pub offset: u64,
    /// Out: the length of the message in bytes.
    pub len: u64,
    /// Out: the PID of the sender in the PID namespace of the receiver, or 0 if it has none there.
    pub pid: u64,
    /// Out: the effective UID of the sender in the user namespace of the receiver, or the overflow
    /// UID if it has none there.
    pub euid: u64,
}

/// The result of [`STATS`]. All are those of all mailboxes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// The pages of all windows.
    pub pages: u64,
    /// Those that hold no message.
    pub free: u64,
    /// The messages that have been sent and not released.
    pub messages: u64,
    /// What all users are charged, in bytes.
    pub charged: u64,
}
