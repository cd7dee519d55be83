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
    error::{
        code::EBADF,
        to_result,
        Error,
        Result, //
    },
    sync::aref::ARef,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};
use core::{
    fmt,
    mem::forget,
    ops::Deref,
    ptr::{
        self,
        NonNull, //
    },
};

/// The flags that [`LocalFile::flags`] may hold.
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
    /// Close the file descriptor at `execve()`. This belongs to the descriptor, not to the file.
    pub const O_CLOEXEC: u32 = bindings::O_CLOEXEC;
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
/// - If the `file` has `FMODE_ATOMIC_POS`, no `fdget_pos()` that did not take `f_pos_lock` is
///   active on it. ([`from_raw_file()`] permits one on the current thread. Its caller then
///   guarantees that the reference does not leave the thread.) Without that flag, `fdget_pos()`
///   never takes the lock, and nothing relies on it.
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
    /// - If the file has `FMODE_ATOMIC_POS`, and an `fdget_pos()` that did not take `f_pos_lock` is
    ///   active on it, that must be on this thread, and the returned reference must not leave this
    ///   thread.
    #[inline]
    pub unsafe fn from_raw_file<'a>(ptr: *const bindings::file) -> &'a File {
        // SAFETY: The caller guarantees the type invariants for the duration of `'a`.
        // CAST: `Self` is transparent around `bindings::file`.
        unsafe { &*ptr.cast() }
    }
}

impl Deref for File {
    type Target = LocalFile;

    #[inline]
    fn deref(&self) -> &LocalFile {
        // SAFETY: Both types are transparent around the same C type. A file that any thread may use
        // may be used by this one, and stays open for the duration of the borrow.
        unsafe { LocalFile::from_raw_file(self.inner.get()) }
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

/// An open file that only the current thread may use: there may be an `fdget_pos()` on it that did
/// not take `f_pos_lock`.
///
/// It wraps `struct file`. What is said of [`File`] applies, apart from other threads.
///
/// # Invariants
///
/// - For as long as a `&LocalFile` exists, its holder or the code that it was borrowed from holds a
///   reference, so the `file` stays open.
/// - If the `file` has `FMODE_ATOMIC_POS`, an `fdget_pos()` on it that did not take `f_pos_lock` is
///   on the current thread.
#[repr(transparent)]
pub struct LocalFile {
    inner: Opaque<bindings::file>,
}

// SAFETY: As for `File`.
#[cfg(CONFIG_64BIT)]
impl_refcounted!(unsafe LocalFile(file): get_file, fput);

// SAFETY: As for `File`.
#[cfg(not(CONFIG_64BIT))]
impl_refcounted!(unsafe LocalFile(file): get_file, fput, f_count);

impl LocalFile {
    /// Returns the file of the descriptor `fd` in the file descriptor table of the current task.
    ///
    /// C: `fget()`. Files that were opened with `O_PATH` are not returned.
    ///
    /// # Errors
    ///
    /// - `EBADF`: there is no such file, or the task is a kthread, or exits and has no files any
    ///   more.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::file::{flags, LocalFile};
    ///
    /// /// Takes the descriptor of a file that the caller can write.
    /// fn check(fd: u32) -> Result {
    ///     match LocalFile::fget(fd)?.flags() & flags::O_ACCMODE {
    ///         flags::O_RDONLY => Err(EBADF),
    ///         _ => Ok(()),
    ///     }
    /// }
    /// # assert_eq!(check(u32::MAX), Err(EBADF));
    /// ```
    #[inline]
    pub fn fget(fd: u32) -> Result<ARef<LocalFile>, BadFdError> {
        // SAFETY: `current` is valid, and only the task itself sets the field to null.
        if !unsafe { bindings::current_has_files() } {
            return Err(BadFdError);
        }
        // SAFETY: `fget()` accepts any descriptor, and the current task has a table of them.
        let file = NonNull::new(unsafe { bindings::fget(fd) }).ok_or(BadFdError)?;
        // SAFETY: This is the reference that `fget()` has taken.
        // INVARIANT: For a file with `FMODE_ATOMIC_POS`, `fdget_pos()` does without the lock only
        // if the file has one reference and no other task uses the descriptor table with it. It is
        // in that of this task, so such an `fdget_pos()` is on this thread.
        Ok(unsafe { ARef::from_raw(file.cast()) })
    }

    /// Creates a reference from a pointer to a `struct file`.
    ///
    /// # Safety
    ///
    /// - `ptr` must point to a `file` whose refcount is positive for the duration of `'a`.
    /// - If an `fdget_pos()` that did not take `f_pos_lock` is active on the file, it must be on
    ///   this thread.
    #[inline]
    pub unsafe fn from_raw_file<'a>(ptr: *const bindings::file) -> &'a LocalFile {
        // SAFETY: The caller guarantees the type invariants for the duration of `'a`.
        // CAST: `Self` is transparent around `bindings::file`.
        unsafe { &*ptr.cast() }
    }

    /// Converts to a file that any thread may use.
    ///
    /// # Safety
    ///
    /// No `fdget_pos()` of the current thread on this file may be active. `read()`, `write()`,
    /// `lseek()` and `getdents()` have one; `ioctl()`, `mmap()` and `poll()` have not.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{fs::file::{File, LocalFile}, sync::aref::ARef};
    ///
    /// /// Called by `ioctl()` of a driver.
    /// fn store(fd: u32, slot: &mut Option<ARef<File>>) -> Result {
    ///     let file = LocalFile::fget(fd)?;
    ///     // SAFETY: There is no `fdget_pos()` in an `ioctl()`.
    ///     *slot = Some(unsafe { LocalFile::assume_no_fdget_pos(file) });
    ///     Ok(())
    /// }
    /// # assert_eq!(store(u32::MAX, &mut None), Err(EBADF));
    /// ```
    #[inline]
    pub unsafe fn assume_no_fdget_pos(me: ARef<LocalFile>) -> ARef<File> {
        // SAFETY: Both types are transparent around the same C type, and the reference is passed
        // on.
        // INVARIANT: By the invariant of `LocalFile`, an `fdget_pos()` on another thread has taken
        // the lock. The caller guarantees that there is none on this thread.
        unsafe { ARef::from_raw(ARef::into_raw(me).cast()) }
    }

    /// Returns a pointer to the `struct file`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::fs::File;
    ///
    /// fn same(file: &File) -> &File {
    ///     // SAFETY: `file` is borrowed for the lifetime of the result, and any thread may use it.
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

/// A file descriptor of the current task that has no file yet.
///
/// Dropping it makes the descriptor available again.
///
/// # Invariants
///
/// `get_unused_fd_flags()` has returned `fd` to the current task, which has neither installed a
/// file nor released the descriptor.
///
/// # Examples
///
/// See [`anon_inode_getfile`](crate::anon_inode::anon_inode_getfile).
pub struct FileDescriptorReservation {
    fd: u32,
    // The descriptor is one of the current task.
    _not_send: NotThreadSafe,
}

impl FileDescriptorReservation {
    /// Reserves a file descriptor. Only [`flags::O_CLOEXEC`] of `flags` is used.
    ///
    /// # Errors
    ///
    /// - `EBADF`: the task is a kthread, or exits and has no files any more.
    /// - `EMFILE`: the process has reached its limit of open files.
    /// - `ENOMEM`: an allocation failed.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    #[inline]
    pub fn get_unused_fd_flags(flags: u32) -> Result<Self> {
        // SAFETY: `current` is valid, and only the task itself sets the field to null.
        if !unsafe { bindings::current_has_files() } {
            return Err(EBADF);
        }
        // SAFETY: The function accepts any flags, and the current task has a file descriptor table.
        let fd = unsafe { bindings::get_unused_fd_flags(flags) };
        to_result(fd)?;
        // INVARIANT: The descriptor is that of this call.
        Ok(Self {
            fd: fd as u32,
            _not_send: NotThreadSafe,
        })
    }

    /// Returns the file descriptor.
    #[inline]
    pub fn reserved_fd(&self) -> u32 {
        self.fd
    }

    /// Installs `file` at the descriptor. Other threads of the process can use and close it before
    /// this returns.
    ///
    /// A file whose `open()` has not returned is dropped instead, and the descriptor is released.
    /// So is one by which overlayfs maps another, which is not for userspace.
    #[inline]
    pub fn fd_install(self, file: ARef<File>) {
        // A file whose `open()` has not returned lacks the data that its operations expect, and a
        // file whose `open()` has failed also lacks an inode. C warns about a backing file, and
        // leaks it.
        //
        // SAFETY: The `ARef` keeps the file.
        if !unsafe { bindings::file_is_opened(file.as_ptr()) } {
            return;
        }
        // SAFETY: By the type invariants, the descriptor is reserved by the current task, and has
        // no file: the type cannot be sent to another one. `fd_install()` takes over the
        // reference, which is not dropped here. By the type invariants of `File`, no
        // `fdget_pos()` without `f_pos_lock` is active on it.
        unsafe { bindings::fd_install(self.fd, file.as_ptr()) };
        forget(self);
        forget(file);
    }
}

impl Drop for FileDescriptorReservation {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the descriptor is reserved by the current task, and has
        // no file. It has had a file descriptor table, and keeps one while it runs this code.
        unsafe { bindings::put_unused_fd(self.fd) };
    }
}

/// The error `EBADF`.
#[derive(Copy, Clone, Eq, PartialEq)]
pub struct BadFdError;

impl From<BadFdError> for Error {
    #[inline]
    fn from(_: BadFdError) -> Error {
        EBADF
    }
}

impl fmt::Debug for BadFdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EBADF")
    }
}
