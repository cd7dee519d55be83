// SPDX-License-Identifier: GPL-2.0

//! Compile-time check that bindgen and the C compiler agree on the layout of the C structs whose
//! fields this crate accesses.
//!
//! `rust/Makefile.layout` generates one assertion for each `SIZE` and `FIELD` line of
//! `rust/layout.c`. If bindgen computes another size or offset than the C compiler, the crate does
//! not compile, and the error message names the struct and the field.

use crate::bindings;

include!(concat!(env!("OBJTREE"), "/rust/layout_generated.rs"));
