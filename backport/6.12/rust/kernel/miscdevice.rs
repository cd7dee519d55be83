// SPDX-License-Identifier: GPL-2.0

//! Misc devices: character devices with a name and a dynamically allocated minor number.
//!
//! Of mainline's module, this one has `open`, `mmap`, `ioctl` and `compat_ioctl`. Like that of the
//! later series, it also has `mmap_prepare` and `poll`. Mainline's `release` is left out on
//! purpose.
//! `__fput()` runs with a refcount of zero, so `release` receives a `&File` without a reference to
//! the file, and safe code could turn it into an `ARef<File>`. Here the data of the open file is
//! dropped instead. A driver cleans up in `Drop`.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use crate::{
    bindings, build_error,
    device::Device,
    error::{
        to_result,
        VTABLE_DEFAULT_ERROR, //
    },
    file_operations::{
        forward_file_operations,
        Calls,
        FileOperations, //
    },
    fs::File,
    init::pin_init_from_closure,
    mm::{
        virt::VmaNew,
        vma_desc::VmaDesc, //
    },
    module::this_module,
    module_going::{
        self,
        Kind,
        Leftover, //
    },
    prelude::*,
    task::FilePollTable,
    types::{
        ForeignOwnable,
        Opaque, //
    },
};
use core::{
    marker::PhantomData,
    mem::MaybeUninit,
    ptr::addr_of_mut, //
};

/// The options of a misc device that is to be registered.
#[derive(Copy, Clone)]
pub struct MiscDeviceOptions {
    /// The name of the device and of its node in `/dev`.
    pub name: &'static CStr,
}

impl MiscDeviceOptions {
    /// Returns the `struct miscdevice` to pass to `misc_register()`.
    pub const fn into_raw<T: MiscDevice>(self) -> bindings::miscdevice {
        // SAFETY: The fields of `struct miscdevice` are integers and nullable pointers. Zero is a
        // valid value of each.
        let mut misc: bindings::miscdevice = unsafe { MaybeUninit::zeroed().assume_init() };
        misc.minor = bindings::MISC_DYNAMIC_MINOR as c_int;
        misc.name = self.name.as_char_ptr();
        misc.fops = &Operations::<T>::TABLE;
        misc
    }
}

/// A registered misc device.
///
/// Dropping it deregisters the device and removes its node from `/dev`. Files that are open at
/// that time stay open. If it is leaked, the device is deregistered when its module is unloaded, or
/// when the `init()` of the module fails.
///
/// The node appears at once, but while the module is in its `init()`, a process that opens it waits
/// until `init()` has returned. It can be killed. If `init()` fails, `open()` fails as for a device
/// that does not exist. An `init()` that waits for a process that opens the device waits
/// permanently, or until that process is killed. `init()` cannot open the device itself, either.
///
/// # Invariants
///
/// - `inner` was initialized with the result of [`MiscDeviceOptions::into_raw`] for `T`.
/// - `misc_register()` has succeeded for `inner`, and `misc_deregister()` has not been called
///   unless `leftover` has been ended.
///
/// # Examples
///
/// ```
/// use kernel::{c_str, fs::File, miscdevice::{MiscDevice, MiscDeviceOptions}};
/// use kernel::{miscdevice::MiscDeviceRegistration, pid::{Pid, PidType}, sync::aref::ARef};
///
/// /// The process that opened the file. A stored TGID could be that of another process later.
/// struct Opener {
///     pid: ARef<Pid>,
/// }
///
/// #[vtable]
/// impl MiscDevice for Opener {
///     type Ptr = KBox<Self>;
///
///     fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
///         let pid = current!().get_task_pid(PidType::Tgid).ok_or(ESRCH)?;
///         Ok(KBox::new(Opener { pid }, GFP_KERNEL)?)
///     }
///
///     fn ioctl(me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
///         // As the caller knows it, or 0 if the process has no TGID in its PID namespace.
///         Ok(me.pid.pid_vnr() as isize)
///     }
/// }
///
/// let name = c_str!("rust_opener");
/// let device = KBox::pin_init(
///     MiscDeviceRegistration::<Opener>::register(MiscDeviceOptions { name }),
///     GFP_KERNEL,
/// )?;
/// # assert!(!device.as_raw().is_null());
/// # let options = MiscDeviceOptions { name: c_str!("") };
/// # let refused = MiscDeviceRegistration::<Opener>::register(options);
/// # assert_eq!(KBox::pin_init(refused, GFP_KERNEL).map(drop), Err(EINVAL));
/// # Ok::<(), Error>(())
/// ```
#[repr(C)]
#[pin_data(PinnedDrop)]
pub struct MiscDeviceRegistration<T> {
    #[pin]
    inner: Opaque<bindings::miscdevice>,
    #[pin]
    leftover: Leftover,
    _t: PhantomData<T>,
}

// SAFETY: Any thread may call `misc_deregister()`. The struct contains no `T`.
unsafe impl<T> Send for MiscDeviceRegistration<T> {}
// SAFETY: The methods with `&self` only read fields that do not change while the device is
// registered.
unsafe impl<T> Sync for MiscDeviceRegistration<T> {}

impl<T: MiscDevice> MiscDeviceRegistration<T> {
    /// Returns an initializer that registers a misc device.
    ///
    /// # Errors
    ///
    /// The initializer returns the errors of `misc_register()`:
    ///
    /// - `EBUSY`: No minor number is free.
    /// - `EEXIST`: The name is in use.
    /// - `ENOMEM`: An allocation failed.
    ///
    /// It also returns:
    ///
    /// - `EINVAL`: `OwnerModule` of `T` is not the module that contains the code, or the name is
    ///   empty or has more than 255 bytes.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    pub fn register(opts: MiscDeviceOptions) -> impl PinInit<Self, Error> {
        let init = move |slot: *mut Opaque<bindings::miscdevice>| {
            let this = slot.cast::<Self>();
            let slot = Opaque::raw_get(slot);
            let module = this_module::<T::OwnerModule>().as_ptr();

            // The driver core warns about an empty name, and about one that does not fit into a
            // uevent.
            if !(1..=255).contains(&opts.name.to_bytes().len()) {
                return Err(EINVAL);
            }
            module_going::check_owner(module, Operations::<T>::open as *const () as usize)?;

            // SAFETY: The memory passed to an initializer is valid for writes.
            unsafe { slot.write(opts.into_raw::<T>()) };

            // SAFETY: The struct was initialized above. It is pinned, so it does not move and is
            // not freed before `drop()` has removed it from the list of devices with
            // `misc_deregister()`.
            to_result(unsafe { bindings::misc_register(slot) })?;

            // SAFETY: `inner` is the first field of the type, which is `repr(C)`, so `this` points
            // to the registration that is being initialized. Its `leftover` was initialized before
            // `inner`, and is pinned. The device is registered. `check_owner()` has found that the
            // code of its operations is in `module`. This function and the type are of the same
            // module. `drop()` claims the object first.
            unsafe { Leftover::link(addr_of_mut!((*this).leftover), module) };
            Ok(())
        };

        try_pin_init!(Self {
            // As soon as the device is registered, `open()` may have a reference to `self`. So this
            // field is initialized first.
            leftover: Leftover::new(Kind::Registration, deregister),
            // SAFETY: On success, the memory contains a registered `miscdevice`; `Opaque` has no
            // requirements on its contents. On failure, `misc_register()` keeps no pointer to the
            // memory, and nothing needs to be dropped.
            // INVARIANT: On success, `misc_register()` has succeeded for a struct that
            // `into_raw::<T>()` returned.
            inner <- unsafe { pin_init_from_closure::<_, Error>(init) },
            _t: PhantomData,
        })
    }

    /// Returns a pointer to the `struct miscdevice`.
    pub fn as_raw(&self) -> *mut bindings::miscdevice {
        self.inner.get()
    }

    /// Returns the device, e.g. to print messages about it.
    pub fn device(&self) -> &Device {
        // SAFETY: By the type invariant, `misc_register()` has succeeded and has set `this_device`.
        // The device stays valid until `misc_deregister()`, which `drop()` calls after the end of
        // this borrow. `deregister()` calls it when no code of the module runs any more.
        unsafe { Device::as_ref((*self.as_raw()).this_device) }
    }
}

#[pinned_drop]
impl<T> PinnedDrop for MiscDeviceRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        if self.leftover.claim() {
            // SAFETY: By the type invariant, the device is registered: `leftover` has not been
            // ended.
            unsafe { bindings::misc_deregister(self.inner.get()) };
            self.leftover.unlink();
        }
    }
}

/// Deregisters a device that its module has left behind.
///
/// # Safety
///
/// `leftover` must be that of a `MiscDeviceRegistration` that is registered and not claimed.
unsafe fn deregister(leftover: *mut Leftover) {
    // SAFETY: `leftover` is a field of a `MiscDeviceRegistration<T>`. It is `repr(C)`, and `T` is
    // in the last field, which is zero-sized, so the offset does not depend on `T`.
    let this = unsafe { crate::container_of!(leftover, MiscDeviceRegistration<()>, leftover) };
    // SAFETY: The caller guarantees that the device is registered.
    unsafe { bindings::misc_deregister((*this).inner.get()) };
}

/// The operations of an open file of a misc device.
///
/// The implementing type is the data of an open file. [`open`](Self::open) creates it. It is
/// dropped after the last reference to the file is dropped.
///
/// # Context
///
/// Process context; may sleep.
#[vtable]
pub trait MiscDevice: Sized {
    /// The pointer type that owns the data, usually `KBox<Self>` or `Arc<Self>`.
    type Ptr: ForeignOwnable + Send + Sync;

    /// Creates the data of a file that is being opened.
    ///
    /// `misc_mtx` is held. While this waits, no misc device can be opened, registered or
    /// deregistered, and no module with one can be unloaded. So a wait must be short, and must not
    /// be in a freezable state.
    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Self::Ptr>;

    /// Sets up a VMA when userspace maps the file.
    ///
    /// The implementation must not access user memory.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    fn mmap(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _vma: &VmaNew,
    ) -> Result {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Describes the VMA to create when userspace maps the file: see
    /// [`vma_desc`](crate::mm::vma_desc).
    ///
    /// A device implements either this or [`mmap`](Self::mmap). The implementation must not access
    /// user memory.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    fn mmap_prepare<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _desc: &mut VmaDesc<'a>,
    ) -> Result {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Handles an `ioctl()`. The functions of [`kernel::ioctl`](crate::ioctl) decode `cmd`.
    fn ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Handles an `ioctl()` of a 32-bit process on a 64-bit kernel.
    ///
    /// If this is not implemented, `compat_ptr_ioctl()` calls [`ioctl`](Self::ioctl) and converts
    /// `arg` as a pointer.
    #[cfg(CONFIG_COMPAT)]
    fn compat_ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        build_error(VTABLE_DEFAULT_ERROR)
    }

    /// Returns the events of a file that is polled: see [`CharDevice::poll`].
    ///
    /// [`CharDevice::poll`]: crate::cdev::CharDevice::poll
    fn poll<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _table: &mut FilePollTable<'a>,
    ) -> u32 {
        build_error(VTABLE_DEFAULT_ERROR)
    }
}

/// The `struct file_operations` of `T`.
struct Operations<T: MiscDevice>(PhantomData<T>);

impl<T: MiscDevice> Operations<T> {
    const TABLE: bindings::file_operations = bindings::file_operations {
        // `do_init_module()` frees a module whose `init` fails without checking the refcount, so
        // this fails until `init` has returned.
        open: Some(Self::open),
        ..Calls::<Self>::TABLE
    };

    /// # Safety
    ///
    /// Only `misc_open()` may call this, for a device of a `MiscDeviceRegistration<T>`.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        let module = this_module::<T::OwnerModule>().as_ptr();
        // SAFETY: `misc_open()` has called this for a file whose `f_op` is `TABLE`, for which
        // `fops_get()` has taken a reference on its `owner`. That is `module`. An error is returned
        // at once, and `file` is not accessed before.
        if let Err(err) = unsafe { module_going::check_open(file, module) } {
            return err.to_errno();
        }

        // SAFETY: `misc_open()` passes the inode and the `struct file` of the file that is being
        // opened.
        let ret = unsafe { bindings::generic_file_open(inode, file) };
        if ret != 0 {
            return ret;
        }

        // SAFETY: `misc_open()` stored the pointer to the `miscdevice` in `private_data`. A
        // `MiscDeviceRegistration<T>` is `repr(C)`, and its first field is the `miscdevice`.
        // `misc_open()` holds `misc_mtx` during this call, and `misc_deregister()` takes
        // `misc_mtx`, so the device stays registered.
        let misc = unsafe { &*(*file).private_data.cast::<MiscDeviceRegistration<T>>() };
        // SAFETY: `misc_open()` has called this as `->open()` of the file, and the error is
        // returned. The table is that of `T`, whose functions use `private_data` of an open file
        // only.
        match unsafe { Calls::<Self>::open(file, |file| T::open(file, misc)) } {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    }
}

// SAFETY: The table is given to files of misc devices only. `open()` stores the result of
// `into_foreign()`, and no other function writes the field.
unsafe impl<T: MiscDevice> FileOperations for Operations<T> {
    forward_file_operations!(T: MiscDevice);
}
