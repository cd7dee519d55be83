// SPDX-License-Identifier: GPL-2.0

//! Open files.
//!
//! Of mainline's module, this one has the parts that the file operations of a driver use.
//!
//! C header: [`include/linux/file.h`](srctree/include/linux/file.h)

use crate::{
    bindings,
    c_struct::impl_refcounted,
    cred::Credential,
    types::Opaque, //
};
use core::ptr;

/// The flags that [`File::flags`] may hold.
///
/// They have the names and values of the flags of `open()`.
pub mod flags {
    use crate::bindings;

    /// The mask of the access mode.
    pub const O_ACCMODE: u32 = bindings::O_ACCMODE;
    /// Open for reading only.
    pub const O_RDONLY: u32 = bindings::O_RDONLY;
    /// Open for writing only.
    pub const O_WRONLY: u32 = bindings::O_WRONLY;
    /// Open for reading and writing.
    pub const O_RDWR: u32 = bindings::O_RDWR;
    /// Return an error instead of waiting.
    pub const O_NONBLOCK: u32 = bindings::O_NONBLOCK;
}

/// An open file that any thread may use.
///
/// It wraps `struct file`. An `ARef<File>` holds a reference. After the last reference is dropped,
/// `fput()` defers the release of the file to process context.
///
/// # Context
///
/// This applies to dropping an `ARef<File>`. Any context except NMI.
///
/// # Invariants
///
/// - For as long as a `&File` exists, its holder or the code that it was borrowed from holds a
///   reference, so the `file` stays open.
/// - No `fdget_pos()` that did not take `f_pos_lock` is active on the `file`. ([`from_raw_file()`]
///   permits one on the current thread. Its caller then guarantees that the reference does not
///   leave the thread.)
///
/// [`from_raw_file()`]: File::from_raw_file
#[doc(alias = "file")]
#[repr(transparent)]
pub struct File {
    inner: Opaque<bindings::file>,
}

// SAFETY: A thread that receives an owned `File` can only drop its reference, and any thread may
// call `fput()`.
unsafe impl Send for File {}

// SAFETY: The methods read `f_cred`, which does not change, and `f_flags`, which may change and is
// read with a single volatile access. By the type invariant, no other thread uses the file position
// without `f_pos_lock`.
unsafe impl Sync for File {}

impl File {
    /// Creates a reference from a pointer to a `struct file`.
    ///
    /// # Safety
    ///
    /// - `ptr` must point to a `file` whose refcount is positive for the duration of `'a`.
    /// - If an `fdget_pos()` that did not take `f_pos_lock` is active on the file, it must be on
    ///   this thread, and the returned reference must not leave this thread.
    #[inline]
    pub unsafe fn from_raw_file<'a>(ptr: *const bindings::file) -> &'a File {
        // SAFETY: The caller guarantees the type invariants for the duration of `'a`.
        // CAST: `Self` is transparent around `bindings::file`.
        unsafe { &*ptr.cast() }
    }

    /// Returns a pointer to the `struct file`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::File;
    ///
    /// fn same(file: &File) -> &File {
    ///     // SAFETY: `file` is borrowed for the lifetime of the result.
    ///     unsafe { File::from_raw_file(file.as_ptr()) }
    /// }
    /// ```
    #[inline]
    pub fn as_ptr(&self) -> *mut bindings::file {
        self.inner.get()
    }

    /// Returns the credentials of the task that opened the file.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: `f_cred` is set when the file is allocated and does not change afterwards. The
        // file holds a reference to the credentials until it is freed. By the type invariant, it is
        // not freed before the end of this borrow.
        unsafe { Credential::from_ptr((*self.as_ptr()).f_cred) }
    }

    /// Returns the flags of `open()`: see [`flags`]. `fcntl()` can change some of them.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
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
        // SAFETY: By the type invariant, the file is allocated. `setfl()` may write `f_flags`
        // concurrently, so it is read once with a volatile access, as C code reads it.
        unsafe { ptr::addr_of!((*self.as_ptr()).f_flags).read_volatile() }
    }
}

// SAFETY: `get_file()` takes a reference, and `fput()` drops one and releases the file after the
// last. By the type invariant, the refcount is positive while a `&File` exists. `f_count` has 64
// bits: it takes centuries to wrap.
#[cfg(CONFIG_64BIT)]
impl_refcounted!(unsafe File(file): get_file, fput);

// SAFETY: The functions are those above, but `f_count` has 32 bits: an `atomic_long_t` is an
// `atomic_t` there. No other Rust code changes it.
#[cfg(not(CONFIG_64BIT))]
impl_refcounted!(unsafe File(file): get_file, fput, f_count);
