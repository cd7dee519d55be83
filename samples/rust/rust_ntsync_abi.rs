// SPDX-License-Identifier: GPL-2.0

//! The ioctls of `/dev/ntsync`: `include/uapi/linux/ntsync.h`.
//!
//! The arguments are arrays of `u32`, in the order of C's fields.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = b'N' as u32;
/// `count` and `max` of a semaphore, `owner` and `count` of a mutex, `manual` and `signaled` of an
/// event.
pub type State = [u32; 2];
/// `timeout` and `objs`, which have 64 bits; `count`, `index`, `flags`, `owner`, `alert`, `pad`.
pub type Wait = [u32; 10];
/// The offset of `index` in [`Wait`], in bytes.
pub const INDEX: usize = 20;

/// `_IOW(MAGIC, 0x80, State)` of the device: returns the descriptor of a new semaphore.
pub const CREATE_SEM: u32 = 0x80;
/// `_IOW(MAGIC, 0x84, State)` of the device: returns the descriptor of a new mutex.
pub const CREATE_MUTEX: u32 = 0x84;
/// `_IOW(MAGIC, 0x87, State)` of the device: returns the descriptor of a new event.
pub const CREATE_EVENT: u32 = 0x87;
/// `_IOWR(MAGIC, 0x82, Wait)` of the device: waits for one of several objects.
pub const WAIT_ANY: u32 = 0x82;
/// `_IOWR(MAGIC, 0x83, Wait)` of the device: waits for several objects at the same time.
pub const WAIT_ALL: u32 = 0x83;

/// `_IOWR(MAGIC, 0x81, u32)` of a semaphore: adds to `count`, and returns the previous one.
pub const SEM_RELEASE: u32 = 0x81;
/// `_IOR(MAGIC, 0x8b, State)` of a semaphore.
pub const SEM_READ: u32 = 0x8b;
/// `_IOWR(MAGIC, 0x85, State)` of a mutex: returns the previous count.
pub const MUTEX_UNLOCK: u32 = 0x85;
/// `_IOW(MAGIC, 0x86, u32)` of a mutex: its owner has died.
pub const MUTEX_KILL: u32 = 0x86;
/// `_IOR(MAGIC, 0x8c, State)` of a mutex.
pub const MUTEX_READ: u32 = 0x8c;
/// `_IOR(MAGIC, 0x88, u32)` of an event: returns the previous state.
pub const EVENT_SET: u32 = 0x88;
/// `_IOR(MAGIC, 0x89, u32)` of an event: returns the previous state.
pub const EVENT_RESET: u32 = 0x89;
/// `_IOR(MAGIC, 0x8a, u32)` of an event: wakes the tasks that wait. Returns the previous state.
pub const EVENT_PULSE: u32 = 0x8a;
/// `_IOR(MAGIC, 0x8d, State)` of an event.
pub const EVENT_READ: u32 = 0x8d;

/// The greatest number of objects of a wait.
pub const MAX_WAIT_COUNT: u32 = 64;
/// A flag of a wait: the timeout is a time of `CLOCK_REALTIME`.
pub const WAIT_REALTIME: u32 = 1;
