// SPDX-License-Identifier: GPL-2.0

//! A marker for values that belong to a thread.

use core::marker::PhantomData;

/// A field of this type keeps a value with the thread that made it.
///
/// It takes no space, and the struct around it is neither [`Send`] nor [`Sync`]. There is a
/// constant of the same name to fill the field with.
pub type NotThreadSafe = PhantomData<*mut ()>;

/// The value of the type of the same name.
#[allow(non_upper_case_globals)]
pub const NotThreadSafe: NotThreadSafe = PhantomData;
