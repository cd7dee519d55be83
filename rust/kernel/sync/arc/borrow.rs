// SPDX-License-Identifier: GPL-2.0

//! A reference that lasts as long as an [`ArcBorrow`].

use super::ArcBorrow;

impl<'a, T: ?Sized> ArcBorrow<'a, T> {
    /// Returns a reference with the lifetime of the borrow. That of a dereference ends with `self`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::sync::{Arc, ArcBorrow};
    ///
    /// fn first<'a>(pair: ArcBorrow<'a, [u8; 2]>) -> &'a u8 {
    ///     &pair.get_ref()[0]
    /// }
    ///
    /// let pair = Arc::new([7, 8], GFP_KERNEL)?;
    /// assert_eq!(first(pair.as_arc_borrow()), &7);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn get_ref(self) -> &'a T {
        // SAFETY: The refcount is not zero for the duration of `'a`, and there is no mutable
        // reference: what creates a borrow requires that. Borrows can be copied, so it does not end
        // with `self`.
        unsafe { &self.inner.as_ref().data }
    }
}
