// SPDX-License-Identifier: GPL-2.0

//! The functions of a `struct file_operations` that misc devices, character devices and files of
//! `anon_inode_getfile()` share.
//!
//! A driver implements a trait of its kind of file. The module of that trait implements
//! [`FileOperations`] for it with [`forward_file_operations!`], and adds its own functions to
//! [`Calls::TABLE`].
//!
//! C header: [`include/linux/fs.h`](srctree/include/linux/fs.h)

use crate::{
    bindings,
    fs::File,
    mm::{
        virt::VmaNew,
        vma_desc::VmaDesc, //
    },
    prelude::*,
    task::{
        poll_events,
        FilePollTable, //
    },
    types::ForeignOwnable,
    uaccess::{
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
};
use core::{
    ffi::c_void,
    marker::PhantomData,
    mem::MaybeUninit, //
};

mod mmap_prepare;

/// What a driver does with an open file.
///
/// # Safety
///
/// If a table has a function of [`Calls`], a file with that table
///
/// - must have a `private_data` that is the result of `Ptr::into_foreign()` while it is open: from
///   the success of `open()`, or from its creation by `anon_inode_getfile()`, to its release;
/// - must not have `FMODE_ATOMIC_POS`. `do_dentry_open()` sets it for regular files and directories
///   only, and `alloc_file_pseudo()` never.
pub(crate) unsafe trait FileOperations {
    /// Owns the data of an open file.
    type Ptr: ForeignOwnable;

    /// The module that contains the code of the driver.
    const OWNER: *mut bindings::module;

    /// Whether `lseek()` succeeds, and does nothing.
    const NOOP_LLSEEK: bool = false;

    /// Whether the driver implements the function of this name.
    const HAS_MMAP: bool;
    /// Whether the driver implements the function of this name.
    const HAS_MMAP_PREPARE: bool;
    /// Whether the driver implements the function of this name.
    const HAS_IOCTL: bool;
    /// Whether the driver implements the function of this name.
    #[cfg(CONFIG_COMPAT)]
    const HAS_COMPAT_IOCTL: bool;
    /// Whether the driver implements the function of this name.
    const HAS_POLL: bool;

    fn mmap(data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>, file: &File, vma: &VmaNew)
        -> Result;

    fn mmap_prepare<'a>(
        data: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        file: &'a File,
        desc: &mut VmaDesc<'a>,
    ) -> Result;

    fn ioctl(
        data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        cmd: u32,
        arg: usize,
    ) -> Result<isize>;

    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(
        data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        cmd: u32,
        arg: usize,
    ) -> Result<isize>;

    fn poll<'a>(
        data: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        file: &'a File,
        table: &mut FilePollTable<'a>,
    ) -> u32;
}

/// The items of an implementation of [`FileOperations`] by the functions of a driver's trait.
macro_rules! forward_file_operations {
    ($T:ident: $Driver:ident) => {
        type Ptr = <$T as $Driver>::Ptr;

        const OWNER: *mut $crate::bindings::module =
            $crate::module::this_module::<$T::OwnerModule>().as_ptr();

        const HAS_MMAP: bool = $T::HAS_MMAP;
        const HAS_MMAP_PREPARE: bool = $T::HAS_MMAP_PREPARE;
        const HAS_IOCTL: bool = $T::HAS_IOCTL;
        #[cfg(CONFIG_COMPAT)]
        const HAS_COMPAT_IOCTL: bool = $T::HAS_COMPAT_IOCTL;
        const HAS_POLL: bool = $T::HAS_POLL;

        fn mmap(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'_>,
            file: &$crate::fs::File,
            vma: &$crate::mm::virt::VmaNew,
        ) -> $crate::error::Result {
            $T::mmap(data, file, vma)
        }

        fn mmap_prepare<'a>(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'a>,
            file: &'a $crate::fs::File,
            desc: &mut $crate::mm::vma_desc::VmaDesc<'a>,
        ) -> $crate::error::Result {
            $T::mmap_prepare(data, file, desc)
        }

        fn ioctl(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'_>,
            file: &$crate::fs::File,
            cmd: u32,
            arg: usize,
        ) -> $crate::error::Result<isize> {
            $T::ioctl(data, file, cmd, arg)
        }

        #[cfg(CONFIG_COMPAT)]
        fn compat_ioctl(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'_>,
            file: &$crate::fs::File,
            cmd: u32,
            arg: usize,
        ) -> $crate::error::Result<isize> {
            $T::compat_ioctl(data, file, cmd, arg)
        }

        fn poll<'a>(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'a>,
            file: &'a $crate::fs::File,
            table: &mut $crate::task::FilePollTable<'a>,
        ) -> u32 {
            $T::poll(data, file, table)
        }
    };
}
pub(crate) use forward_file_operations;

/// What a driver does with a file that is read and written.
pub(crate) trait ReadWrite: FileOperations {
    /// Whether the driver implements the function of this name.
    const HAS_READ: bool;
    /// Whether the driver implements the function of this name.
    const HAS_WRITE: bool;

    fn read(
        data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        out: &mut UserSliceWriter,
        offset: &mut i64,
    ) -> Result<usize>;

    fn write(
        data: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        file: &File,
        input: &mut UserSliceReader,
        offset: &mut i64,
    ) -> Result<usize>;
}

/// The items of an implementation of [`ReadWrite`] by the functions of a driver's trait.
macro_rules! forward_read_write {
    ($T:ident: $Driver:ident) => {
        const HAS_READ: bool = $T::HAS_READ;
        const HAS_WRITE: bool = $T::HAS_WRITE;

        fn read(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'_>,
            file: &$crate::fs::File,
            out: &mut $crate::uaccess::UserSliceWriter,
            offset: &mut i64,
        ) -> $crate::error::Result<usize> {
            $T::read(data, file, out, offset)
        }

        fn write(
            data: <Self::Ptr as $crate::types::ForeignOwnable>::Borrowed<'_>,
            file: &$crate::fs::File,
            input: &mut $crate::uaccess::UserSliceReader,
            offset: &mut i64,
        ) -> $crate::error::Result<usize> {
            $T::write(data, file, input, offset)
        }
    };
}
pub(crate) use forward_read_write;

/// The functions that C calls.
pub(crate) struct Calls<T: FileOperations>(PhantomData<T>);

impl<T: FileOperations> Calls<T> {
    /// A table with those functions that the driver implements.
    ///
    /// An open file holds a reference to the module, so the functions stay loaded while a file is
    /// open.
    pub(crate) const TABLE: bindings::file_operations = {
        let table = bindings::file_operations {
            owner: T::OWNER,
            release: Some(Self::release),
            llseek: if T::NOOP_LLSEEK {
                Some(bindings::noop_llseek)
            } else {
                None
            },
            mmap: if T::HAS_MMAP {
                assert!(!T::HAS_MMAP_PREPARE, "a file has one kind of hook");
                Some(Self::mmap)
            } else {
                None
            },
            unlocked_ioctl: if T::HAS_IOCTL {
                Some(Self::ioctl)
            } else {
                None
            },
            #[cfg(CONFIG_COMPAT)]
            compat_ioctl: if T::HAS_COMPAT_IOCTL {
                Some(Self::compat_ioctl)
            } else if T::HAS_IOCTL {
                Self::COMPAT_PTR_IOCTL
            } else {
                None
            },
            poll: if T::HAS_POLL { Some(Self::poll) } else { None },
            // SAFETY: The fields of `struct file_operations` are integers and nullable pointers.
            // Zero is a valid value of each.
            ..unsafe { MaybeUninit::zeroed().assume_init() }
        };
        match T::HAS_MMAP_PREPARE {
            true => Self::with_mmap_prepare(table),
            false => table,
        }
    };

    /// Opens a file: `make` creates its data.
    ///
    /// # Safety
    ///
    /// - `->open()` of `file` must call this, and return the error of this or open the file.
    /// - The table of the file must have a function of `Self`, and none that uses `private_data`
    ///   before the file is open.
    pub(crate) unsafe fn open(
        file: *mut bindings::file,
        make: impl FnOnce(&File) -> Result<T::Ptr>,
    ) -> Result {
        // `do_dentry_open()` clears this after `FMODE_OPENED` is set, if the table has no `llseek`.
        // By then, `make` may have given the file to another task, which installs it.
        if !T::NOOP_LLSEEK {
            // SAFETY: `file` is being opened, so no other task uses it.
            unsafe { bindings::file_clear_lseek(file) };
        }
        // SAFETY: The caller of `->open()` holds a reference, and has not installed the file, so
        // there is no `fdget_pos()` on it.
        let data = make(unsafe { File::from_raw_file(file) })?;
        let data: *const c_void = data.into_foreign().cast();
        // SAFETY: The driver owns `private_data`, and only the functions of the table access it.
        // None of them runs yet: `fd_install()` refuses the file before it is open.
        unsafe { bindings::file_set_private_data(file, data.cast_mut().cast()) };
        Ok(())
    }

    /// Borrows an open file and its data.
    ///
    /// # Safety
    ///
    /// - `file` must be open, and its table must have a function of `Self`.
    /// - `file` must not be released for the duration of `'a`.
    pub(crate) unsafe fn borrow<'a>(
        file: *mut bindings::file,
    ) -> (<T::Ptr as ForeignOwnable>::Borrowed<'a>, &'a File) {
        // SAFETY: By the contract of `FileOperations`, `private_data` is the result of
        // `into_foreign()`. The caller guarantees that the file is not released for the duration of
        // `'a`, so `release()` does not run, and nothing else takes the data back.
        let data = unsafe { T::Ptr::borrow((*file).private_data.cast()) };
        // SAFETY: The caller guarantees that the file is not released for the duration of `'a`.
        // `read()` and `write()` are called in an `fdget_pos()`. By the contract of
        // `FileOperations`, that never takes `f_pos_lock`, so nothing depends on this thread being
        // the only one in it.
        (data, unsafe { File::from_raw_file(file) })
    }

    /// Drops the data of a file.
    ///
    /// # Safety
    ///
    /// Only `__fput()` may call this, for an open file.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the contract of `FileOperations`, `private_data` is the result of
        // `into_foreign()`. `__fput()` runs after the last reference to the file was dropped, so no
        // other operation borrows the data now or later.
        drop(unsafe { T::Ptr::from_foreign((*file).private_data.cast()) });
        0
    }

    /// # Safety
    ///
    /// Only `mmap_region()` may call this, for an open file.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller of `do_mmap()` holds a reference to the file during the call.
        let (data, file) = unsafe { Self::borrow(file) };
        // SAFETY: `mmap_region()` has called this hook with `vma`, which it sets up, and has not
        // set `VM_PFNMAP`. The hook returns what `run_mmap_hook()` returns.
        unsafe { VmaNew::run_mmap_hook(vma, |vma| T::mmap(data, file, vma)) }
    }

    /// # Safety
    ///
    /// Only the `ioctl()` system call may call this, for an open file.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The system call holds the file by `fdget()` until this returns.
        let (data, file) = unsafe { Self::borrow(file) };

        T::ioctl(data, file, cmd, arg).unwrap_or_else(|err| err.to_errno() as c_long)
    }

    /// # Safety
    ///
    /// Only the compat `ioctl()` system call may call this, for an open file.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The system call holds the file by `fdget()` until this returns.
        let (data, file) = unsafe { Self::borrow(file) };

        T::compat_ioctl(data, file, cmd, arg).unwrap_or_else(|err| err.to_errno() as c_long)
    }

    /// # Safety
    ///
    /// Only `vfs_poll()` may call this, for an open file.
    unsafe extern "C" fn poll(
        raw_file: *mut bindings::file,
        table: *mut bindings::poll_table_struct,
    ) -> c_uint {
        // SAFETY: `T::poll()` accepts any lifetime, so it keeps nothing that has this one. Apart
        // from the queues in `table`, the borrows end when this returns. Until then, the caller
        // holds the file by `fdget()` or a reference.
        let (data, file) = unsafe { Self::borrow(raw_file) };
        // SAFETY: This is `->poll()` of the file. What safe code gets with the lifetime of `data`
        // is valid until the call of `from_foreign()`, by the contract of `ForeignOwnable`. Only
        // `release()` calls it. What it gets with that of `file` is the data of an anonymous inode
        // file, which lasts until its release as well.
        let mut table = unsafe { FilePollTable::from_raw(raw_file, table) };

        // The upper bits are flags of epoll and io_uring.
        T::poll(data, file, &mut table) & poll_events::ALL
    }
}

impl<T: ReadWrite> Calls<T> {
    /// [`TABLE`](Self::TABLE) with the functions of [`ReadWrite`].
    pub(crate) const WITH_READ_WRITE: bindings::file_operations = bindings::file_operations {
        read: if T::HAS_READ { Some(Self::read) } else { None },
        write: if T::HAS_WRITE {
            Some(Self::write)
        } else {
            None
        },
        ..Self::TABLE
    };

    /// # Safety
    ///
    /// Only the functions of C that read a file may call this, for an open file. `offset` must be
    /// valid, and must not be used by another thread.
    unsafe extern "C" fn read(
        file: *mut bindings::file,
        user: *mut c_char,
        count: usize,
        offset: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: The caller holds the file by `fdget()` or a reference until this returns.
        let (data, file) = unsafe { Self::borrow(file) };
        let mut out = UserSlice::new(UserPtr::from_addr(user as usize), count).writer();
        // SAFETY: The caller guarantees that this is the only reference. The file is not a stream,
        // so the pointer is not null.
        let read = T::read(data, file, &mut out, unsafe { &mut *offset });

        result_of(read, count)
    }

    /// # Safety
    ///
    /// Only the functions of C that write a file may call this, for an open file. `offset` must be
    /// valid, and must not be used by another thread.
    unsafe extern "C" fn write(
        file: *mut bindings::file,
        user: *const c_char,
        count: usize,
        offset: *mut bindings::loff_t,
    ) -> isize {
        // SAFETY: The caller holds the file by `fdget()` or a reference until this returns.
        let (data, file) = unsafe { Self::borrow(file) };
        let mut input = UserSlice::new(UserPtr::from_addr(user as usize), count).reader();
        // SAFETY: As in `read()`.
        let written = T::write(data, file, &mut input, unsafe { &mut *offset });

        result_of(written, count)
    }
}

/// Returns the result of a read or write of up to `count` bytes.
fn result_of(result: Result<usize>, count: usize) -> isize {
    match result {
        // The caller advances its buffer by that, and does not check it.
        // CAST: `vfs_read()` and `vfs_write()` limit `count` to `MAX_RW_COUNT`.
        Ok(done) => done.min(count) as isize,
        // With this error, io_uring waits for a completion, which does not come.
        Err(err) if err == EIOCBQUEUED => EIO.to_errno() as isize,
        Err(err) => err.to_errno() as isize,
    }
}
