// SPDX-License-Identifier: GPL-2.0

//! Macros for types that wrap a C struct.

/// Implements [`AlwaysRefCounted`](crate::sync::aref::AlwaysRefCounted) for a wrapper of a C struct
/// that has a refcount of its own.
///
/// Written `impl_refcounted!(unsafe Type(c_struct): get, put)`, where `get` and `put` are C
/// functions that take a pointer to the `c_struct`. Another type of pointer does not compile.
///
/// # Safety
///
/// - `Type` must be `repr(transparent)` around the C struct.
/// - While a `&Type` exists, the refcount must not be zero, so that `get` may increment it.
/// - `put` must release one reference, and the C struct must stay allocated until the last
///   reference has been released.
macro_rules! impl_refcounted {
    (unsafe $type:ident($c:ident): $get:ident, $put:ident) => {
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
            }

            #[inline]
            unsafe fn dec_ref(obj: ::core::ptr::NonNull<Self>) {
                // CAST: The type is transparent around the C struct.
                let ptr = obj.as_ptr().cast::<$crate::bindings::$c>();

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
