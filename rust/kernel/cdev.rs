// SPDX-License-Identifier: GPL-2.0

//! Character devices with a major number of their own.
//!
//! A [`CharDeviceRegistration`] has one major number, one or more minor numbers, and a node in
//! `/dev` for each of these, unless [`CharDeviceRegistration::register_without_nodes`] leaves the
//! nodes to userspace. The kernel chooses the major number, unless
//! [`CharDeviceRegion::with_major`] names it. A driver with a single node needs no major number: it
//! uses a [misc device](crate::miscdevice) instead.
//!
//! A driver that registers a device for each piece of hardware, when it finds it, allocates a
//! [`CharDeviceRegion`] once. Each device gets one of its minor numbers.
//!
//! # Implementation
//!
//! `cdev_del()` does not wait for `chrdev_open()`: a process that has looked up the device before
//! calls `->open()` after it. The `owner` of a `struct cdev` does not keep a module whose `init()`
//! fails, either. So the `struct cdev` is in a
//! `Node`, which is freed with the last reference to it, and whose `->open()` is a function of
//! this file. That calls the driver only while it holds a lock which the end of the registration
//! takes, and with a reference to the module.
//!
//! C header: [`include/linux/cdev.h`](srctree/include/linux/cdev.h)

use crate::{
    bindings, c_str, container_of,
    device::Device,
    error::{
        from_err_ptr,
        to_result, //
    },
    file_operations::{
        forward_file_operations,
        forward_read_write,
        Calls,
        FileOperations,
        ReadWrite, //
    },
    fs::File,
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
    str::CString,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    task::FilePollTable,
    types::{
        ForeignOwnable,
        Opaque, //
    },
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    },
};
use core::{
    cell::UnsafeCell,
    ffi::c_void,
    marker::PhantomData,
    mem::{
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref,
    ptr::{
        self,
        addr_of_mut,
        null_mut,
        NonNull, //
    },
};

/// The maximum length of a name, in bytes: `struct char_device_struct` has room for no more.
const MAX_NAME: usize = 63;
/// The maximum length of the name of a node, in bytes: a directory of sysfs has this name, with `!`
/// in place of `/`.
const MAX_NODE_NAME: usize = bindings::NAME_MAX as usize;
/// What a file can be opened for, by its owner, its group and others.
const PERMISSIONS: u16 = 0o777;

/// The options of a character device, or of a region, that is to be registered.
#[derive(Copy, Clone)]
pub struct CharDeviceOptions {
    /// The name of the device, which `/proc/devices` has.
    ///
    /// It is also the name of the node in `/dev`. In a region, or if the device has several minor
    /// numbers, the minor number of the node follows. A [`CharDeviceNode`] can have another name.
    ///
    /// It has 1 to 63 bytes, which are printable ASCII characters other than a space, `/` and `!`.
    /// The first one is not a period.
    pub name: &'static CStr,
    /// The name of the class in `/sys/class/`, if it is not that of the device. The rules of that
    /// apply.
    pub class: Option<&'static CStr>,
    /// The number of minor numbers.
    pub minors: u32,
}

/// The node in `/dev` of a device in a region, see [`CharDeviceRegistration::register_in`].
///
/// The default is the lowest minor number that is free, the name of the region with the minor
/// number, and the mode 0600.
#[derive(Copy, Clone, Default)]
pub struct CharDeviceNode<'a> {
    /// The minor number, which must be one of the region.
    pub minor: Option<u32>,
    /// The name of the device in `/sys/class/`, where `!` replaces `/`.
    ///
    /// It has 1 to 255 bytes, which are printable ASCII characters other than a space and `!`.
    /// No component is empty or begins with a period.
    pub name: Option<&'a CStr>,
    /// The path in `/dev`, if it is not the name. The rules of the name apply. If there is no
    /// memory for a copy of it, the node has the name instead, or is not removed with the device.
    pub path: Option<&'a CStr>,
    /// The permission bits. The default is 0600. The node belongs to root.
    pub mode: Option<u16>,
}

impl CharDeviceNode<'_> {
    fn is_valid(&self) -> bool {
        let is_valid_path = |path: &CStr| {
            let path = path.to_bytes();
            path.len() <= MAX_NODE_NAME && path.split(|byte| *byte == b'/').all(is_component)
        };
        [self.name, self.path]
            .into_iter()
            .flatten()
            .all(is_valid_path)
            && self.mode.unwrap_or(0) <= PERMISSIONS
    }
}

/// Returns whether a name is valid.
fn is_valid(name: &CStr) -> bool {
    let name = name.to_bytes();
    name.len() <= MAX_NAME && is_component(name)
}

/// Returns whether a name is valid as a component of a path. `kobject_set_name()` replaces `/` by
/// `!`, and `devtmpfs` replaces `!` by `/`, which would make a directory.
fn is_component(name: &[u8]) -> bool {
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"/!".contains(byte);

    !name.is_empty() && name[0] != b'.' && name.iter().all(is_allowed)
}

/// The part of a character device that the kernel can reach after its registration has ended.
///
/// A file that is open has a reference to `cdev`, and so has `chrdev_open()`. `cdev` has a
/// reference to `kobj`, its parent, and so has the registration.
///
/// # Invariants
///
/// - The node is allocated by a [`KBox`]. [`Self::free`] frees it when the last reference to `kobj`
///   is dropped.
/// - After `cdev_add()`, `driver` is accessed with `lock` held only: by readers for reading, by the
///   writer for writing.
/// - If `driver` is not `None` after `cdev_add()`, the device is registered, and its module has not
///   been freed.
#[repr(C)]
struct Node {
    cdev: Opaque<bindings::cdev>,
    kobj: Opaque<bindings::kobject>,
    lock: Opaque<bindings::rw_semaphore>,
    driver: UnsafeCell<Option<Driver>>,
}

/// How a file of a device is opened.
#[derive(Copy, Clone)]
struct Driver {
    /// The `CharDeviceRegistration<T>`.
    registration: NonNull<c_void>,
    module: *mut bindings::module,
    table: &'static bindings::file_operations,
    /// [`Operations::open`] of `T`.
    open: unsafe fn(NonNull<c_void>, u32, *mut bindings::file) -> Result,
}

impl Node {
    /// The `struct file_operations` of each `cdev`. It has no owner, as it is not part of a module.
    const TABLE: &'static bindings::file_operations = &bindings::file_operations {
        open: Some(Self::open),
        // SAFETY: The fields of `struct file_operations` are integers and nullable pointers. Zero
        // is a valid value of each.
        ..unsafe { MaybeUninit::zeroed().assume_init() }
    };

    const KTYPE: &'static bindings::kobj_type = &bindings::kobj_type {
        release: Some(Self::free),
        // SAFETY: The fields of `struct kobj_type` are nullable pointers, for which zero is a valid
        // value.
        ..unsafe { MaybeUninit::zeroed().assume_init() }
    };

    /// Allocates a node.
    fn alloc(driver: Driver) -> Result<NodeRef> {
        let node = KBox::new(
            Self {
                cdev: Opaque::uninit(),
                // SAFETY: The fields of `struct kobject` are integers and nullable pointers. Zero
                // is a valid value of each.
                kobj: Opaque::new(unsafe { MaybeUninit::zeroed().assume_init() }),
                lock: Opaque::uninit(),
                driver: UnsafeCell::new(Some(driver)),
            },
            GFP_KERNEL,
        )?;
        // `free()` and `open()` get the node from a pointer to a field, so these are derived from a
        // pointer to the whole node.
        let node = KBox::into_raw(node);
        // SAFETY: `node` is valid, and this function owns it.
        let (cdev, kobj, lock) = unsafe {
            (
                addr_of_mut!((*node).cdev).cast::<bindings::cdev>(),
                addr_of_mut!((*node).kobj).cast::<bindings::kobject>(),
                addr_of_mut!((*node).lock).cast::<bindings::rw_semaphore>(),
            )
        };

        // SAFETY: `lock` is memory for a semaphore that nothing else uses yet. It does not move, as
        // the node is not moved out of its allocation.
        unsafe { bindings::init_rwsem(lock) };
        // SAFETY: `kobj` is zeroed, and does not move. `KTYPE` is a static, which C only reads.
        //
        // INVARIANT: This is the first reference to `kobj`. `free()` is called when the last one is
        // dropped.
        unsafe { bindings::kobject_init(kobj, ptr::from_ref(Self::KTYPE).cast_mut()) };
        // SAFETY: `cdev` is memory for a `struct cdev` that nothing else uses yet, and `TABLE` is a
        // static. `kobj` is initialized, and has the same lifetime: `cdev_add()` takes a reference,
        // and the release of `cdev` drops it.
        unsafe {
            bindings::cdev_init(cdev, Self::TABLE);
            bindings::cdev_set_parent(cdev, kobj);
        }
        // SAFETY: `KBox::into_raw()` does not return null.
        Ok(NodeRef(unsafe { NonNull::new_unchecked(node) }))
    }

    /// Frees a node.
    ///
    /// # Safety
    ///
    /// Only `kobject_put()` may call this, for the `kobj` of a node.
    unsafe extern "C" fn free(kobj: *mut bindings::kobject) {
        // SAFETY: `kobj` is a field of a `Node`.
        let node: *const Self =
            unsafe { container_of!(kobj.cast::<Opaque<bindings::kobject>>(), Self, kobj) };
        // SAFETY: By the type invariant, a `KBox` allocated the node, and nothing has a reference
        // to it any more.
        drop(unsafe { KBox::from_raw(node.cast_mut()) });
    }

    /// Removes the driver. Returns after each `open()` of it has returned.
    fn clear_driver(&self) {
        // SAFETY: `alloc()` has initialized the semaphore. The callers are in process context and
        // may sleep, and do not hold it.
        unsafe { bindings::down_write(self.lock.get()) };
        // SAFETY: This task holds the semaphore for writing.
        unsafe { *self.driver.get() = None };
        // SAFETY: This task holds the semaphore for writing.
        unsafe { bindings::up_write(self.lock.get()) };
    }

    /// Opens a file of a device.
    ///
    /// # Safety
    ///
    /// Only `chrdev_open()` may call this.
    unsafe extern "C" fn open(inode: *mut bindings::inode, file: *mut bindings::file) -> c_int {
        // SAFETY: `chrdev_open()` holds a reference to the `cdev` of the inode. Only the release of
        // that `cdev` and the eviction of the inode change the field.
        let cdev = unsafe { bindings::inode_cdev(inode) };
        // SAFETY: The table with this function is that of the `cdev` of a node only.
        let node: *const Self =
            unsafe { container_of!(cdev.cast::<Opaque<bindings::cdev>>(), Self, cdev) };
        // SAFETY: The reference of `chrdev_open()` keeps `cdev` and with it the node.
        let node = unsafe { &*node };

        // SAFETY: `alloc()` has initialized the semaphore. `open()` is called in process context,
        // and may sleep.
        let interrupted = unsafe { bindings::down_read_killable(node.lock.get()) };
        if interrupted != 0 {
            return interrupted;
        }
        // SAFETY: This task holds the semaphore for reading.
        let driver = unsafe { *node.driver.get() };
        let result = driver.ok_or(ENXIO).and_then(|driver| {
            // SAFETY: The inode is that of the file that `chrdev_open()` opens. `driver` is that of
            // the node, whose semaphore this task holds.
            unsafe { driver.open(bindings::iminor(inode), file) }
        });
        // SAFETY: This task holds the semaphore for reading.
        unsafe { bindings::up_read(node.lock.get()) };

        result.map_or_else(|err| err.to_errno(), |()| 0)
    }
}

impl Driver {
    /// Opens a file of the driver.
    ///
    /// # Safety
    ///
    /// - [`Node::open`] must call this, for the `file` that it opens.
    /// - The caller must hold the lock of the node of which this is the `driver`.
    unsafe fn open(self, minor: u32, file: *mut bindings::file) -> Result {
        // SAFETY: By the type invariant of `Node`, the module has not been freed. It is freed only
        // after the drop, or `rust_module_going()`, has taken the lock for writing in
        // `clear_driver()`. The caller holds it for reading.
        if !unsafe { bindings::try_module_get(self.module) } {
            return Err(ENXIO);
        }
        // SAFETY: `file` is being opened, so no other task uses it. Its former `f_op`,
        // `Node::TABLE`, has no owner. The reference to the module belongs to the new one.
        unsafe { (*file).f_op = self.table };
        // SAFETY: `Node::open()` is `->open()` of `file`. The reference above belongs to `f_op`,
        // the `owner` of which is `module`. The end of the registration takes the lock that the
        // caller holds. An error is returned by `Node::open()`, which does not access `file` after
        // this.
        unsafe { module_going::check_open(file, self.module)? };
        // SAFETY: By the type invariant of `Node`, the device is registered while the caller holds
        // the lock, and `open` is the function for the type of `registration`.
        unsafe { (self.open)(self.registration, minor, file) }
    }
}

/// Device numbers, all with the same major number, allocated by `alloc_chrdev_region()` or
/// `register_chrdev_region()`.
struct Numbers {
    first: bindings::dev_t,
    count: u32,
}

impl Numbers {
    /// Allocates device numbers: with this major and first minor number, or with a major number
    /// that the kernel chooses.
    fn new(options: CharDeviceOptions, fixed: Option<(u32, u32)>) -> Result<Self> {
        let (name, count) = (options.name.as_char_ptr(), options.minors);
        let mut first = 0;
        to_result(match fixed {
            // SAFETY: `first` is valid for writes, and `name` is a string.
            None => unsafe { bindings::alloc_chrdev_region(&mut first, 0, count, name) },
            Some((major, minor)) => {
                // For 0, C would choose another major number. Minor numbers beyond the last one
                // would be those of the next major number.
                let room = (bindings::MINORMASK + 1).saturating_sub(minor);
                if !(1..bindings::CHRDEV_MAJOR_MAX).contains(&major) || count > room {
                    return Err(EINVAL);
                }
                first = major << bindings::MINORBITS | minor;
                // SAFETY: `name` is a string.
                unsafe { bindings::register_chrdev_region(first, count, name) }
            }
        })?;
        Ok(Self { first, count })
    }

    fn major(&self) -> u32 {
        self.first >> bindings::MINORBITS
    }

    /// Returns the first minor number.
    fn minor(&self) -> u32 {
        self.first & bindings::MINORMASK
    }
}

impl Drop for Numbers {
    fn drop(&mut self) {
        // SAFETY: `new()` has allocated these numbers.
        unsafe { bindings::unregister_chrdev_region(self.first, self.count) };
    }
}

/// A class, created by `class_create()`. It has no devices when it is dropped.
struct Class(*mut bindings::class);

impl Class {
    fn new(options: CharDeviceOptions) -> Result<Self> {
        let name = options.class.unwrap_or(options.name).as_char_ptr();
        // SAFETY: `name` is a string. The class keeps the pointer. The string is part of the
        // driver, and the class is destroyed before the module is freed.
        let class = from_err_ptr(unsafe { bindings::class_create(name) })?;
        // SAFETY: `class_create()` has returned a valid class, which has no device yet, so nothing
        // reads the field.
        unsafe { (*class).devnode = Some(Self::devnode) };
        Ok(Self(class))
    }

    /// Returns the path of the node of a device, which the caller frees, or null if that is the
    /// name. Stores the mode of the node in `mode`, unless that is null.
    ///
    /// # Safety
    ///
    /// Only `device_get_devnode()` may call this, for a device that [`Parts::create_device`] has
    /// created.
    unsafe extern "C" fn devnode(
        dev: *const bindings::device,
        mode: *mut bindings::umode_t,
    ) -> *mut c_char {
        // SAFETY: The caller passes a valid device. `device_create()` has stored a pointer to the
        // `DevnodeData` before it added the device, and nothing changes it, as the device has no
        // driver. The driver core calls this for a device that is added, up to the end of
        // `device_del()`. `Parts` owns the `DevnodeData` longer than that.
        let data = unsafe { &*(*dev).driver_data.cast::<DevnodeData>() };
        if !mode.is_null() {
            // SAFETY: The caller passes a pointer that is valid for writes, or null.
            unsafe { *mode = data.mode };
        }
        let path = data
            .path
            .as_ref()
            .map_or(ptr::null(), |path| path.as_char_ptr());
        // SAFETY: `path` is a string, or null, for which `kstrdup()` returns null. The callers may
        // sleep: they send events to userspace, or wait for the thread of `devtmpfs`.
        unsafe { bindings::kstrdup(path, GFP_KERNEL.as_raw()) }
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        // SAFETY: `new()` has created the class, and its devices have been destroyed.
        unsafe { bindings::class_destroy(self.0) };
    }
}

/// A reference to the `kobj` of a node.
struct NodeRef(NonNull<Node>);

impl Deref for NodeRef {
    type Target = Node;

    fn deref(&self) -> &Node {
        // SAFETY: The reference keeps the node.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for NodeRef {
    fn drop(&mut self) {
        // SAFETY: `self` owns a reference to `kobj`.
        unsafe { bindings::kobject_put(self.kobj.get()) };
    }
}

/// Device numbers for one or more devices, and the class that has their nodes.
///
/// # Invariants
///
/// - `owned` is dropped by [`end`](Self::end) only.
/// - `ida` has the numbers of the [`Minors`] of this region.
#[pin_data(PinnedDrop)]
struct Region {
    owned: ManuallyDrop<(Option<Class>, Numbers)>,
    name: &'static CStr,
    #[pin]
    ida: Opaque<bindings::ida>,
    #[pin]
    leftover: Leftover,
}

// SAFETY: Any task may free a class, device numbers and an IDA, and `Leftover` is `Send`.
unsafe impl Send for Region {}
// SAFETY: The functions of an IDA take its lock, and `Leftover` is `Sync`. The other fields are
// only read.
unsafe impl Sync for Region {}

impl Region {
    /// Allocates a region.
    ///
    /// # Safety
    ///
    /// `module` must be the module with the code that executes this.
    unsafe fn new(
        options: CharDeviceOptions,
        fixed: Option<(u32, u32)>,
        has_class: bool,
        module: *mut bindings::module,
    ) -> Result<Arc<Self>> {
        let numbers = Numbers::new(options, fixed)?;
        let class = has_class.then(|| Class::new(options)).transpose()?;
        // The class is the first field, as it is dropped first.
        let owned = (class, numbers);
        // INVARIANT: No minor number has been allocated yet.
        let region = Arc::pin_init::<Error>(
            try_pin_init!(Self {
                owned: ManuallyDrop::new(owned),
                name: options.name,
                // SAFETY: `ida` is memory for an IDA.
                ida <- Opaque::ffi_init(|ida| unsafe { bindings::ida_init(ida) }),
                leftover: Leftover::new(Kind::Region, end_region),
            }? Error),
            GFP_KERNEL,
        )?;
        // SAFETY: `leftover` is pinned and has not been added before. The caller guarantees that
        // the module is that of the code that executes this. `drop()` claims the object first. The
        // notifier calls `end_region()` when the module has no registration any more, so the
        // devices of the region have been ended.
        unsafe { Leftover::link(ptr::from_ref(&region.leftover).cast_mut(), module) };
        Ok(region)
    }

    /// Destroys the class, if there is one, and makes the device numbers free.
    ///
    /// # Safety
    ///
    /// This must be the only call. The region must have no devices, and `self` must not be used
    /// after this, except to be dropped.
    unsafe fn end(&self) {
        // SAFETY: The caller guarantees that this is the only call, so the fields have not been
        // dropped, and that they are not used any more.
        drop(unsafe { ptr::read(&*self.owned) });
    }
}

#[pinned_drop]
impl PinnedDrop for Region {
    fn drop(self: Pin<&mut Self>) {
        if self.leftover.claim() {
            // SAFETY: `claim()` returns `true` once, and not after `end_region()`. Each device has
            // a reference to the region, so there is none.
            unsafe { self.end() };
            self.leftover.unlink();
        }
    }
}

/// Ends a region that its module has left behind.
///
/// # Safety
///
/// `leftover` must be that of a [`Region`] that is in the list and not claimed. Its devices must
/// have been ended.
unsafe fn end_region(leftover: *mut Leftover) {
    // SAFETY: `leftover` is a field of a `Region`, which is valid while it is in the list.
    let region = unsafe { &*container_of!(leftover, Region, leftover) };
    // SAFETY: The notifier calls this once, and after that, `claim()` returns `false`. The caller
    // guarantees that there are no devices. Only the drop uses the region after this: no code of
    // the module runs any more.
    unsafe { region.end() };
}

/// The minor numbers of a device.
///
/// # Invariants
///
/// No other device has these minor numbers. If `one` is not `None`, `region.ida` has it.
struct Minors {
    region: Arc<Region>,
    /// One minor number, counted from the first one of the region, or `None` for all.
    one: Option<u32>,
}

impl Minors {
    /// Allocates this minor number, or the lowest one that is free.
    fn one(region: Arc<Region>, minor: Option<u32>) -> Result<Self> {
        let numbers = &region.owned.1;
        let (min, max, none) = match minor {
            None => (0, numbers.count - 1, ENOSPC),
            Some(minor) => {
                let index = minor.checked_sub(numbers.minor()).ok_or(EINVAL)?;
                if index >= numbers.count {
                    return Err(EINVAL);
                }
                (index, index, EBUSY)
            }
        };
        // SAFETY: `Region::new()` has initialized the IDA.
        let index =
            unsafe { bindings::ida_alloc_range(region.ida.get(), min, max, GFP_KERNEL.as_raw()) };
        to_result(index).map_err(|err| if err == ENOSPC { none } else { err })?;
        // INVARIANT: `ida_alloc_range()` has returned a number that was free.
        // CAST: A number that is no error is not negative.
        Ok(Self {
            region,
            one: Some(index as u32),
        })
    }

    fn major(&self) -> u32 {
        self.region.owned.1.major()
    }

    /// Returns the first minor number.
    fn first(&self) -> u32 {
        self.first_device() & bindings::MINORMASK
    }

    fn count(&self) -> u32 {
        match self.one {
            Some(_) => 1,
            None => self.region.owned.1.count,
        }
    }

    /// Returns the first device number.
    fn first_device(&self) -> bindings::dev_t {
        self.region.owned.1.first + self.one.unwrap_or(0)
    }
}

impl Drop for Minors {
    fn drop(&mut self) {
        if let Some(index) = self.one {
            // SAFETY: `Region::new()` has initialized the IDA. By the type invariant, it has this
            // index, and nothing else frees it.
            unsafe { bindings::ida_free(self.region.ida.get(), index) };
        }
    }
}

/// The path of a node, if it is not the name of the device, and its mode.
struct DevnodeData {
    path: Option<CString>,
    mode: u16,
}

/// What a registration owns.
struct Parts {
    node: NodeRef,
    minors: Minors,
    /// The data of each device of the class.
    devnode: KBox<DevnodeData>,
}

impl Parts {
    /// Adds the device and its nodes in `/dev`.
    ///
    /// # Safety
    ///
    /// As for [`Registered::start`].
    unsafe fn add(&self, parent: Option<&Device>, name: Option<&CStr>) -> Result {
        let (first, count) = (self.minors.first_device(), self.minors.count());
        // SAFETY: `Node::alloc()` has initialized `cdev`, and the device numbers are its own. If
        // this fails, nothing has a reference to `cdev`, and `cdev` has none to its parent.
        to_result(unsafe { bindings::cdev_add(self.node.cdev.get(), first, count) })?;

        let Some(class) = &self.minors.region.owned.0 else {
            return Ok(());
        };
        for index in 0..count {
            if let Err(err) = self.create_device(class, parent, name, index) {
                self.delete(index);
                return Err(err);
            }
        }
        Ok(())
    }

    /// Creates a device of the class of the region, with a node in `/dev`.
    fn create_device(
        &self,
        class: &Class,
        parent: Option<&Device>,
        name: Option<&CStr>,
        index: u32,
    ) -> Result {
        let parent = parent.map_or(null_mut(), |parent| parent.as_raw());
        let region = &self.minors.region;
        let numbers = &region.owned.1;
        let format = match (name, self.minors.one, numbers.count) {
            (Some(_), ..) | (None, None, 1) => c_str!("%s"),
            _ => c_str!("%s%u"),
        };
        // SAFETY: The class is valid, and the number is one of this device. `parent` is null or
        // valid, and `device_create()` takes a reference to it. The data is what `devnode()` of
        // the class expects, and outlives the device: `delete()` is called before `self` is
        // dropped. The arguments after the format are those that it names; one more is allowed.
        from_err_ptr(unsafe {
            bindings::device_create(
                class.0,
                parent,
                self.minors.first_device() + index,
                ptr::from_ref::<DevnodeData>(&self.devnode)
                    .cast_mut()
                    .cast(),
                format.as_char_ptr(),
                name.unwrap_or(region.name).as_char_ptr(),
                self.minors.first() + index,
            )
        })?;
        Ok(())
    }

    /// Removes the device and its first `count` nodes in `/dev`, if its region has a class. Waits
    /// until no `open()` of the driver runs. Must be called once, after `cdev_add()`.
    fn delete(&self, count: u32) {
        if let Some(class) = &self.minors.region.owned.0 {
            for index in 0..count {
                let number = self.minors.first_device() + index;
                // SAFETY: `create_device()` has created a device with this class and number.
                unsafe { bindings::device_destroy(class.0, number) };
            }
        }
        // SAFETY: `cdev_add()` has succeeded. This drops the reference that `cdev_init()` has
        // created.
        unsafe { bindings::cdev_del(self.node.cdev.get()) };
        // A file that is open keeps `cdev`, with which the same inode can still be opened.
        self.node.clear_driver();
    }
}

/// The part of a registration that does not depend on the driver.
///
/// # Invariants
///
/// - `parts` is only written while the device is not added: before `cdev_add()`, and after
///   [`Parts::delete`].
/// - Otherwise it is not `None`, and, unless [`start`](Self::start) is running, `cdev_add()` has
///   succeeded for its node.
struct Registered {
    parts: UnsafeCell<Option<Parts>>,
    /// The major number, the first minor number, and how many there are. `start()` stores them
    /// before `cdev_add()`, through a shared reference. They are not read from `parts`, which the
    /// notifier writes.
    major: Atomic<u32>,
    minor: Atomic<u32>,
    minors: Atomic<u32>,
    leftover: Leftover,
}

// SAFETY: Any task may deregister the device, and own what `Parts` refers to.
unsafe impl Send for Registered {}
// SAFETY: The methods with `&self` read `parts`, which does not change while the device is added.
// `start()` and `end()` write it when no other task has a reference: `open()` gets one after
// `cdev_add()`, and does not run after `delete()`.
unsafe impl Sync for Registered {}

impl Registered {
    const fn new() -> Self {
        // INVARIANT: The device has not been added.
        Self {
            parts: UnsafeCell::new(None),
            major: Atomic::new(0),
            minor: Atomic::new(0),
            minors: Atomic::new(0),
            leftover: Leftover::new(Kind::Registration, deregister),
        }
    }

    /// Registers the device.
    ///
    /// # Safety
    ///
    /// - This must be the first call for `self`, which must be pinned.
    /// - `driver.module` must be the module with the code of the driver, which must execute this.
    /// - `driver.open` may be called with `driver.registration` until `self` is dropped or ended.
    /// - `minors` must be of a region of the same module.
    unsafe fn start(
        &self,
        minors: Minors,
        parent: Option<&Device>,
        node: CharDeviceNode<'_>,
        driver: Driver,
    ) -> Result {
        self.major.store(minors.major(), Relaxed);
        self.minor.store(minors.first(), Relaxed);
        self.minors.store(minors.count(), Relaxed);
        let path = node.path.map(CStr::to_cstring).transpose()?;
        // `devtmpfs` takes 0600 for 0, and the callers have checked the bits.
        let mode = node.mode.unwrap_or(0);
        let new = Parts {
            node: Node::alloc(driver)?,
            minors,
            devnode: KBox::new(DevnodeData { path, mode }, GFP_KERNEL)?,
        };
        // SAFETY: The device has not been added, so nothing else uses the field.
        let parts = unsafe { &mut *self.parts.get() };
        // INVARIANT: The device is added below. If that fails, the field is set to `None`.
        let parts = &*parts.insert(new);
        // SAFETY: Guaranteed by the caller.
        if let Err(err) = unsafe { parts.add(parent, node.name) } {
            // SAFETY: The device is not there any more, and no `open()` runs, so nothing else uses
            // the field.
            unsafe { *self.parts.get() = None };
            return Err(err);
        }
        // SAFETY: `leftover` is pinned and has not been added before. The caller guarantees that
        // the module is that of the code that executes this. `drop()` claims the object first.
        unsafe { Leftover::link(ptr::from_ref(&self.leftover).cast_mut(), driver.module) };
        Ok(())
    }

    /// Ends the registration, if there is one.
    ///
    /// # Safety
    ///
    /// `self` must not be used after this, except to be dropped.
    unsafe fn end(&self) {
        // SAFETY: The field does not change before the device is deleted. An `open()` that runs has
        // a shared reference as well.
        if let Some(parts) = unsafe { &*self.parts.get() } {
            parts.delete(parts.minors.count());
        }
        // SAFETY: The device is not there any more, and no `open()` runs. The caller guarantees
        // that there is no other user.
        //
        // INVARIANT: The device has been deleted.
        unsafe { *self.parts.get() = None };
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if self.leftover.claim() {
            // SAFETY: `self` is not used after its drop.
            unsafe { self.end() };
            self.leftover.unlink();
        }
    }
}

/// Deregisters a device that its module has left behind.
///
/// # Safety
///
/// `leftover` must be that of a [`Registered`] that is in the list and not claimed.
unsafe fn deregister(leftover: *mut Leftover) {
    // SAFETY: `leftover` is a field of a `Registered`, which is valid while it is in the list.
    let registered = unsafe { &*container_of!(leftover, Registered, leftover) };
    // SAFETY: Only its drop uses it after this: no code of the module runs any more.
    unsafe { registered.end() };
}

/// A range of minor numbers of one major number, and a class. Each device that a driver registers
/// in it gets one of the minor numbers.
///
/// Each device of [`CharDeviceRegistration::register_in`] holds a reference to it. If it is leaked,
/// it is removed when its module is unloaded, or when the `init()` of the module fails. The context
/// below is that of the drop.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     c_str,
///     cdev::{
///         CharDevice, CharDeviceNode, CharDeviceOptions, CharDeviceRegion,
///         CharDeviceRegistration, //
///     },
///     fs::File, //
/// };
///
/// /// What the driver knows of a sensor that it has found.
/// struct Sensor {
///     address: u16,
/// }
///
/// #[vtable]
/// impl CharDevice for Sensor {
///     type Ptr = ();
///     type Data = Sensor;
///
///     fn open(_file: &File, sensor: &CharDeviceRegistration<Self>, _minor: u32) -> Result {
///         pr_info!("sensor {} at {:#x}\n", sensor.minor(), sensor.data().address);
///         Ok(())
///     }
/// }
///
/// // When the module is loaded.
/// let options = CharDeviceOptions { name: c_str!("rust_sensor"), class: None, minors: 16 };
/// let region = CharDeviceRegion::<Sensor>::new(options)?;
///
/// // For each sensor: /dev/rust_sensor0, /dev/rust_sensor1.
/// let probe = |address| {
///     let (node, sensor) = (CharDeviceNode::default(), Sensor { address });
///     KBox::pin_init(CharDeviceRegistration::register_in(&region, node, sensor), GFP_KERNEL)
/// };
/// let first = probe(0x48)?;
/// let second = probe(0x4a)?;
/// # assert_eq!((first.minor(), second.minor(), second.minors()), (0, 1, 1));
///
/// // The first one is removed. The next one gets its number.
/// drop(first);
/// let third = probe(0x4c)?;
/// # assert_eq!(third.minor(), 0);
/// # drop(region);
/// # for minors in [0, CharDeviceRegion::<Sensor>::MAX_MINORS + 1] {
/// #     let options = CharDeviceOptions { name: c_str!("rust_sensors"), class: None, minors };
/// #     assert_eq!(CharDeviceRegion::<Sensor>::new(options).err(), Some(EINVAL));
/// # }
/// # Ok::<(), Error>(())
/// ```
pub struct CharDeviceRegion<T: CharDevice> {
    region: Arc<Region>,
    _device: PhantomData<fn() -> T>,
}

impl<T: CharDevice> CharDeviceRegion<T> {
    /// The maximum number of minor numbers, which all devices of a major number share.
    pub const MAX_MINORS: u32 = 1 << bindings::MINORBITS;

    /// Allocates device numbers, and creates a class.
    ///
    /// C: `alloc_chrdev_region()` and `class_create()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `OwnerModule` of `T` is not the module that contains the code, the name is not
    ///   valid (see [`CharDeviceOptions`]), or `minors` is zero or greater than
    ///   [`Self::MAX_MINORS`].
    /// - `EBUSY`: No major number is free.
    /// - `EEXIST`: The name is in use. The kernel log has a stack trace then.
    /// - `ENOMEM`: An allocation failed.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    #[doc(alias("alloc_chrdev_region", "class_create"))]
    pub fn new(options: CharDeviceOptions) -> Result<Self> {
        Self::allocate(options, None, true)
    }

    /// Allocates device numbers with this major number, beginning with this minor number, and
    /// creates a class.
    ///
    /// For a major number that userspace relies on, such as those of
    /// `Documentation/admin-guide/devices.txt`.
    ///
    /// C: `register_chrdev_region()` or `register_chrdev()`, and `class_create()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: The major number is 0 or at least 512 (`CHRDEV_MAJOR_MAX`), or the last minor
    ///   number exceeds 1,048,575 (`MINORMASK`).
    /// - `EBUSY`: Some of the device numbers are in use.
    /// - Others as for [`Self::new`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::{
    /// #     cdev::CharDeviceRegistration,
    /// #     fs::File, //
    /// # };
    /// use kernel::{
    ///     c_str,
    ///     cdev::{CharDevice, CharDeviceOptions, CharDeviceRegion}, //
    /// };
    /// # struct Tape;
    /// # #[vtable]
    /// # impl CharDevice for Tape {
    /// #     type Ptr = ();
    /// #     type Data = ();
    /// #
    /// #     fn open(_: &File, _: &CharDeviceRegistration<Self>, _: u32) -> Result {
    /// #         Ok(())
    /// #     }
    /// # }
    ///
    /// // 240 to 254 are for local use.
    /// const MAJOR: u32 = 240;
    ///
    /// let options = CharDeviceOptions {
    ///     name: c_str!("rust_tape"),
    ///     class: Some(c_str!("rust_tape_class")),
    ///     minors: 8,
    /// };
    /// let region = CharDeviceRegion::<Tape>::with_major(options, MAJOR, 8)?;
    /// assert_eq!(region.major(), MAJOR);
    /// # let other = CharDeviceOptions { name: c_str!("rust_tapes"), class: None, minors: 8 };
    /// # let refused = |major, minor| {
    /// #     CharDeviceRegion::<Tape>::with_major(other, major, minor).err()
    /// # };
    /// # assert_eq!(refused(MAJOR, 15), Some(EBUSY));
    /// # assert_eq!(refused(MAJOR, 1), Some(EBUSY));
    /// # for (major, minor) in [(0, 0), (512, 0), (u32::MAX, 0), (MAJOR, (1 << 20) - 7)] {
    /// #     assert_eq!(refused(major, minor), Some(EINVAL));
    /// # }
    /// # assert_eq!(refused(MAJOR, u32::MAX), Some(EINVAL));
    /// # // Names of classes.
    /// # for (class, error) in [
    /// #     (Some(c_str!("rust_tape_class")), Some(EEXIST)),
    /// #     (Some(c_str!("rust_tape")), None),
    /// #     (Some(c_str!("rust/tape")), Some(EINVAL)),
    /// #     (Some(c_str!("")), Some(EINVAL)),
    /// # ] {
    /// #     let other = CharDeviceOptions { class, ..other };
    /// #     assert_eq!(CharDeviceRegion::<Tape>::new(other).err(), error);
    /// # }
    /// # // The ends of the range.
    /// # assert!(refused(511, (1 << 20) - 8).is_none());
    /// # assert!(refused(MAJOR, 0).is_none());
    /// # drop(region);
    /// # assert!(refused(MAJOR, 15).is_none());
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("register_chrdev_region", "register_chrdev"))]
    pub fn with_major(options: CharDeviceOptions, major: u32, first_minor: u32) -> Result<Self> {
        Self::allocate(options, Some((major, first_minor)), true)
    }

    /// Returns the major number.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`Self::with_major`].
    #[doc(alias = "MAJOR")]
    pub fn major(&self) -> u32 {
        // This does not change when the region ends.
        self.region.owned.1.major()
    }

    fn allocate(
        options: CharDeviceOptions,
        fixed: Option<(u32, u32)>,
        has_class: bool,
    ) -> Result<Self> {
        if !is_valid(options.name)
            || options.class.is_some_and(|class| !is_valid(class))
            || !(1..=Self::MAX_MINORS).contains(&options.minors)
        {
            return Err(EINVAL);
        }
        let module = this_module::<T::OwnerModule>().as_ptr();
        module_going::check_owner(module, Operations::<T>::open as *const () as usize)?;
        Ok(Self {
            // SAFETY: `check_owner()` has found that the code of `T` is in `module`, and only the
            // driver has `T`.
            region: unsafe { Region::new(options, fixed, has_class, module)? },
            _device: PhantomData,
        })
    }
}

/// A registered character device.
///
/// Dropping it deregisters the device and removes its nodes from `/dev`. It waits for each
/// [`CharDevice::open`] that runs, and cannot be killed meanwhile. Files that are open at that time
/// stay open, and the functions of the driver are called for them: if the hardware is gone, they
/// return `ENODEV`, and `poll()` returns `EPOLLHUP | EPOLLERR`. If it is leaked, the device is
/// deregistered when its module is unloaded, or when the `init()` of the module fails.
///
/// The nodes appear at once, but while the module is in its `init()`, a process that opens one
/// waits until `init()` has returned. It can be killed. If `init()` fails, `open()` fails as for a
/// device that does not exist. An `init()` that waits for a process that opens the device waits
/// permanently, or until that process is killed. The context below is that of the drop.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Examples
///
/// ```
/// use kernel::{
///     c_str,
///     cdev::{CharDevice, CharDeviceOptions, CharDeviceRegistration},
///     fs::File,
///     uaccess::UserSliceWriter, //
/// };
///
/// /// A device whose nodes are read as an endless sequence of one byte, which is their number.
/// struct Numbers {
///     byte: u8,
/// }
///
/// #[vtable]
/// impl CharDevice for Numbers {
///     type Ptr = KBox<Self>;
///     type Data = ();
///
///     fn open(
///         _file: &File,
///         _device: &CharDeviceRegistration<Self>,
///         minor: u32,
///     ) -> Result<KBox<Self>> {
///         Ok(KBox::new(Numbers { byte: minor as u8 }, GFP_KERNEL)?)
///     }
///
///     fn read(
///         me: &Self,
///         _file: &File,
///         out: &mut UserSliceWriter,
///         _offset: &mut i64,
///     ) -> Result<usize> {
///         let count = out.len();
///         for _ in 0..count {
///             out.write(&me.byte)?;
///         }
///         Ok(count)
///     }
/// }
///
/// let options = CharDeviceOptions { name: c_str!("rust_numbers"), class: None, minors: 2 };
/// let device = CharDeviceRegistration::<Numbers>::register(options, ());
/// let device = KBox::pin_init(device, GFP_KERNEL)?;
/// # assert_eq!(device.minors(), 2);
/// # assert!(device.major() > 0);
/// # let refused = |name, minors| {
/// #     let options = CharDeviceOptions { name, class: None, minors };
/// #     let device = CharDeviceRegistration::<Numbers>::register(options, ());
/// #     KBox::pin_init(device, GFP_KERNEL).err()
/// # };
/// # for name in [c_str!(""), c_str!("a/b"), c_str!("a!b"), c_str!("a b"), c_str!("..")] {
/// #     assert_eq!(refused(name, 1), Some(EINVAL));
/// # }
/// # assert_eq!(refused(c_str!("rust_numbers"), 0), Some(EINVAL));
/// # assert_eq!(refused(c_str!("rust_numbers"), u32::MAX), Some(EINVAL));
/// # Ok::<(), Error>(())
/// ```
#[pin_data]
pub struct CharDeviceRegistration<T: CharDevice> {
    // The fields are dropped in this order, so `open()` does not run without `data`.
    #[pin]
    registered: Registered,
    data: T::Data,
}

impl<T: CharDevice> CharDeviceRegistration<T> {
    /// The maximum number of minor numbers. Each has a node in `/dev`.
    pub const MAX_MINORS: u32 = 1 << 10;

    /// Returns an initializer that registers a character device with device numbers of its own.
    ///
    /// C: `alloc_chrdev_region()`, `class_create()`, `cdev_add()` and `device_create()`.
    ///
    /// # Errors
    ///
    /// The initializer returns:
    ///
    /// - `EINVAL`: `OwnerModule` of `T` is not the module that contains the code, the name is not
    ///   valid (see [`CharDeviceOptions`]), or `minors` is zero or greater than
    ///   [`Self::MAX_MINORS`].
    /// - `EBUSY`: No major number is free.
    /// - `EEXIST`: The name is in use. The kernel log has a stack trace then.
    /// - `ENOMEM`: An allocation failed.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    #[doc(alias("alloc_chrdev_region", "cdev_add", "class_create", "device_create"))]
    pub fn register(options: CharDeviceOptions, data: T::Data) -> impl PinInit<Self, Error> {
        Self::init(data, None, CharDeviceNode::default(), move || {
            if options.minors > Self::MAX_MINORS {
                return Err(EINVAL);
            }
            let CharDeviceRegion { region, .. } = CharDeviceRegion::<T>::new(options)?;
            // INVARIANT: The region has no other device, now or later.
            Ok(Minors { region, one: None })
        })
    }

    /// Returns an initializer that registers a character device with device numbers of its own, but
    /// without a class and without nodes in `/dev`.
    ///
    /// For a driver whose userspace reads the major number in `/proc/devices` and creates the node
    /// itself, as the management tools of some host adapters do. Such a driver in C has 256 minor
    /// numbers.
    ///
    /// C: `register_chrdev()` with the major number 0.
    ///
    /// # Errors
    ///
    /// The initializer returns:
    ///
    /// - `EINVAL`: `OwnerModule` of `T` is not the module that contains the code, the name is not
    ///   valid (see [`CharDeviceOptions`]), there is a name of a class, or `minors` is zero or
    ///   greater than [`CharDeviceRegion::MAX_MINORS`].
    /// - `EBUSY`: No major number is free.
    /// - `ENOMEM`: An allocation failed.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kernel::fs::File;
    /// use kernel::{
    ///     c_str,
    ///     cdev::{CharDevice, CharDeviceOptions, CharDeviceRegistration}, //
    /// };
    /// # struct Adapters;
    /// # #[vtable]
    /// # impl CharDevice for Adapters {
    /// #     type Ptr = ();
    /// #     type Data = ();
    /// #
    /// #     fn open(_: &File, _: &CharDeviceRegistration<Self>, _: u32) -> Result {
    /// #         Ok(())
    /// #     }
    /// # }
    ///
    /// // A tool reads the major number of "rust_adapters" in /proc/devices, and calls mknod().
    /// let options = CharDeviceOptions { name: c_str!("rust_adapters"), class: None, minors: 256 };
    /// let device = CharDeviceRegistration::<Adapters>::register_without_nodes(options, ());
    /// let device = KBox::pin_init(device, GFP_KERNEL)?;
    /// assert_eq!((device.minor(), device.minors()), (0, 256));
    /// # assert!(device.major() > 0);
    /// # let again = |options| {
    /// #     let device = CharDeviceRegistration::<Adapters>::register_without_nodes(options, ());
    /// #     KBox::pin_init(device, GFP_KERNEL).map(drop)
    /// # };
    /// # // Major numbers may share a name. There is no class whose name would be in use.
    /// # assert_eq!(again(options), Ok(()));
    /// # let class = Some(c_str!("rust_adapters"));
    /// # for refused in [
    /// #     CharDeviceOptions { class, ..options },
    /// #     CharDeviceOptions { minors: 0, ..options },
    /// #     CharDeviceOptions { minors: (1 << 20) + 1, ..options },
    /// #     CharDeviceOptions { name: c_str!("rust adapters"), ..options },
    /// # ] {
    /// #     assert_eq!(again(refused), Err(EINVAL));
    /// # }
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "register_chrdev")]
    pub fn register_without_nodes(
        options: CharDeviceOptions,
        data: T::Data,
    ) -> impl PinInit<Self, Error> {
        Self::init(data, None, CharDeviceNode::default(), move || {
            if options.class.is_some() {
                return Err(EINVAL);
            }
            let CharDeviceRegion { region, .. } =
                CharDeviceRegion::<T>::allocate(options, None, false)?;
            // INVARIANT: The region has no other device, now or later.
            Ok(Minors { region, one: None })
        })
    }

    /// Returns an initializer that registers a character device with one minor number of a region.
    ///
    /// [`Self::minor`] returns the minor number, and `minor` of [`CharDevice::open`] is 0.
    ///
    /// C: `ida_alloc_max()`, `cdev_add()` and `device_create()`.
    ///
    /// # Errors
    ///
    /// The initializer returns:
    ///
    /// - `EINVAL`: The node has a minor number that the region does not have, a name that is not
    ///   valid (see [`CharDeviceNode`]), or a mode greater than 0777.
    /// - `EBUSY`: The minor number is in use.
    /// - `ENOSPC`: No minor number of the region is free.
    /// - `EEXIST`: A device of the region has the name, or `/sys/devices/virtual/` has a directory
    ///   with the name of the region that is not one of a class. The kernel log has a stack trace
    ///   then. So a driver checks a name that userspace chooses.
    /// - `ENOMEM`: An allocation failed.
    ///
    /// If `/dev` has a node of another device with this name, that stays, and this device has none.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// A port with the number that the hardware has for it, in a directory, for all users to read:
    ///
    /// ```
    /// # use kernel::fs::File;
    /// use kernel::{
    ///     c_str,
    ///     cdev::{
    ///         CharDevice, CharDeviceNode, CharDeviceOptions, CharDeviceRegion,
    ///         CharDeviceRegistration, //
    ///     },
    ///     fmt,
    ///     str::CString, //
    /// };
    /// # struct Port;
    /// # #[vtable]
    /// # impl CharDevice for Port {
    /// #     type Ptr = ();
    /// #     type Data = ();
    /// #
    /// #     fn open(_: &File, _: &CharDeviceRegistration<Self>, _: u32) -> Result {
    /// #         Ok(())
    /// #     }
    /// # }
    ///
    /// let add_port = |region: &CharDeviceRegion<Port>, card: u32, port: u32| {
    ///     let name = CString::try_from_fmt(fmt!("rust_card{card}/port{port}"))?;
    ///     let node = CharDeviceNode {
    ///         minor: Some(port),
    ///         name: Some(&name),
    ///         mode: Some(0o444),
    ///         ..CharDeviceNode::default()
    ///     };
    ///     KBox::pin_init(CharDeviceRegistration::register_in(region, node, ()), GFP_KERNEL)
    /// };
    /// # let options = CharDeviceOptions { name: c_str!("rust_card"), class: None, minors: 4 };
    /// # let region = CharDeviceRegion::<Port>::new(options)?;
    /// # let port = add_port(&region, 0, 2)?;
    /// # assert_eq!((port.minor(), port.minors()), (2, 1));
    /// # assert_eq!(port.major(), region.major());
    /// # assert_eq!(add_port(&region, 1, 2).err(), Some(EBUSY));
    /// # assert_eq!(add_port(&region, 1, 4).err(), Some(EINVAL));
    /// # let add = |node| {
    /// #     KBox::pin_init(CharDeviceRegistration::register_in(&region, node, ()), GFP_KERNEL)
    /// # };
    /// # let any = CharDeviceNode::default();
    /// # for name in [
    /// #     c_str!(""), c_str!("/a"), c_str!("a/"), c_str!("a//b"), c_str!("../a"), c_str!("a/."),
    /// #     c_str!("a!b"), c_str!("a b"), //
    /// # ] {
    /// #     assert_eq!(add(CharDeviceNode { name: Some(name), ..any }).err(), Some(EINVAL));
    /// #     assert_eq!(add(CharDeviceNode { path: Some(name), ..any }).err(), Some(EINVAL));
    /// # }
    /// # assert_eq!(add(CharDeviceNode { mode: Some(0o1000), ..any }).err(), Some(EINVAL));
    /// # // The lowest number, as often as there is one.
    /// # let others = [add(any)?, add(any)?, add(any)?];
    /// # assert_eq!(others.each_ref().map(|other| other.minor()), [0, 1, 3]);
    /// # assert_eq!(add(any).err(), Some(ENOSPC));
    /// # drop(port);
    /// # assert_eq!(add_port(&region, 1, 2)?.minor(), 2);
    /// # // Minor numbers that do not begin with 0.
    /// # let options = CharDeviceOptions { name: c_str!("rust_cards"), class: None, minors: 4 };
    /// # let region = CharDeviceRegion::<Port>::with_major(options, 241, 8)?;
    /// # for minor in [0, 7, 12, u32::MAX] {
    /// #     assert_eq!(add_port(&region, 0, minor).err(), Some(EINVAL));
    /// # }
    /// # let port = add_port(&region, 0, 8)?;
    /// # assert_eq!(port.minor(), 8);
    /// # assert_eq!(add_port(&region, 0, 11)?.minor(), 11);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("ida_alloc_max", "cdev_add", "device_create"))]
    pub fn register_in<'a>(
        region: &CharDeviceRegion<T>,
        node: CharDeviceNode<'a>,
        data: T::Data,
    ) -> impl PinInit<Self, Error> + 'a {
        Self::init_in(region, None, node, data)
    }

    /// Returns an initializer for a device with one minor number of a region.
    pub(crate) fn init_in<'a>(
        region: &CharDeviceRegion<T>,
        parent: Option<&'a Device>,
        node: CharDeviceNode<'a>,
        data: T::Data,
    ) -> impl PinInit<Self, Error> + 'a {
        let region = region.region.clone();
        Self::init(data, parent, node, move || {
            if !node.is_valid() {
                return Err(EINVAL);
            }
            Minors::one(region, node.minor)
        })
    }

    /// Returns an initializer for a device with the result of `minors`, which must be of a
    /// [`CharDeviceRegion<T>`].
    fn init<'a>(
        data: T::Data,
        parent: Option<&'a Device>,
        node: CharDeviceNode<'a>,
        minors: impl FnOnce() -> Result<Minors> + 'a,
    ) -> impl PinInit<Self, Error> + 'a {
        let parts = try_pin_init!(Self {
            data,
            registered: Registered::new(),
        }? Error);
        parts.pin_chain(move |this| {
            let minors = minors()?;
            let this = &*this;
            let driver = Driver {
                registration: NonNull::from(this).cast(),
                module: this_module::<T::OwnerModule>().as_ptr(),
                table: Operations::<T>::TABLE,
                open: Operations::<T>::open,
            };
            // SAFETY: `this` is pinned, and is initialized but for the registration. `minors` is of
            // a `CharDeviceRegion<T>`, from which both callers of this function take it.
            // `CharDeviceRegion::new()` has found that the code of `T` is in `module`, and the
            // region is of that module. `Operations::<T>::open()` expects a
            // `CharDeviceRegistration<T>`, which is valid until it is dropped. If that is leaked,
            // it is ended before the module is freed.
            unsafe { this.registered.start(minors, parent, node, driver) }
        })
    }

    /// Returns the data that the device was registered with.
    pub fn data(&self) -> &T::Data {
        &self.data
    }

    /// Returns the major number.
    ///
    /// For a driver that tells userspace by other means than the node, such as configfs.
    pub fn major(&self) -> u32 {
        self.registered.major.load(Relaxed)
    }

    /// Returns the minor number of the first node.
    pub fn minor(&self) -> u32 {
        self.registered.minor.load(Relaxed)
    }

    /// Returns the number of minor numbers.
    pub fn minors(&self) -> u32 {
        self.registered.minors.load(Relaxed)
    }
}

/// The operations of an open file of a character device.
///
/// The implementing type is the data of an open file. [`open`](Self::open) creates it. It is
/// dropped after the last reference to the file is dropped.
///
/// # Context
///
/// Process context; may sleep.
#[vtable]
pub trait CharDevice: Sized + 'static {
    /// The pointer type that owns the data, usually `KBox<Self>` or `Arc<Self>`.
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// What the files of a device share, see [`CharDeviceRegistration::data`].
    type Data: Send + Sync + 'static;

    /// Whether `lseek()` succeeds and returns the position, which it does not change. Otherwise, it
    /// fails with `ESPIPE`.
    ///
    /// This is for a device that has no positions and whose driver in C had it: userspace may rely
    /// on it. `pread()` and `pwrite()` pass their positions to the driver in either case.
    #[doc(alias("noop_llseek", "llseek"))]
    const NOOP_LLSEEK: bool = false;

    /// Creates the data of a file that is being opened. `minor` is less than
    /// [`CharDeviceRegistration::minors`].
    ///
    /// The device stays registered until this returns: its drop waits for this. So this must not
    /// drop a registration of this kind, nor wait for a task that does, for example for a lock that
    /// is held during the drop.
    fn open(file: &File, device: &CharDeviceRegistration<Self>, minor: u32) -> Result<Self::Ptr>;

    /// Reads from the file at `offset`, and advances it. Returns the number of bytes, or 0 at the
    /// end. A result greater than `out.len()` is reduced to that, and `EIOCBQUEUED` becomes `EIO`.
    ///
    /// C: `->read()`. Several tasks may call this for one file at the same time. If there is
    /// nothing to read, it waits, or returns `EAGAIN` if the flags of the file have `O_NONBLOCK`.
    /// There is no `->read_iter()`, so `splice()` fails with `EINVAL`.
    fn read(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _out: &mut UserSliceWriter,
        _offset: &mut i64,
    ) -> Result<usize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Writes to the file at `offset`, and advances it. Returns the number of bytes. What is said
    /// of [`read`](Self::read) applies.
    ///
    /// C: `->write()`.
    fn write(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _input: &mut UserSliceReader,
        _offset: &mut i64,
    ) -> Result<usize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Returns which of the [`poll_events`](crate::task::poll_events) there are, for `poll()`,
    /// `select()` and `epoll_wait()`.
    ///
    /// C: `->poll()`. It first adds each queue whose wake-up may change the result to `table`, and
    /// then looks at the state of the device. Bits that are no events are ignored. If this is not
    /// implemented, a file can always be read and written.
    ///
    /// A queue must last until the file is released, so it must be reached with the lifetime `'a`.
    /// A dereference of an `ArcBorrow` or a `Pin` only lasts as long as the variable: use
    /// `ArcBorrow::get_ref()` or [`Pin::get_ref`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     cdev::{CharDevice, CharDeviceRegistration},
    ///     fs::File,
    ///     sync::{atomic::{Acquire, Atomic, Release}, Arc, ArcBorrow},
    ///     task::{poll_events, FilePollTable, WaitQueue}, //
    /// };
    ///
    /// #[pin_data]
    /// struct Channel {
    ///     ready: Atomic<bool>,
    ///     #[pin]
    ///     readers: WaitQueue,
    /// }
    ///
    /// impl Channel {
    ///     fn interrupt(&self) {
    ///         self.ready.store(true, Release);
    ///         self.readers.wake_up();
    ///     }
    /// }
    ///
    /// #[vtable]
    /// impl CharDevice for Channel {
    ///     type Ptr = Arc<Self>;
    ///     type Data = Arc<Self>;
    ///
    ///     fn open(
    ///         _file: &File,
    ///         device: &CharDeviceRegistration<Self>,
    ///         _minor: u32,
    ///     ) -> Result<Arc<Self>> {
    ///         Ok(device.data().clone())
    ///     }
    ///
    ///     fn poll<'a>(
    ///         me: ArcBorrow<'a, Self>,
    ///         _file: &'a File,
    ///         table: &mut FilePollTable<'a>,
    ///     ) -> u32 {
    ///         table.poll_wait(&me.get_ref().readers);
    ///         match me.ready.load(Acquire) {
    ///             true => poll_events::EPOLLIN | poll_events::EPOLLRDNORM,
    ///             false => 0,
    ///         }
    ///     }
    /// }
    /// # let channel = KBox::pin_init(
    /// #     pin_init!(Channel { ready: Atomic::new(false), readers <- WaitQueue::new() }),
    /// #     GFP_KERNEL,
    /// # )?;
    /// # channel.interrupt();
    /// # assert!(channel.ready.load(Acquire));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "poll_wait")]
    fn poll<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _table: &mut FilePollTable<'a>,
    ) -> u32 {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Sets up a VMA when userspace maps the file.
    ///
    /// The implementation must not access user memory: a page fault takes the mmap lock.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    fn mmap(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _vma: &VmaNew,
    ) -> Result {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Describes the VMA to create when userspace maps the file: see
    /// [`vma_desc`](crate::mm::vma_desc).
    ///
    /// A device implements either this or [`mmap`](Self::mmap). What is said there of user memory
    /// applies.
    ///
    /// # Context
    ///
    /// Process context; may sleep. The caller holds the mmap lock for writing.
    fn mmap_prepare<'a>(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'a>,
        _file: &'a File,
        _desc: &mut VmaDesc<'a>,
    ) -> Result {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }

    /// Handles an `ioctl()`. The functions of [`kernel::ioctl`](crate::ioctl) decode `cmd`.
    fn ioctl(
        _device: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        _file: &File,
        _cmd: u32,
        _arg: usize,
    ) -> Result<isize> {
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
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
        crate::build_error!(crate::error::VTABLE_DEFAULT_ERROR)
    }
}

/// The `struct file_operations` of `T`.
struct Operations<T: CharDevice>(PhantomData<T>);

impl<T: CharDevice> Operations<T> {
    const TABLE: &'static bindings::file_operations = &Calls::<Self>::WITH_READ_WRITE;

    /// Creates the data of a file.
    ///
    /// # Safety
    ///
    /// - Only [`Driver::open`] may call this, for a `CharDeviceRegistration<T>`.
    /// - `file` must be the file that is being opened, with [`Self::TABLE`] as its `f_op`.
    unsafe fn open(registration: NonNull<c_void>, minor: u32, file: *mut bindings::file) -> Result {
        // SAFETY: The caller guarantees the type. The device is registered while the caller holds
        // the lock of the node, so it is not dropped.
        let device = unsafe { registration.cast::<CharDeviceRegistration<T>>().as_ref() };
        let minor = minor - device.minor();
        // SAFETY: `chrdev_open()` calls `->open()` of the file, which returns the error. The table
        // is that of `T`, whose functions use `private_data` of an open file only.
        unsafe { Calls::<Self>::open(file, |file| T::open(file, device, minor)) }
    }
}

// SAFETY: The table is given to files of character devices only. `open()` stores the result of
// `into_foreign()`, and no other function writes the field.
unsafe impl<T: CharDevice> FileOperations for Operations<T> {
    const NOOP_LLSEEK: bool = T::NOOP_LLSEEK;

    forward_file_operations!(T: CharDevice);
}

impl<T: CharDevice> ReadWrite for Operations<T> {
    forward_read_write!(T: CharDevice);
}
