// SPDX-License-Identifier: GPL-2.0

//! Modules that the test programs share.

pub mod binder;
pub mod cgroup;
pub mod child;
pub mod device;
pub mod io_uring;
pub mod ioctl;
pub mod ktap;
pub mod leaks;
pub mod mailbox;
pub mod memory;
pub mod mirror;
pub mod params;
pub mod procfs;
pub mod remote;
pub mod seccomp;
pub mod userfaultfd;
pub mod vma;
