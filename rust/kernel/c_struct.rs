// SPDX-License-Identifier: GPL-2.0

//! Macros for types that wrap a C struct.

use crate::sync::atomic::{
    atomic_load,
    Atomic,
    Relaxed, //
};
use core::ffi::c_int;

/// The least value of a saturated refcount. See [`is_saturated`].
const SATURATED: u32 = 1 << 30;

/// The value that a saturated refcount is set to: the middle between [`SATURATED`] and `INT_MAX`.
const PINNED: c_int = 3 << 29;

/// Returns whether a refcount is saturated.
///
/// An `atomic_t` of C wraps. Safe code can leak references in a loop, so a type whose refcount is
/// an `atomic_t` makes it saturate, as a `refcount_t` does:
///
/// - After each increment by Rust code, [`saturate`] sets a saturated refcount to [`PINNED`].
/// - Rust code does not decrement a saturated refcount. The object is then leaked.
///
/// C code knows nothing of that, and drops the references that it holds. A refcount that has been
/// set to [`PINNED`] is saturated permanently nevertheless, as it would take 2^29 changes in one
/// direction to leave the range. The references that C code holds are fewer, as each belongs to a
/// task, a CPU or an object that is larger than 8 bytes. Threads that have looked at the refcount
/// and then change it are fewer, too: there are at most 2^22 tasks (`PID_MAX_LIMIT`).
///
/// A saturated refcount is positive, because C code takes a value up to 1 for a single user.
///
/// # Safety
///
/// `refcount` must point to the `int` of an `atomic_t` that is valid for reads.
#[inline]
pub(crate) unsafe fn is_saturated(refcount: *mut c_int) -> bool {
    // SAFETY: The caller guarantees that `refcount` is valid for reads, and it is only written by
    // atomic operations.
    let value = unsafe { atomic_load(refcount, Relaxed) };

    // CAST: A negative value is saturated as well.
    value as u32 >= SATURATED
}

/// Sets a saturated refcount to [`PINNED`]. To be called after each increment.
///
/// # Safety
///
/// `refcount` must point to the `int` of an `atomic_t` that is valid for reads and writes. The
/// caller must hold a reference that it counts, so that the object is not freed meanwhile.
#[inline]
pub(crate) unsafe fn saturate(refcount: *mut c_int) {
    #[cold]
    fn pin(refcount: &Atomic<c_int>) {
        refcount.store(PINNED, Relaxed);
    }

    // SAFETY: The caller guarantees that `refcount` is valid for reads and writes. All accesses to
    // an `atomic_t` are atomic.
    unsafe {
        if is_saturated(refcount) {
            pin(Atomic::from_ptr(refcount));
        }
    }
}

/// Implements [`AlwaysRefCounted`](crate::sync::aref::AlwaysRefCounted) for a wrapper of a C struct
/// that has a refcount of its own.
///
/// Written `impl_refcounted!(unsafe Type(c_struct): get, put)`, where `get` and `put` are C
/// functions that take a pointer to the `c_struct`. Another type of pointer does not compile.
///
/// A refcount that wraps (`atomic_t`) is written as a third argument, as the path of the field. It
/// then saturates; see [`is_saturated`].
///
/// # Safety
///
/// - `Type` must be `repr(transparent)` around the C struct.
/// - While a `&Type` exists, the refcount must not be zero, so that `get` may increment it.
/// - `put` must release one reference, and the C struct must stay allocated until the last
///   reference has been released.
/// - The field, if there is one, must be the refcount that `get` and `put` change, an `atomic_t`.
///   Other Rust code that increments it must call [`saturate`] afterwards, and must not decrement
///   it while it [`is_saturated`].
/// - Without a field, the refcount must saturate, or be too wide to wrap.
macro_rules! impl_refcounted {
    (unsafe $type:ident($c:ident): $get:ident, $put:ident $(, $($field:ident).+)?) => {
        // SAFETY: The user of the macro guarantees that the refcount keeps the object allocated.
        unsafe impl $crate::sync::aref::AlwaysRefCounted for $type {
            #[inline]
            fn inc_ref(&self) {
                // CAST: The type is transparent around the C struct.
                let ptr = ::core::ptr::from_ref(self)
                    .cast_mut()
                    .cast::<$crate::bindings::$c>();

                // SAFETY: `self` is borrowed, so the refcount is not zero.
                unsafe { $crate::bindings::$get(ptr) };
                $(
                    // CAST: An `atomic_t` consists of an `int`.
                    // SAFETY: `self` is borrowed, so the object is allocated, and the reference
                    // taken above has not been released.
                    unsafe {
                        $crate::c_struct::saturate(
                            ::core::ptr::addr_of_mut!((*ptr).$($field).+).cast(),
                        )
                    };
                )?
            }

            #[inline]
            unsafe fn dec_ref(obj: ::core::ptr::NonNull<Self>) {
                // CAST: The type is transparent around the C struct.
                let ptr = obj.as_ptr().cast::<$crate::bindings::$c>();

                $(
                    // CAST: An `atomic_t` consists of an `int`.
                    // SAFETY: The caller holds a reference, so the object is allocated.
                    if unsafe {
                        $crate::c_struct::is_saturated(
                            ::core::ptr::addr_of_mut!((*ptr).$($field).+).cast(),
                        )
                    } {
                        return;
                    }
                )?

                // SAFETY: The caller passes on a reference that it holds.
                unsafe { $crate::bindings::$put(ptr) };
            }
        }
    };
}
pub(crate) use impl_refcounted;

/// Implements the conversions from and to a pointer to the wrapped C struct, and equality as
/// equality of addresses.
///
/// `$type` must be a `repr(transparent)` struct with a field `inner: Opaque<$c>`. `$doc` is added
/// to the documentation of `from_ptr()`: an example of the type.
macro_rules! impl_c_struct {
    ($(#[$doc:meta])* $type:ident, $c:ident) => {
        impl $type {
            #[doc = concat!("Returns a pointer to the `struct ", stringify!($c), "`.")]
            ///
            /// # Context
            ///
            /// Any context, including NMI.
            #[inline]
            pub fn as_ptr(&self) -> *mut $crate::bindings::$c {
                self.inner.get()
            }

            #[doc = concat!("Creates a reference to a `struct ", stringify!($c), "`.")]
            ///
            /// # Safety
            ///
            /// `ptr` must point to an object that satisfies the type invariants for the duration of
            /// `'a`.
            ///
            $(#[$doc])*
            #[inline]
            pub unsafe fn from_ptr<'a>(ptr: *const $crate::bindings::$c) -> &'a Self {
                // CAST: The type is transparent around the C struct.
                // INVARIANT: The caller guarantees that the object satisfies the type invariants.
                // SAFETY: The caller guarantees that `ptr` is valid for the duration of `'a`.
                unsafe { &*ptr.cast() }
            }
        }

        /// Two references are equal if they refer to the same object.
        impl PartialEq for $type {
            #[inline]
            fn eq(&self, other: &Self) -> bool {
                ::core::ptr::eq(self, other)
            }
        }

        impl Eq for $type {}
    };
}
pub(crate) use impl_c_struct;
