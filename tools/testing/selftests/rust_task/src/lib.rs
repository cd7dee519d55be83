// SPDX-License-Identifier: GPL-2.0

//! What the test programs share.

pub mod binder;
pub mod child;
pub mod ioctl;
pub mod ktap;
pub mod procfs;
