// SPDX-License-Identifier: GPL-2.0

//! Mainline's way to make a user pointer of a number.

use super::UserPtr;

/// Makes a [`UserPtr`] of an address.
///
/// Mainline's `UserPtr` is a struct with a function of this name. Here it is a number, so a trait
/// has to give it one.
pub trait FromAddr {
    /// Makes a user pointer of `addr`, which need not be mapped.
    fn from_addr(addr: usize) -> Self;
}

impl FromAddr for UserPtr {
    #[inline]
    fn from_addr(addr: usize) -> Self {
        addr
    }
}
