// SPDX-License-Identifier: GPL-2.0

//! Atomic variables that follow the kernel's memory model.
//!
//! This is mainline's `kernel::sync::atomic`, as far as drivers of tasks and address spaces use it.
//! Each operation is the one of the same name in C, so Rust and C code may share a variable. Core's
//! own atomics follow another model: their `SeqCst` is no full memory barrier.
//!
//! C header: [`include/linux/atomic.h`](srctree/include/linux/atomic.h)

use crate::bindings;
use core::{
    cell::UnsafeCell,
    ffi::c_void,
    mem::{
        align_of,
        size_of, //
    },
};

pub mod ordering;
pub use ordering::{
    Acquire,
    Full,
    Relaxed,
    Release, //
};
use ordering::{
    AcquireOrRelaxed,
    Ordering,
    OrderingType,
    ReleaseOrRelaxed, //
};

mod private {
    pub trait Sealed {}
}

/// A type that C has atomic operations for.
#[doc(hidden)]
pub trait AtomicImpl: Copy + private::Sealed {
    /// # Safety
    ///
    /// As for [`Atomic::from_ptr`], for the duration of the call.
    unsafe fn load_acquire(ptr: *mut Self) -> Self;
    /// # Safety
    ///
    /// As for [`Atomic::from_ptr`], for the duration of the call.
    unsafe fn store_release(ptr: *mut Self, v: Self);
    /// # Safety
    ///
    /// As for [`Atomic::from_ptr`], for the duration of the call.
    unsafe fn xchg(ptr: *mut Self, v: Self, order: OrderingType) -> Self;
    /// # Safety
    ///
    /// As for [`Atomic::from_ptr`], for the duration of the call.
    unsafe fn cmpxchg(ptr: *mut Self, old: &mut Self, new: Self, order: OrderingType) -> bool;
}

/// An integer that C has atomic additions for.
#[doc(hidden)]
pub trait AtomicAddImpl: AtomicImpl {
    /// # Safety
    ///
    /// As for [`Atomic::from_ptr`], for the duration of the call.
    unsafe fn fetch_add(ptr: *mut Self, v: Self, order: OrderingType) -> Self;

    /// Returns the additive inverse, which wraps.
    fn negated(self) -> Self;
}

macro_rules! by_order {
    ($order:ident, $relaxed:ident, $acquire:ident, $release:ident, $full:ident $args:tt) => {
        // SAFETY: By the contract of the trait's function, the pointer is valid and aligned, and
        // the variable is accessed atomically only. C's function needs no more.
        unsafe {
            match $order {
                OrderingType::Relaxed => bindings::$relaxed $args,
                OrderingType::Acquire => bindings::$acquire $args,
                OrderingType::Release => bindings::$release $args,
                OrderingType::Full => bindings::$full $args,
            }
        }
    };
}

impl private::Sealed for i8 {}

impl AtomicImpl for i8 {
    #[inline]
    unsafe fn load_acquire(ptr: *mut Self) -> Self {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_i8_load_acquire(ptr) }
    }

    #[inline]
    unsafe fn store_release(ptr: *mut Self, v: Self) {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_i8_store_release(ptr, v) };
    }

    #[inline]
    unsafe fn xchg(ptr: *mut Self, v: Self, order: OrderingType) -> Self {
        by_order!(
            order,
            atomic_i8_xchg_relaxed,
            atomic_i8_xchg_acquire,
            atomic_i8_xchg_release,
            atomic_i8_xchg(ptr, v)
        )
    }

    #[inline]
    unsafe fn cmpxchg(ptr: *mut Self, old: &mut Self, new: Self, order: OrderingType) -> bool {
        by_order!(
            order,
            atomic_i8_try_cmpxchg_relaxed,
            atomic_i8_try_cmpxchg_acquire,
            atomic_i8_try_cmpxchg_release,
            atomic_i8_try_cmpxchg(ptr, old, new)
        )
    }
}

impl private::Sealed for i32 {}

impl AtomicImpl for i32 {
    #[inline]
    unsafe fn load_acquire(ptr: *mut Self) -> Self {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_i32_load_acquire(ptr) }
    }

    #[inline]
    unsafe fn store_release(ptr: *mut Self, v: Self) {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_i32_store_release(ptr, v) };
    }

    #[inline]
    unsafe fn xchg(ptr: *mut Self, v: Self, order: OrderingType) -> Self {
        by_order!(
            order,
            atomic_i32_xchg_relaxed,
            atomic_i32_xchg_acquire,
            atomic_i32_xchg_release,
            atomic_i32_xchg(ptr, v)
        )
    }

    #[inline]
    unsafe fn cmpxchg(ptr: *mut Self, old: &mut Self, new: Self, order: OrderingType) -> bool {
        by_order!(
            order,
            atomic_i32_try_cmpxchg_relaxed,
            atomic_i32_try_cmpxchg_acquire,
            atomic_i32_try_cmpxchg_release,
            atomic_i32_try_cmpxchg(ptr, old, new)
        )
    }
}

impl private::Sealed for i64 {}

impl AtomicImpl for i64 {
    #[inline]
    unsafe fn load_acquire(ptr: *mut Self) -> Self {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_i64_load_acquire(ptr) }
    }

    #[inline]
    unsafe fn store_release(ptr: *mut Self, v: Self) {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_i64_store_release(ptr, v) };
    }

    #[inline]
    unsafe fn xchg(ptr: *mut Self, v: Self, order: OrderingType) -> Self {
        by_order!(
            order,
            atomic_i64_xchg_relaxed,
            atomic_i64_xchg_acquire,
            atomic_i64_xchg_release,
            atomic_i64_xchg(ptr, v)
        )
    }

    #[inline]
    unsafe fn cmpxchg(ptr: *mut Self, old: &mut Self, new: Self, order: OrderingType) -> bool {
        by_order!(
            order,
            atomic_i64_try_cmpxchg_relaxed,
            atomic_i64_try_cmpxchg_acquire,
            atomic_i64_try_cmpxchg_release,
            atomic_i64_try_cmpxchg(ptr, old, new)
        )
    }
}

impl private::Sealed for *const c_void {}

impl AtomicImpl for *const c_void {
    #[inline]
    unsafe fn load_acquire(ptr: *mut Self) -> Self {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_ptr_load_acquire(ptr) }
    }

    #[inline]
    unsafe fn store_release(ptr: *mut Self, v: Self) {
        // SAFETY: `ptr` is valid and aligned by the contract of the function.
        unsafe { bindings::atomic_ptr_store_release(ptr, v) };
    }

    #[inline]
    unsafe fn xchg(ptr: *mut Self, v: Self, order: OrderingType) -> Self {
        by_order!(
            order,
            atomic_ptr_xchg_relaxed,
            atomic_ptr_xchg_acquire,
            atomic_ptr_xchg_release,
            atomic_ptr_xchg(ptr, v)
        )
    }

    #[inline]
    unsafe fn cmpxchg(ptr: *mut Self, old: &mut Self, new: Self, order: OrderingType) -> bool {
        by_order!(
            order,
            atomic_ptr_try_cmpxchg_relaxed,
            atomic_ptr_try_cmpxchg_acquire,
            atomic_ptr_try_cmpxchg_release,
            atomic_ptr_try_cmpxchg(ptr, old, new)
        )
    }
}

impl AtomicAddImpl for i32 {
    #[inline]
    unsafe fn fetch_add(ptr: *mut Self, v: Self, order: OrderingType) -> Self {
        by_order!(
            order,
            atomic_i32_fetch_add_relaxed,
            atomic_i32_fetch_add_acquire,
            atomic_i32_fetch_add_release,
            atomic_i32_fetch_add(ptr, v)
        )
    }

    #[inline]
    fn negated(self) -> Self {
        self.wrapping_neg()
    }
}

impl AtomicAddImpl for i64 {
    #[inline]
    unsafe fn fetch_add(ptr: *mut Self, v: Self, order: OrderingType) -> Self {
        by_order!(
            order,
            atomic_i64_fetch_add_relaxed,
            atomic_i64_fetch_add_acquire,
            atomic_i64_fetch_add_release,
            atomic_i64_fetch_add(ptr, v)
        )
    }

    #[inline]
    fn negated(self) -> Self {
        self.wrapping_neg()
    }
}

/// A type of which an [`Atomic`] can be made.
///
/// # Safety
///
/// - [`Repr`](Self::Repr) has the size and the alignment of `Self`.
/// - Each value of `Self` is a valid value of `Repr`. Each `Repr` that was made of a `Self` is a
///   valid value of `Self`.
pub unsafe trait AtomicType: Sized + Copy {
    /// The type that C's functions take.
    type Repr: AtomicImpl;
}

/// A type that a `Rhs` can be added to atomically.
///
/// # Safety
///
/// Each sum, which wraps, is a valid value of `Self`.
pub unsafe trait AtomicAdd<Rhs = Self>: AtomicType {
    /// Converts what is added.
    fn rhs_into_delta(rhs: Rhs) -> Self::Repr;
}

macro_rules! impl_atomic_type {
    ($($type:ty: $repr:ty),*) => {
        $(
            // SAFETY: Both are of one size and alignment. Integers have no invalid values; a `bool`
            // is 0 or 1, and no arithmetic is done to it.
            unsafe impl AtomicType for $type {
                type Repr = $repr;
            }
        )*
    };
}

impl_atomic_type!(bool: i8, i8: i8, i32: i32, u32: i32, i64: i64, u64: i64);

#[cfg(CONFIG_64BIT)]
impl_atomic_type!(isize: i64, usize: i64);
#[cfg(not(CONFIG_64BIT))]
impl_atomic_type!(isize: i32, usize: i32);

// SAFETY: All pointers to sized types have one size and alignment.
unsafe impl<T: Sized> AtomicType for *mut T {
    type Repr = *const c_void;
}

// SAFETY: All pointers to sized types have one size and alignment.
unsafe impl<T: Sized> AtomicType for *const T {
    type Repr = *const c_void;
}

macro_rules! impl_atomic_add {
    ($($type:ty),*) => {
        $(
            // SAFETY: Integers have no invalid values.
            unsafe impl AtomicAdd for $type {
                #[inline]
                fn rhs_into_delta(rhs: Self) -> Self::Repr {
                    rhs as Self::Repr
                }
            }
        )*
    };
}

impl_atomic_add!(i32, u32, i64, u64, isize, usize);

/// An atomic variable.
///
/// # Invariants
///
/// The value is a valid `T`. All accesses to it are atomic, or do not race with those through a
/// `&Atomic`.
///
/// # Examples
///
/// ```
/// use kernel::sync::atomic::{Acquire, Atomic, Full, Relaxed, Release};
///
/// let flag = Atomic::new(false);
/// flag.store(true, Release);
/// assert!(flag.load(Acquire));
/// assert_eq!(flag.cmpxchg(false, true, Full), Err(true));
///
/// let count = Atomic::new(1u64);
/// assert_eq!(count.fetch_add(2, Relaxed), 1);
/// count.add(u64::MAX, Relaxed);
/// assert_eq!(count.fetch_sub(1, Full), 2);
/// assert_eq!(count.xchg(7, Full), 1);
/// assert_eq!(count.load(Relaxed), 7);
///
/// // A pointer is published after what it points to.
/// let value = 5;
/// let pointer = Atomic::new(core::ptr::null::<i32>());
/// assert!(pointer.xchg(&value, Release).is_null());
/// assert_eq!(pointer.load(Acquire), core::ptr::from_ref(&value));
/// # let null = core::ptr::null();
/// # assert_eq!(pointer.cmpxchg(null, null, Acquire), Err(core::ptr::from_ref(&value)));
/// # assert!(flag.xchg(false, Full) && !flag.load(Relaxed));
/// # assert_eq!(flag.cmpxchg(false, true, Relaxed), Ok(false));
/// # let signed = Atomic::new(i32::MAX);
/// # assert_eq!(signed.fetch_add(1, Acquire), i32::MAX);
/// # assert_eq!(signed.fetch_sub(1, Release), i32::MIN);
/// # assert_eq!(signed.load(Acquire), i32::MAX);
/// ```
#[repr(transparent)]
pub struct Atomic<T: AtomicType>(UnsafeCell<T>);

// SAFETY: Each operation with `&self` is atomic, and values are copied from one thread to another.
unsafe impl<T: AtomicType + Send> Sync for Atomic<T> {}

impl<T: AtomicType> Atomic<T> {
    /// Creates an atomic variable.
    #[inline]
    pub const fn new(v: T) -> Self {
        const { assert!(size_of::<T>() == size_of::<T::Repr>()) };
        const { assert!(align_of::<T>() == align_of::<T::Repr>()) };

        Self(UnsafeCell::new(v))
    }

    /// Creates a reference to a variable that C code accesses as well.
    ///
    /// # Safety
    ///
    /// - `ptr` must be aligned, and valid for reads and writes for the duration of `'a`.
    /// - For the duration of `'a`, `*ptr` must hold a valid `T`, also after a store by other code.
    ///   All other accesses to it must be atomic, or must not race with those through the
    ///   reference.
    #[inline]
    pub unsafe fn from_ptr<'a>(ptr: *mut T) -> &'a Self {
        // CAST: `Self` is transparent around `T`.
        let ptr = ptr.cast();
        // SAFETY: The caller guarantees that the pointer is valid for the duration of `'a`.
        // INVARIANT: The caller guarantees the value and the other accesses.
        unsafe { &*ptr }
    }

    /// Returns a pointer to the value.
    #[inline]
    pub const fn as_ptr(&self) -> *mut T {
        self.0.get()
    }

    /// Borrows the value of a variable that nothing else accesses.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    #[inline]
    fn repr_ptr(&self) -> *mut T::Repr {
        self.as_ptr().cast()
    }

    #[inline]
    fn into_repr(v: T) -> T::Repr {
        // SAFETY: A `T` is a valid `Repr` of the same size, by the contract of `AtomicType`.
        unsafe { core::ptr::from_ref(&v).cast::<T::Repr>().read() }
    }

    /// # Safety
    ///
    /// `v` must be a valid `T`.
    #[inline]
    unsafe fn from_repr(v: T::Repr) -> T {
        // SAFETY: Both have the same size, and the caller guarantees that the value is valid.
        unsafe { core::ptr::from_ref(&v).cast::<T>().read() }
    }

    /// Reads the value.
    #[doc(alias("atomic_read", "READ_ONCE", "smp_load_acquire"))]
    #[inline]
    pub fn load<O: AcquireOrRelaxed>(&self, _: O) -> T {
        // SAFETY: `self` is borrowed, so the pointer is valid. A volatile read of a `T::Repr`,
        // which is one machine word, is `READ_ONCE()`. The value was stored as a `T`.
        unsafe {
            match O::TYPE {
                OrderingType::Relaxed => Self::from_repr(self.repr_ptr().read_volatile()),
                _ => Self::from_repr(T::Repr::load_acquire(self.repr_ptr())),
            }
        }
    }

    /// Writes the value.
    #[doc(alias("atomic_set", "WRITE_ONCE", "smp_store_release"))]
    #[inline]
    pub fn store<O: ReleaseOrRelaxed>(&self, v: T, _: O) {
        // SAFETY: `self` is borrowed, so the pointer is valid. A volatile write of a
        // `T::Repr`, which is one machine word, is `WRITE_ONCE()`.
        unsafe {
            match O::TYPE {
                OrderingType::Relaxed => self.repr_ptr().write_volatile(Self::into_repr(v)),
                _ => T::Repr::store_release(self.repr_ptr(), Self::into_repr(v)),
            }
        }
    }

    /// Writes the value and returns the previous one.
    #[doc(alias("atomic_xchg", "swap"))]
    #[inline]
    pub fn xchg<O: Ordering>(&self, v: T, _: O) -> T {
        // SAFETY: `self` is borrowed, so the pointer is valid. The value was stored as a `T`.
        unsafe { Self::from_repr(T::Repr::xchg(self.repr_ptr(), Self::into_repr(v), O::TYPE)) }
    }

    /// Writes `new` if the value is `old`, and returns the previous value: `Ok` if it was written.
    ///
    /// A comparison that fails is [`Relaxed`].
    #[doc(alias("atomic_cmpxchg", "compare_exchange"))]
    #[inline(always)]
    pub fn cmpxchg<O: Ordering>(&self, old: T, new: T, _: O) -> Result<T, T> {
        let mut seen = Self::into_repr(old);
        // SAFETY: `self` is borrowed, so the pointer is valid.
        let written =
            unsafe { T::Repr::cmpxchg(self.repr_ptr(), &mut seen, Self::into_repr(new), O::TYPE) };

        if written {
            Ok(old)
        } else {
            // SAFETY: The value was stored as a `T`.
            Err(unsafe { Self::from_repr(seen) })
        }
    }
}

impl<T: AtomicType> Atomic<T>
where
    T::Repr: AtomicAddImpl,
{
    /// Adds `v`. The sum wraps.
    #[doc(alias = "atomic_add")]
    #[inline]
    pub fn add<Rhs>(&self, v: Rhs, order: Relaxed)
    where
        T: AtomicAdd<Rhs>,
    {
        self.fetch_add(v, order);
    }

    /// Adds `v` and returns the previous value. The sum wraps.
    #[doc(alias = "atomic_fetch_add")]
    #[inline]
    pub fn fetch_add<Rhs, O: Ordering>(&self, v: Rhs, _: O) -> T
    where
        T: AtomicAdd<Rhs>,
    {
        let v = T::rhs_into_delta(v);
        // SAFETY: `self` is borrowed, so the pointer is valid. The value was stored as a `T`, or is
        // a sum, which is a valid `T` by the contract of `AtomicAdd`.
        unsafe { Self::from_repr(T::Repr::fetch_add(self.repr_ptr(), v, O::TYPE)) }
    }

    /// Subtracts `v` and returns the previous value. The difference wraps.
    #[doc(alias = "atomic_fetch_sub")]
    #[inline]
    pub fn fetch_sub<Rhs, O: Ordering>(&self, v: Rhs, _: O) -> T
    where
        T: AtomicAdd<Rhs>,
    {
        let v = T::rhs_into_delta(v).negated();
        // SAFETY: `self` is borrowed, so the pointer is valid. The value was stored as a `T`, or is
        // a difference, which is a valid `T` by the contract of `AtomicAdd`.
        unsafe { Self::from_repr(T::Repr::fetch_add(self.repr_ptr(), v, O::TYPE)) }
    }
}

/// Reads a variable that other code may write at the same time.
///
/// # Safety
///
/// - `ptr` must be aligned, and valid for reads. `*ptr` must hold a valid `T`, also after a store
///   by other code.
/// - All concurrent writes to `*ptr` must be atomic: `WRITE_ONCE()`, or a store of the whole word.
#[doc(alias("READ_ONCE", "smp_load_acquire"))]
#[inline(always)]
pub unsafe fn atomic_load<T: AtomicType, O: AcquireOrRelaxed>(ptr: *mut T, order: O) -> T {
    // SAFETY: The caller guarantees that the pointer is aligned and valid for reads, that the value
    // is a `T`, and that concurrent writes are atomic. `from_ptr()` also asks for validity for
    // writes: the reference is used for `load()` only, which does not write.
    unsafe { Atomic::from_ptr(ptr) }.load(order)
}
