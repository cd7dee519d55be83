// SPDX-License-Identifier: GPL-2.0

//! Open files.
//!
//! Of mainline's module, this has what the file operations of a driver get to see.
//!
//! C header: [`include/linux/file.h`](srctree/include/linux/file.h)

use crate::{
    bindings,
    cred::Credential,
    sync::aref::AlwaysRefCounted,
    types::Opaque, //
};
use core::ptr::{
    self,
    NonNull, //
};

/// The flags that [`File::flags`] may hold.
///
/// The names and values are those of `open()`.
pub mod flags {
    use crate::bindings;

    /// The bits that hold the access mode.
    pub const O_ACCMODE: u32 = bindings::O_ACCMODE;
    /// For reading.
    pub const O_RDONLY: u32 = bindings::O_RDONLY;
    /// For writing.
    pub const O_WRONLY: u32 = bindings::O_WRONLY;
    /// For both.
    pub const O_RDWR: u32 = bindings::O_RDWR;
    /// Return an error where waiting would be needed.
    pub const O_NONBLOCK: u32 = bindings::O_NONBLOCK;
}

/// An open file, which any thread may use.
///
/// This is C's `struct file`. An `ARef<File>` owns a count on it; the file is released when the
/// last one goes, a little later and in process context, so dropping it is allowed in any context.
///
/// # Invariants
///
/// The `file` stays open for as long as a reference to it exists, because somebody owns a count,
/// and no `fdget_pos()` that goes without the lock of the file position is open on it.
#[doc(alias = "file")]
#[repr(transparent)]
pub struct File {
    inner: Opaque<bindings::file>,
}

// SAFETY: What a thread can do with a `File` that it was sent is to drop its count, and `fput()`
// may be called by any thread.
unsafe impl Send for File {}

// SAFETY: The methods read fields that do not change (`f_cred`), or read with a single access one
// that does (`f_flags`). By the type invariant no thread uses the file position without its lock.
unsafe impl Sync for File {}

impl File {
    /// Borrows a file that C code points to.
    ///
    /// # Safety
    ///
    /// `ptr` points to a `file` with a count that lasts for the whole of `'a`, and if there is an
    /// `fdget_pos()` open on it that did not take the `f_pos_lock`, it is on this thread and the
    /// reference does not leave this thread.
    #[inline]
    pub unsafe fn from_raw_file<'a>(ptr: *const bindings::file) -> &'a File {
        // SAFETY: The caller vouches for the type invariant. CAST: `Self` is transparent around it.
        unsafe { &*ptr.cast() }
    }

    /// Returns the C side's pointer to this file.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::File;
    ///
    /// fn same(file: &File) -> &File {
    ///     // SAFETY: The file is borrowed for as long as the result.
    ///     unsafe { File::from_raw_file(file.as_ptr()) }
    /// }
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::file {
        self.inner.get()
    }

    /// Returns the credentials of who opened the file. Any context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::File, task::Kuid};
    ///
    /// fn opened_by_caller(file: &File) -> bool {
    ///     file.cred().euid() == Kuid::current_euid()
    /// }
    /// ```
    #[inline]
    pub fn cred(&self) -> &Credential {
        // SAFETY: `f_cred` is set when the file is allocated, stays, and holds a count until the
        // file is freed, which by the type invariant is not before the end of this borrow.
        unsafe { Credential::from_ptr((*self.as_ptr()).f_cred) }
    }

    /// Returns the flags of `open()`, some of which `fcntl()` can change; see [`flags`]. Any
    /// context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::{file::flags, File};
    ///
    /// fn may_wait(file: &File) -> bool {
    ///     file.flags() & flags::O_NONBLOCK == 0
    /// }
    /// ```
    #[inline]
    pub fn flags(&self) -> u32 {
        // SAFETY: The file is allocated by the type invariant. `setfl()` may store to the field
        // meanwhile, so it is read once, as C code reads it.
        unsafe { ptr::addr_of!((*self.as_ptr()).f_flags).read_volatile() }
    }
}

// SAFETY: `fput()` releases the file when the last count is gone, and by the type invariant there
// is no `File` without one.
unsafe impl AlwaysRefCounted for File {
    #[inline]
    fn inc_ref(&self) {
        // SAFETY: A reference exists, so the count is not zero.
        unsafe { bindings::get_file(self.as_ptr()) };
    }

    #[inline]
    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::fput(obj.cast().as_ptr()) };
    }
}
