// SPDX-License-Identifier: GPL-2.0

//! Traits that later kernels implement for [`ARef`].

use super::{
    ARef,
    AlwaysRefCounted, //
};

/// Two counted references are equal when what they refer to is.
impl<T, U> PartialEq<ARef<U>> for ARef<T>
where
    T: AlwaysRefCounted + PartialEq<U>,
    U: AlwaysRefCounted,
{
    #[inline]
    fn eq(&self, other: &ARef<U>) -> bool {
        **self == **other
    }
}

/// A counted reference equals a borrow when what they refer to does.
impl<T, U> PartialEq<&U> for ARef<T>
where
    T: AlwaysRefCounted + PartialEq<U>,
{
    #[inline]
    fn eq(&self, other: &&U) -> bool {
        **self == **other
    }
}

impl<T: AlwaysRefCounted + Eq> Eq for ARef<T> {}

// The pointer may move; what it points to stays.
impl<T: AlwaysRefCounted> Unpin for ARef<T> {}
