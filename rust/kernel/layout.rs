// SPDX-License-Identifier: GPL-2.0

//! Proof that bindgen and the C compiler agree on the structures that this crate reads directly.
//!
//! The build makes one assertion of each line in `rust/layout.c`. Where bindgen is wrong, the
//! crate does not compile, and the message names the field.

use crate::bindings;

include!(concat!(env!("OBJTREE"), "/rust/layout_generated.rs"));
