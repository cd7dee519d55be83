// SPDX-License-Identifier: GPL-2.0

//! `UserPtr::from_addr()` of later kernels.

use super::UserPtr;

/// Conversion of an address to a [`UserPtr`].
///
/// In later kernels `UserPtr` is a struct with a function of this name. In 6.12 it is an alias of
/// `usize`, so a trait provides the function.
pub trait FromAddr {
    /// Returns the user pointer for `addr`, which may be any value.
    fn from_addr(addr: usize) -> Self;
}

impl FromAddr for UserPtr {
    #[inline]
    fn from_addr(addr: usize) -> Self {
        addr
    }
}
