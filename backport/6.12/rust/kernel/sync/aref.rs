// SPDX-License-Identifier: GPL-2.0

//! References to objects with a refcount of their own, under the path that mainline gives them.
//!
//! The types are those of [`crate::types`]. What mainline's have beyond that is added here.

pub use crate::types::{
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
