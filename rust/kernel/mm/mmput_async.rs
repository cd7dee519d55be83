// SPDX-License-Identifier: GPL-2.0

//! Mainline's type of references to an address space that may be dropped in atomic context.
//!
//! `mmput_async()` exists only with `CONFIG_MMU`, and so does this file.

use crate::{
    c_struct::impl_refcounted,
    mm::MmWithUser,
    sync::aref::ARef, //
};
use core::ops::Deref;

/// An address space that has users, and whose reference may be dropped in atomic context.
///
/// Dropping an `ARef<MmWithUserAsync>` calls `mmput_async()`. If that was the last reference on
/// `mm_users`, it schedules a work item that runs `exit_mmap()`. It does not sleep.
///
/// In mainline, dropping an `ARef<MmWithUser>` calls `mmput()`, which may sleep. Here it calls
/// `mmput_async()` as well, so the two types are the same, and new code needs [`MmWithUser`] only.
/// This type is for code that is written for mainline, and for code that wants its own type to say
/// that the reference is dropped in atomic context.
///
/// # Invariants
///
/// `mm_users` is not zero for as long as a reference to the `MmWithUserAsync` exists.
///
/// # Examples
///
/// ```
/// use kernel::{
///     mm::{
///         MmWithUser,
///         MmWithUserAsync, //
///     },
///     new_spinlock,
///     sync::aref::ARef, //
/// };
///
/// # kernel::mm::kunit::with_user_mm(|mm, _| {
/// let mm: ARef<MmWithUserAsync> = MmWithUser::into_mmput_async(mm.into());
/// let slot = KBox::pin_init(new_spinlock!(Some(mm)), GFP_KERNEL)?;
///
/// // The reference is dropped while the spinlock is held.
/// *slot.lock() = None;
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct MmWithUserAsync {
    mm: MmWithUser,
}

// SAFETY: A thread that an `MmWithUserAsync` was sent to may only release its reference.
// `mmput_async()` decrements `mm_users` atomically and may be called by any thread.
unsafe impl Send for MmWithUserAsync {}
// SAFETY: A `&MmWithUserAsync` gives access to the `MmWithUser`, which is `Sync`, and to
// `mm_users`, which is atomic.
unsafe impl Sync for MmWithUserAsync {}

// SAFETY: `mm_users` is not zero while an `MmWithUserAsync` exists, by the type invariant. All
// users together hold one reference on `mm_count`, which keeps the `mm_struct` allocated.
// `mmput_async()` releases one reference on `mm_users`. Other Rust code that changes `mm_users` is
// `from_taken()`, which calls `saturate()`, and `MmWithUser`, whose implementation is the same.
impl_refcounted!(unsafe MmWithUserAsync(mm_struct): mmget, mmput_async, __bindgen_anon_1.mm_users);

impl Deref for MmWithUserAsync {
    type Target = MmWithUser;

    #[inline]
    fn deref(&self) -> &MmWithUser {
        &self.mm
    }
}

impl MmWithUser {
    /// Converts a reference into one that may be dropped in atomic context.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::MmWithUser;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// let mm = MmWithUser::into_mmput_async(mm.into());
    /// assert!(mm.mmget_not_zero().is_some());
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmput_async")]
    #[inline]
    pub fn into_mmput_async(me: ARef<MmWithUser>) -> ARef<MmWithUserAsync> {
        // CAST: `MmWithUserAsync` is transparent around `MmWithUser`.
        let mm = ARef::into_raw(me).cast();
        // INVARIANT: `mm_users` is not zero, as `me` held a reference.
        // SAFETY: Both types hold a reference on `mm_users`. It passes from one to the other.
        unsafe { ARef::from_raw(mm) }
    }
}
