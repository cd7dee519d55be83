// SPDX-License-Identifier: GPL-2.0

//! The functions of a `struct file_operations` that misc devices and character devices share.
//!
//! A driver implements a trait of its kind of device. The module of that trait implements
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
    types::ForeignOwnable, //
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

mod mmap_prepare;

/// What a driver does with an open file.
///
/// # Safety
///
/// If a table has a function of [`Calls`], a file with that table must be one of a character device
/// or a misc device, and its `private_data` must be the result of `Ptr::into_foreign()`, from the
/// time at which `open()` has succeeded to the release of the file.
pub(crate) unsafe trait FileOperations {
    /// Owns the data of an open file.
    type Ptr: ForeignOwnable;

    /// The module that contains the code of the driver.
    const OWNER: *mut bindings::module;

    /// Whether the driver implements the function of this name.
    const HAS_MMAP: bool;
    /// Whether the driver implements the function of this name.
    const HAS_MMAP_PREPARE: bool;
    /// Whether the driver implements the function of this name.
    const HAS_IOCTL: bool;
    /// Whether the driver implements the function of this name.
    #[cfg(CONFIG_COMPAT)]
    const HAS_COMPAT_IOCTL: bool;

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
}

/// The items of an implementation of [`FileOperations`] by the functions of a device's own trait.
macro_rules! forward_file_operations {
    ($T:ident: $Device:ident) => {
        type Ptr = <$T as $Device>::Ptr;

        const OWNER: *mut $crate::bindings::module =
            $crate::module::this_module::<$T::OwnerModule>().as_ptr();

        const HAS_MMAP: bool = $T::HAS_MMAP;
        const HAS_MMAP_PREPARE: bool = $T::HAS_MMAP_PREPARE;
        const HAS_IOCTL: bool = $T::HAS_IOCTL;
        #[cfg(CONFIG_COMPAT)]
        const HAS_COMPAT_IOCTL: bool = $T::HAS_COMPAT_IOCTL;

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
    };
}
pub(crate) use forward_file_operations;

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
            mmap: if T::HAS_MMAP {
                assert!(!T::HAS_MMAP_PREPARE, "a device has one kind of hook");
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
            // SAFETY: The fields of `struct file_operations` are integers and nullable pointers.
            // Zero is a valid value of each.
            ..unsafe { MaybeUninit::zeroed().assume_init() }
        };
        match T::HAS_MMAP_PREPARE {
            true => Self::with_mmap_prepare(table),
            false => table,
        }
    };

    /// Borrows an open file and its data.
    ///
    /// # Safety
    ///
    /// - `open()` of `file` must have succeeded, and its table must have a function of `Self`.
    /// - `file` must not be released for the duration of `'a`.
    /// - `file` must not have `FMODE_ATOMIC_POS`: `do_dentry_open()` sets it for regular files and
    ///   directories only.
    pub(crate) unsafe fn borrow<'a>(
        file: *mut bindings::file,
    ) -> (<T::Ptr as ForeignOwnable>::Borrowed<'a>, &'a File) {
        // SAFETY: By the contract of `FileOperations`, `private_data` is the result of
        // `into_foreign()`. The caller guarantees that the file is not released for the duration of
        // `'a`, so `release()` does not run, and nothing else takes the data back.
        let data = unsafe { T::Ptr::borrow((*file).private_data.cast()) };
        // SAFETY: The caller guarantees that the file is not released for the duration of `'a`.
        // `read()` and `write()` are called in an `fdget_pos()`. Without `FMODE_ATOMIC_POS`, that
        // never takes `f_pos_lock`, so nothing depends on this thread being the only one in it.
        (data, unsafe { File::from_raw_file(file) })
    }

    /// Drops the data of a file.
    ///
    /// # Safety
    ///
    /// Only `__fput()` may call this, for a file whose `open()` has succeeded.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: By the contract of `FileOperations`, `private_data` is the result of
        // `into_foreign()`. `__fput()` runs after the last reference to the file was dropped, so no
        // other operation borrows the data now or later.
        drop(unsafe { T::Ptr::from_foreign((*file).private_data.cast()) });
        0
    }

    /// # Safety
    ///
    /// Only `mmap_region()` may call this, for a file whose `open()` has succeeded.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller of `do_mmap()` holds a reference to the file during the call. The file
        // is that of a device.
        let (data, file) = unsafe { Self::borrow(file) };
        // SAFETY: `mmap_region()` has called this hook with `vma`, which it sets up, and has not
        // set `VM_PFNMAP`. The hook returns what `run_mmap_hook()` returns.
        unsafe { VmaNew::run_mmap_hook(vma, |vma| T::mmap(data, file, vma)) }
    }

    /// # Safety
    ///
    /// Only the `ioctl()` system call may call this, for a file whose `open()` has succeeded.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The system call holds the file by `fdget()` until this returns. The file is that
        // of a device.
        let (data, file) = unsafe { Self::borrow(file) };

        T::ioctl(data, file, cmd, arg).unwrap_or_else(|err| err.to_errno() as c_long)
    }

    /// # Safety
    ///
    /// Only the compat `ioctl()` system call may call this, for a file whose `open()` has
    /// succeeded.
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The system call holds the file by `fdget()` until this returns. The file is that
        // of a device.
        let (data, file) = unsafe { Self::borrow(file) };

        T::compat_ioctl(data, file, cmd, arg).unwrap_or_else(|err| err.to_errno() as c_long)
    }
}
