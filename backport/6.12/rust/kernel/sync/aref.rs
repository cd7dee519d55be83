// SPDX-License-Identifier: GPL-2.0

//! References to objects with a refcount of their own, under the path that mainline gives them.
//!
//! The types are those of [`crate::types`]. What mainline's have beyond that is added here.

pub use crate::types::{
    ARef,
    AlwaysRefCounted, //
};

mod traits;
