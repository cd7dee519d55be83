// SPDX-License-Identifier: GPL-2.0

//! Sets up the machine, assembles the source tree, builds and boots the kernel.
//!
//! Each module uses only modules that stand above it in this list.

pub mod arch;
pub mod kconfig;
pub mod series;
pub mod step;

pub mod versions;

pub mod manifest;

pub mod build;

pub mod release;

pub mod outcome;
pub mod setup;
pub mod tree;

pub mod kernel;
pub mod mirror;
pub mod report;

pub mod boot;

pub mod initramfs;

pub use build::Build;
