// SPDX-License-Identifier: GPL-2.0

//! Memory orderings.
//!
//! They have the meaning that the kernel's memory model gives to the suffixes of C's functions
//! (`Documentation/atomic_t.txt`): `_relaxed`, `_acquire`, `_release`, and none for [`Full`].

/// The ordering of the functions that end in `_relaxed`, of `READ_ONCE()` and of `WRITE_ONCE()`.
pub struct Relaxed;

/// The ordering of the functions that end in `_acquire`: later accesses stay behind the operation.
pub struct Acquire;

/// The ordering of the functions that end in `_release`: earlier accesses stay in front of it.
pub struct Release;

/// The ordering of the functions without an ending: a full memory barrier before the operation and
/// behind it.
pub struct Full;

/// An ordering, as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderingType {
    /// [`Relaxed`].
    Relaxed,
    /// [`Acquire`].
    Acquire,
    /// [`Release`].
    Release,
    /// [`Full`].
    Full,
}

mod private {
    pub trait Sealed {}
}

/// The ordering of an operation that reads and writes.
pub trait Ordering: private::Sealed {
    /// Which ordering this is.
    const TYPE: OrderingType;
}

/// The ordering of an operation that reads.
pub trait AcquireOrRelaxed: Ordering {}

/// The ordering of an operation that writes.
pub trait ReleaseOrRelaxed: Ordering {}

macro_rules! impl_ordering {
    ($($name:ident)*) => {
        $(
            impl private::Sealed for $name {}

            impl Ordering for $name {
                const TYPE: OrderingType = OrderingType::$name;
            }
        )*
    };
}

impl_ordering!(Relaxed Acquire Release Full);

impl AcquireOrRelaxed for Acquire {}
impl AcquireOrRelaxed for Relaxed {}
impl ReleaseOrRelaxed for Release {}
impl ReleaseOrRelaxed for Relaxed {}
