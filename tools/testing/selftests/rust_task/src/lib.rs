// SPDX-License-Identifier: GPL-2.0

//! What the test programs share.

pub mod binder;
pub mod child;
pub mod device;
pub mod ioctl;
pub mod ktap;
pub mod leaks;
pub mod procfs;
pub mod vma;
pub mod words;
