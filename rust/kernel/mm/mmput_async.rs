// SPDX-License-Identifier: GPL-2.0

//! An address space whose count may be dropped in atomic context.
//!
//! `mmput_async()` exists with `CONFIG_MMU` only, and so does this file.

use crate::{
    bindings,
    c_struct::impl_refcounted,
    mm::MmWithUser,
    sync::aref::ARef,
};
use core::{
    ops::Deref,
    ptr::NonNull, //
};

/// An address space that is alive, and whose last user may leave in atomic context.
///
/// This is [`MmWithUser`] but for one thing: dropping an `ARef` of it calls `mmput_async()`, which
/// leaves the taking down to a workqueue and does not sleep.
///
/// # Invariants
///
/// `mm_users` is not zero for as long as a reference exists.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{MmWithUser, MmWithUserAsync}, new_spinlock, sync::aref::ARef};
/// # // SAFETY: No `current!()` is in use yet.
/// # unsafe { kernel::mm::kunit::user_page() }?;
///
/// let mm: ARef<MmWithUser> = current!().mm().ok_or(EINVAL)?.into();
/// let mm: ARef<MmWithUserAsync> = MmWithUser::into_mmput_async(mm);
///
/// let slot = KBox::pin_init(new_spinlock!(Some(mm)), GFP_KERNEL)?;
/// // The count is dropped with the spinlock held.
/// *slot.lock() = None;
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
pub struct MmWithUserAsync {
    mm: MmWithUser,
}

// SAFETY: What a thread can do with an `MmWithUserAsync` that it was sent is to drop its count, and
// `mmput_async()` may be called by any thread.
unsafe impl Send for MmWithUserAsync {}
// SAFETY: A `&MmWithUserAsync` gives a `&MmWithUser` and the atomic count, and no more.
unsafe impl Sync for MmWithUserAsync {}

// SAFETY: As for `MmWithUser`: `mm_users` is not zero while an `MmWithUserAsync` exists, and each user
// keeps the `mm_struct` allocated. `mmput_async()` releases one user.
impl_refcounted!(unsafe MmWithUserAsync: mmget, mmput_async);

impl Deref for MmWithUserAsync {
    type Target = MmWithUser;

    #[inline]
    fn deref(&self) -> &MmWithUser {
        &self.mm
    }
}

impl MmWithUser {
    /// Turns a count into one that may be dropped in atomic context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::MmWithUser;
    /// # // SAFETY: No `current!()` is in use yet.
    /// # unsafe { kernel::mm::kunit::user_page() }?;
    ///
    /// let mm = MmWithUser::into_mmput_async(current!().mm().ok_or(EINVAL)?.into());
    /// assert!(mm.mmget_not_zero().is_some());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "mmput_async")]
    #[inline]
    pub fn into_mmput_async(me: ARef<MmWithUser>) -> ARef<MmWithUserAsync> {
        // SAFETY: Both types own a count of `mm_users`, and it moves from one to the other.
        // CAST: `MmWithUserAsync` is transparent around `MmWithUser`.
        unsafe { ARef::from_raw(ARef::into_raw(me).cast()) }
    }
}
