// SPDX-License-Identifier: GPL-2.0

//! Files of the anonymous inode. A driver creates an open file without a path, and gives it to a
//! process as a file descriptor.
//!
//! All of them share one inode. `/proc/<pid>/fd` shows `anon_inode:` and the name of the file.
//!
//! C header: [`include/linux/anon_inodes.h`](srctree/include/linux/anon_inodes.h)

use crate::{
    bindings,
    error::from_err_ptr,
    file_operations::{
        forward_file_operations,
        forward_read_write,
        Calls,
        FileOperations,
        ReadWrite, //
    },
    fs::{
        file::LocalFile,
        File, //
    },
    mm::{
        virt::VmaNew,
        vma_desc::VmaDesc, //
    },
    module_going,
    prelude::*,
    sync::aref::ARef,
    task::FilePollTable,
    types::ForeignOwnable,
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    },
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    },
};

/// The operations of a file that [`anon_inode_getfile`] creates.
///
/// The implementing type is the data of the file. It is dropped after the last reference to the
/// file is dropped. [`impl_has_anon_file_ops!`](crate::impl_has_anon_file_ops) completes the
/// implementation.
///
/// # Context
///
/// Process context; may sleep.
#[vtable]
pub trait AnonFile: HasAnonFileOps + Sized + 'static {
    /// The pointer type that owns the data, usually `KBox<Self>` or `Arc<Self>`.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// Reads from the file: see [`CharDevice::read`].
    ///
    /// `read()`, `readv()` and io_uring call this. `pread()` fails with `ESPIPE`. A request of
    /// io_uring may have any offset that `rw_verify_area()` accepts.
    ///
    /// [`CharDevice::read`]: crate::cdev::CharDevice::read
    fn read(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _out: &mut UserSliceWriter,
        _offset: &mut i64,
    ) -> Result<usize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the file: see [`read`](Self::read).
    fn write(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _input: &mut UserSliceReader,
        _offset: &mut i64,
    ) -> Result<usize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Returns the events of the file when it is polled: see [`CharDevice::poll`].
    ///
    /// [`CharDevice::poll`]: crate::cdev::CharDevice::poll
    fn poll<'a>(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _table: &mut FilePollTable<'a>,
    ) -> u32 {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Sets up a VMA when userspace maps the file: see [`CharDevice::mmap`].
    ///
    /// [`CharDevice::mmap`]: crate::cdev::CharDevice::mmap
    fn mmap(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _vma: &VmaNew,
    ) -> Result {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Describes the VMA to create when userspace maps the file: see
    /// [`CharDevice::mmap_prepare`]. A file has either this or [`mmap`](Self::mmap).
    ///
    /// [`CharDevice::mmap_prepare`]: crate::cdev::CharDevice::mmap_prepare
    fn mmap_prepare<'a>(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _desc: &mut VmaDesc<'a>,
    ) -> Result {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Handles an `ioctl()`. The functions of [`kernel::ioctl`](crate::ioctl) decode `cmd`.
    fn ioctl(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Handles an `ioctl()` of a 32-bit process: see [`CharDevice::compat_ioctl`].
    ///
    /// [`CharDevice::compat_ioctl`]: crate::cdev::CharDevice::compat_ioctl
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(
        _data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }
}

/// A type with its own `file_operations`.
///
/// # Safety
///
/// - [`table`](Self::table) must always return the same table. It must be a `static` of the module,
///   or of the built-in code, that contains the functions of the implementation: the module is
///   found by the address of the table.
/// - [`AnonFileOps::new`] must have made the table for `Self`, and no other type may return it:
///   [`downcast`] compares its address.
pub unsafe trait HasAnonFileOps {
    /// Returns the table.
    fn table() -> &'static AnonFileOps;
}

/// Implements [`HasAnonFileOps`] for a type that implements [`AnonFile`].
///
/// # Examples
///
/// See [`anon_inode_getfile`](crate::anon_inode::anon_inode_getfile).
#[macro_export]
macro_rules! impl_has_anon_file_ops {
    ($type:ty) => {
        // SAFETY: `table()` returns a `static` that `AnonFileOps::new()` makes for `$type`. Each
        // use of the macro defines its own `static`. A type can implement the trait only once, so
        // no two types share a table.
        unsafe impl $crate::anon_inode::HasAnonFileOps for $type {
            #[inline]
            fn table() -> &'static $crate::anon_inode::AnonFileOps {
                static TABLE: $crate::anon_inode::AnonFileOps =
                    $crate::anon_inode::AnonFileOps::new::<$type>();
                &TABLE
            }
        }
    };
}

/// The `file_operations` of one type of data.
#[repr(transparent)]
pub struct AnonFileOps(bindings::file_operations);

// SAFETY: Rust code writes no field after `new()`, and no method returns a mutable pointer or
// reference. C code only reads the table, as `file->f_op` points to `const`. The fields are
// numbers, pointers to functions, which any thread may call, and `owner`, whose refcount is atomic.
unsafe impl Sync for AnonFileOps {}

impl AnonFileOps {
    /// Creates the table of `T`.
    pub const fn new<T: AnonFile>() -> Self {
        Self(Calls::<Operations<T>>::WITH_READ_WRITE)
    }
}

/// Creates an open file of the anonymous inode.
///
/// C: `anon_inode_getfile()`. The file owns `data`, which is dropped on an error. `/proc/<pid>/fd`
/// shows `name`, which need not be unique. Only the access mode and [`O_NONBLOCK`] of `flags` are
/// used: a file that is created with `O_RDONLY` cannot be written. `fd_install()` of a
/// `FileDescriptorReservation` puts the file into the file descriptor table of the current task.
///
/// A file holds a reference to the module of its operations. That does not keep a module whose
/// `init()` fails, so no file is created in `init()`.
///
/// [`O_NONBLOCK`]: crate::fs::file::flags::O_NONBLOCK
///
/// # Errors
///
/// - `EAGAIN`: the module is in its `init()`.
/// - `EINVAL`: `OwnerModule` of `T` is not the module that contains the code, or the name has more
///   than 52 bytes, with which `readlink()` of the entry in `/proc` would fail.
/// - `ENFILE`: there are too many open files.
/// - `ENOENT`: the module is being unloaded.
/// - `ENOMEM`: an allocation failed.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// An ioctl returns a file descriptor. Another one, of any file, takes such a file descriptor as
/// its argument.
///
/// ```
/// use kernel::{
///     anon_inode::{anon_inode_getfile, downcast, AnonFile},
///     c_str,
///     fs::file::{flags, File, FileDescriptorReservation, LocalFile},
///     impl_has_anon_file_ops,
///     sync::{Arc, ArcBorrow}, //
/// };
///
/// struct Buffer {
///     size: usize,
/// }
///
/// impl_has_anon_file_ops!(Buffer);
///
/// #[vtable]
/// impl AnonFile for Buffer {
///     type Ptr = Arc<Self>;
///
///     fn ioctl(me: ArcBorrow<'_, Self>, _: &File, _cmd: u32, _arg: usize) -> Result<isize> {
///         Ok(me.size as isize)
///     }
/// }
///
/// fn export(buffer: Arc<Buffer>) -> Result<isize> {
///     let fd = FileDescriptorReservation::get_unused_fd_flags(flags::O_CLOEXEC)?;
///     let file = anon_inode_getfile::<Buffer>(c_str!("[buffer]"), buffer, flags::O_RDWR)?;
///     let number = fd.reserved_fd();
///     fd.fd_install(file);
///     Ok(number as isize)
/// }
///
/// fn import(fd: u32) -> Result<Arc<Buffer>> {
///     let file = LocalFile::fget(fd)?;
///     Ok(downcast::<Buffer>(&file).ok_or(EINVAL)?.into())
/// }
/// # // The examples run in a kthread, which gets no descriptor.
/// # let buffer = Arc::new(Buffer { size: 4096 }, GFP_KERNEL)?;
/// # assert_eq!(export(buffer.clone()), Err(EBADF));
/// # assert!(import(0).is_err());
/// # let name = c_str!("[buffer]");
/// # let file = anon_inode_getfile::<Buffer>(name, buffer.clone(), flags::O_RDWR)?;
/// # let found = downcast::<Buffer>(&file).ok_or(EINVAL)?;
/// # assert_eq!(found.size, 4096);
/// # assert_eq!(file.flags() & flags::O_ACCMODE, flags::O_RDWR);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "anon_inode_getfd")]
pub fn anon_inode_getfile<T: AnonFile>(
    name: &CStr,
    data: T::Ptr,
    flags: u32,
) -> Result<ARef<File>> {
    let table = T::table();
    let module = table.0.owner;

    // `dynamic_dname()` has 64 bytes for `anon_inode:`, the name and a null byte.
    if name.to_bytes().len() > 52 {
        return Err(EINVAL);
    }
    module_going::check_owner(module, ptr::from_ref(table) as usize)?;
    // SAFETY: `module` is null, or contains a static that is borrowed here.
    unsafe { module_going::check_initialized(module)? };

    let data: *const c_void = data.into_foreign().cast();
    // SAFETY: The name ends in a null byte, and is copied. The table and the functions in it are of
    // `module`. Its `init()` has succeeded, so a reference keeps it. The file takes one, by
    // `try_module_get()`, which fails if the module is going. `private_data` is what the functions
    // expect.
    let file = from_err_ptr(unsafe {
        bindings::anon_inode_getfile(
            name.as_char_ptr(),
            &table.0,
            data.cast_mut().cast(),
            // CAST: Of the bits, those of `O_ACCMODE` and `O_NONBLOCK` are used.
            flags as c_int,
        )
    });
    match file {
        // SAFETY: This is the reference to the new file, which is not null. The file has no
        // descriptor, so there is no `fdget_pos()` on it.
        Ok(file) => Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(file.cast::<File>())) }),
        Err(err) => {
            // SAFETY: The pointer is that of `into_foreign()`. There is no file that has it, as
            // `anon_inode_getfile()` stores it in one only when nothing can fail any more.
            drop(unsafe { T::Ptr::from_foreign(data.cast_mut().cast()) });
            Err(err)
        }
    }
}

/// Returns the data of a file that [`anon_inode_getfile`] has created for `T`, and `None` for any
/// other file.
///
/// C: `file->f_op == &ops`, and `file->private_data`.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// See [`anon_inode_getfile`].
#[inline]
pub fn downcast<T: AnonFile>(file: &LocalFile) -> Option<<T::Ptr as ForeignOwnable>::Borrowed<'_>> {
    let file = file.as_ptr();
    // A file whose `open()` has failed has a `f_op` that may be freed, and may have the address of
    // another table by now. An open file holds a reference to its module.
    //
    // SAFETY: The borrow keeps the file allocated.
    if !unsafe { bindings::file_is_opened(file) } {
        return None;
    }
    // SAFETY: The borrow keeps the file allocated. `__tty_hangup()` and `snd_card_disconnect()` may
    // write `f_op` of their own files at the same time, so it is read once with a volatile access.
    let f_op = unsafe { ptr::addr_of!((*file).f_op).read_volatile() };
    if !ptr::eq(f_op, &T::table().0) {
        return None;
    }
    // SAFETY: The file has the table of `T`, which only `anon_inode_getfile()` gives to a file. So
    // `private_data` is the result of `into_foreign()`. Only `release()` takes it back, which does
    // not run while the file is borrowed.
    Some(unsafe { T::Ptr::borrow((*file).private_data.cast()) })
}

/// The functions of [`Calls`] for `T`.
struct Operations<T: AnonFile>(PhantomData<T>);

// SAFETY: The table is given to files of `anon_inode_getfile()` only, with the result of
// `into_foreign()`, and no other function writes the field.
unsafe impl<T: AnonFile> FileOperations for Operations<T> {
    forward_file_operations!(T: AnonFile);
}

impl<T: AnonFile> ReadWrite for Operations<T> {
    forward_read_write!(T: AnonFile);
}
