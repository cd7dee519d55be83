// SPDX-License-Identifier: GPL-2.0

//! Misc devices: a character device with a name and a number of its own.
//!
//! Of mainline's module, this has `open`, the `mmap` hooks and the two `ioctl`s. Mainline's
//! `release` is left out on purpose: it lends a `&File` whose count is zero already, of which safe
//! code could make an `ARef<File>`. The data of an open file is dropped instead, and its `Drop` is
//! the place to clean up.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use crate::{
    bindings, build_error,
    device::Device,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    fs::File,
    init::pin_init_from_closure,
    mm::{
        virt::VmaNew,
        vma_desc::VmaDesc, //
    },
    module::this_module,
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit, //
};

/// What to register.
#[derive(Copy, Clone)]
pub struct MiscDeviceOptions {
    /// The name, which is also that of the node in `/dev`.
    pub name: &'static CStr,
}

impl MiscDeviceOptions {
    /// Makes the C struct that `misc_register()` takes.
    pub const fn into_raw<T: MiscDevice>(self) -> bindings::miscdevice {
        // SAFETY: The struct is made of numbers and nullable pointers, for which zero is a value.
        let mut misc: bindings::miscdevice = unsafe { MaybeUninit::zeroed().assume_init() };
        misc.minor = bindings::MISC_DYNAMIC_MINOR as c_int;
        misc.name = self.name.as_char_ptr();
        misc.fops = &Operations::<T>::TABLE;
        misc
    }
}

/// A registered misc device.
///
/// It disappears from `/dev` when this is dropped. Files that are open then stay open.
///
/// # Invariants
///
/// `misc_register()` has succeeded for `inner`, which was made by [`MiscDeviceOptions::into_raw`]
/// for `T`, and `misc_deregister()` has not been called.
///
/// # Examples
///
/// ```
/// use kernel::{c_str, fs::File, miscdevice::{MiscDevice, MiscDeviceOptions}};
/// use kernel::miscdevice::MiscDeviceRegistration;
///
/// /// Says which process opened it.
/// struct Opener {
///     tgid: i32,
/// }
///
/// #[vtable]
/// impl MiscDevice for Opener {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         Ok(KBox::new(Opener { tgid: current!().tgid() }, GFP_KERNEL)?)
///     }
///
///     fn ioctl(me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
///         Ok(me.tgid as isize)
///     }
/// }
///
/// let name = c_str!("rust_opener");
/// let device = KBox::pin_init(
///     MiscDeviceRegistration::<Opener>::register(MiscDeviceOptions { name }),
///     GFP_KERNEL,
/// )?;
/// # assert!(!device.as_raw().is_null());
/// # Ok::<(), Error>(())
/// ```
#[repr(transparent)]
#[pin_data(PinnedDrop)]
pub struct MiscDeviceRegistration<T> {
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    _t: PhantomData<T>,
}

// SAFETY: `misc_deregister()` may be called by any thread; there is no `T` in here.
unsafe impl<T> Send for MiscDeviceRegistration<T> {}
// SAFETY: The methods with `&self` read what does not change while the device is registered.
unsafe impl<T> Sync for MiscDeviceRegistration<T> {}

impl<T: MiscDevice> MiscDeviceRegistration<T> {
    /// Registers a device. May sleep.
    ///
    /// Errors are those of `misc_register()`: `EBUSY` when there are no numbers left, `EEXIST` for
    /// a name in use, `ENOMEM`.
    pub fn register(opts: MiscDeviceOptions) -> impl PinInit<Self, Error> {
        let init = move |slot: *mut Opaque<bindings::miscdevice>| {
            let slot = Opaque::raw_get(slot);

            // SAFETY: An initializer is given memory that it may write to.
            unsafe { slot.write(opts.into_raw::<T>()) };

            // SAFETY: The struct was filled in above. It stays where it is, being pinned, until
            // `drop()` has taken it off the list of devices again.
            to_result(unsafe { bindings::misc_register(slot) })
        };

        try_pin_init!(Self {
            // SAFETY: After success the memory holds a registered `miscdevice`, of which
            // `Opaque` asks nothing. After failure `misc_register()` has kept no pointer to it, and
            // there is nothing to drop.
            // INVARIANT: It was registered for `T` in case of success.
            inner <- unsafe { pin_init_from_closure::<_, Error>(init) },
            _t: PhantomData,
        })
    }

    /// Returns the C side's pointer to this device.
    pub fn as_raw(&self) -> *mut bindings::miscdevice {
        self.inner.get()
    }

    /// Returns the device, for messages about it.
    pub fn device(&self) -> &Device {
        // SAFETY: `misc_register()` has set `this_device`, and it lives until the device is
        // deregistered, which by the type invariant is after the end of this borrow.
        unsafe { Device::as_ref((*self.as_raw()).this_device) }
    }
}

#[pinned_drop]
impl<T> PinnedDrop for MiscDeviceRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: The device is registered, by the type invariant.
        unsafe { bindings::misc_deregister(self.inner.get()) };
    }
}

/// What an open file of a misc device does.
///
/// An implementation is the data of an open file. It is made by [`open`](Self::open) and dropped
/// when the last reference to the file has gone. All run in process context and may sleep.
#[vtable]
pub trait MiscDevice: Sized {
    /// The pointer that owns the data, `KBox<Self>` or `Arc<Self>` as a rule.
    type Ptr: ForeignOwnable + Send + Sync;

    /// Makes the data of a file that is being opened.
    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr>;

    /// Sets up an area that a program maps from the file.
    ///
    /// It is called with the mmap lock held for writing, and must touch no user memory.
    fn mmap(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _vma: &VmaNew,
    ) -> Result {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Says what an area is to be that a program asks for: see
    /// [`vma_desc`](crate::mm::vma_desc). A device has this or [`mmap`](Self::mmap).
    ///
    /// It is called with the mmap lock held for writing, and must touch no user memory.
    fn mmap_prepare<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _desc: &mut VmaDesc<'a>,
    ) -> Result {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Answers an `ioctl()`; [`kernel::ioctl`](crate::ioctl) takes `cmd` apart.
    fn ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Answers an `ioctl()` of a 32-bit program on a 64-bit kernel.
    ///
    /// Without it, [`ioctl`](Self::ioctl) does, with `arg` taken as a pointer.
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error(VTABLE_DEFAULT_ERROR)
    }
}

/// The C side's table of file operations for `T`.
struct Operations<T: MiscDevice>(PhantomData<T>);

impl<T: MiscDevice> Operations<T> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        // Code that the table points to stays loaded while a file is open, unless the module's own
        // `init` fails after somebody has opened one: `do_init_module()` does not ask.
        owner: this_module::<T::OwnerModule>().as_ptr(),
        open: Some(Self::open),
        release: Some(Self::release),
        mmap: if T::HAS_MMAP_PREPARE {
            assert!(!T::HAS_MMAP, "a device has one kind of hook");
            Some(Self::mmap_prepare)
        } else if T::HAS_MMAP {
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
            Some(bindings::compat_ptr_ioctl)
        } else {
            None
        },
        // SAFETY: The table is made of numbers and nullable pointers, for which zero is a value.
        ..unsafe { MaybeUninit::zeroed().assume_init() }
    };

    /// Borrows the data of an open file, and the file.
    ///
    /// # Safety
    ///
    /// `file` is one that [`Self::open`] has opened, is not released before the end of `'a`, and is
    /// used by this thread alone or by an `fdget()` of each thread.
    unsafe fn borrow<'a>(
        file: *mut bindings::file,
    ) -> (<T::Ptr as ForeignOwnable>::Borrowed<'a>, &'a File) {
        // SAFETY: `open()` has put the data there, only `release()` takes it away, and the file
        // is open for `'a` according to the caller.
        let device = unsafe { T::Ptr::borrow((*file).private_data) };
        // SAFETY: As above. Neither `mmap()` nor `ioctl()` comes through `fdget_pos()`.
        (device, unsafe { File::from_raw_file(file) })
    }

    /// # Safety
    ///
    /// To be called by `misc_open()`, for a device of a `MiscDeviceRegistration<T>`.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: Both are those of the file that is being opened.
        let ret = unsafe { bindings::generic_file_open(inode, file) };
        if ret != 0 {
            return ret;
        }

        // SAFETY: `misc_open()` has stored the `miscdevice` there, which is the one field with a
        // size in a `MiscDeviceRegistration<T>`. It holds `misc_mtx`, for which
        // `misc_deregister()` has to wait.
        let misc = unsafe { &*(*file).private_data.cast::<MiscDeviceRegistration<T>>() };
        // SAFETY: The file is being opened, so nobody else uses it yet.
        let opened = T::open(unsafe { File::from_raw_file(file) }, misc);

        match opened {
            Ok(device) => {
                // SAFETY: From here on the field belongs to the driver, that is to this table.
                unsafe { (*file).private_data = device.into_foreign().cast_mut() };
                0
            }
            Err(err) => err.to_errno(),
        }
    }

    /// # Safety
    ///
    /// To be called by `__fput()`, for a file that [`Self::open`] has opened.
    unsafe extern "C" fn release(_: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `open()` has put the data there. This is the end of the file, so no other
        // operation is running that borrows it, and none will.
        drop(unsafe { T::Ptr::from_foreign((*file).private_data) });
        0
    }

    /// # Safety
    ///
    /// To be called by `mmap_region()`, for a file that [`Self::open`] has opened.
    unsafe extern "C" fn mmap(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller has the file open for the time of the call.
        let (device, file) = unsafe { Self::borrow(file) };
        // SAFETY: The area is being set up until this returns.
        unsafe { VmaNew::run_mmap_hook(vma, |vma| T::mmap(device, file, vma)) }
    }

    /// # Safety
    ///
    /// As for [`Self::mmap`].
    unsafe extern "C" fn mmap_prepare(
        file: *mut bindings::file,
        vma: *mut bindings::vm_area_struct,
    ) -> c_int {
        // SAFETY: The caller has the file open for the time of the call.
        let (device, file) = unsafe { Self::borrow(file) };
        // SAFETY: The area is being set up until this returns, and so long the file is open.
        unsafe { VmaDesc::compat_vma_mmap(vma, |desc| T::mmap_prepare(device, file, desc)) }
    }

    /// # Safety
    ///
    /// To be called by `ioctl()`, for a file that [`Self::open`] has opened.
    unsafe extern "C" fn ioctl(file: *mut bindings::file, cmd: c_uint, arg: c_ulong) -> c_long {
        // SAFETY: The caller has the file open for the time of the call.
        let (device, file) = unsafe { Self::borrow(file) };

        T::ioctl(device, file, cmd, arg).unwrap_or_else(|err| err.to_errno() as c_long)
    }

    /// # Safety
    ///
    /// As for [`Self::ioctl`].
    #[cfg(CONFIG_COMPAT)]
    unsafe extern "C" fn compat_ioctl(
        file: *mut bindings::file,
        cmd: c_uint,
        arg: c_ulong,
    ) -> c_long {
        // SAFETY: The caller has the file open for the time of the call.
        let (device, file) = unsafe { Self::borrow(file) };

        T::compat_ioctl(device, file, cmd, arg).unwrap_or_else(|err| err.to_errno() as c_long)
    }
}
