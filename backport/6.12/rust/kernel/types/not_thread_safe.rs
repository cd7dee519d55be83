// SPDX-License-Identifier: GPL-2.0

//! A marker for values that must stay on one thread.

use core::marker::PhantomData;

/// A zero-sized marker: a struct with a field of this type is neither [`Send`] nor [`Sync`].
///
/// The struct thus stays on the thread that created it. The constant of the same name initializes
/// the field.
pub type NotThreadSafe = PhantomData<*mut ()>;

/// The only value of the type [`NotThreadSafe`](type@NotThreadSafe).
#[allow(non_upper_case_globals)]
pub const NotThreadSafe: NotThreadSafe = PhantomData;
