// SPDX-License-Identifier: GPL-2.0

//! Shrinkers: callbacks that free a driver's cached objects under memory pressure.
//!
//! C header: [`include/linux/shrinker.h`](srctree/include/linux/shrinker.h)

use crate::{
    bindings, c_str, container_of,
    ffi::{
        c_int,
        c_long,
        c_ulong,
        c_void, //
    },
    module_going::{
        self,
        Kind,
        Leftover, //
    },
    prelude::*,
    str::CString,
    types::ForeignOwnable,
};
use core::{
    fmt,
    marker::PhantomData,
    ptr::{
        addr_of,
        NonNull, //
    },
};

/// The callbacks of a shrinker.
///
/// Any task may call both, several at the same time: one that allocates memory, `kswapd`, or one
/// that writes to `/proc/sys/vm/drop_caches`. An allocation by the driver itself may call them.
/// With `CONFIG_SHRINKER_DEBUG`, so does a task that accesses a file in debugfs. They must not
///
/// - take a lock that any task holds while it allocates memory with flags that allow reclaim,
/// - allocate memory themselves, except with `GFP_NOWAIT`, or
/// - register or drop a shrinker.
///
/// # Examples
///
/// See [`ShrinkerRegistration`].
#[doc(alias = "shrinker")]
pub trait Shrinker: 'static {
    /// The pointer that owns the data, usually [`Arc<Self>`](crate::sync::Arc).
    type Ptr: ForeignOwnable + Send + Sync + 'static;

    /// How expensive it is to recreate an object, in comparison with others: the number of seeks
    /// of a disk (C: `seeks`). With 0, each pass frees half of the objects.
    #[doc(alias = "DEFAULT_SEEKS")]
    const SEEKS: u8 = 2;

    /// How many objects one call of [`scan_objects`](Self::scan_objects) should free, or 0 for the
    /// kernel's default, which is 128.
    const BATCH: u16 = 0;

    /// Whether the objects of each NUMA node are counted and freed separately: the callbacks are
    /// called for each node, and only see to the objects of [`ShrinkControl::nid`].
    ///
    /// Without it, they are called for all objects, whatever the node is.
    #[doc(alias = "SHRINKER_NUMA_AWARE")]
    const NUMA_AWARE: bool = false;

    /// Returns how many objects can be freed. This may be an estimate. A result greater than
    /// `i32::MAX` is reduced to that.
    ///
    /// Linux 6.18 calls this in an RCU read-side critical section if a file in debugfs is read.
    ///
    /// # Context
    ///
    /// Process context.
    fn count_objects(
        me: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        control: &ShrinkControl,
    ) -> usize;

    /// Looks at up to [`ShrinkControl::nr_to_scan`] objects, and frees those that it can. Returns
    /// how many it has freed, or `None` if it cannot free any now, for example because a lock is
    /// held.
    ///
    /// C: `SHRINK_STOP` for `None`.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    fn scan_objects(
        me: <Self::Ptr as ForeignOwnable>::Borrowed<'_>,
        control: &mut ShrinkControl,
    ) -> Option<usize>;
}

/// What the kernel asks a shrinker for, and how far it has come.
///
/// Only the callbacks of a [`Shrinker`] get one.
///
/// # Examples
///
/// A cache that frees a buffer only if the hardware has finished with it:
///
/// ```
/// use kernel::{
///     shrinker::{ShrinkControl, Shrinker},
///     sync::atomic::{Acquire, Atomic, Relaxed, Release},
/// };
///
/// struct Buffer {
///     busy: Atomic<bool>,
///     allocated: Atomic<bool>,
/// }
///
/// struct Buffers([Buffer; 16]);
///
/// impl Shrinker for Buffers {
///     type Ptr = KBox<Self>;
///
///     fn count_objects(me: &Self, control: &ShrinkControl) -> usize {
///         // To free a buffer, the driver calls into a file system.
///         if !control.allows_fs() {
///             return 0;
///         }
///         me.0.iter().filter(|buffer| buffer.allocated.load(Relaxed)).count()
///     }
///
///     fn scan_objects(me: &Self, control: &mut ShrinkControl) -> Option<usize> {
///         let (mut seen, mut freed) = (0, 0);
///         for buffer in me.0.iter().take(control.nr_to_scan()) {
///             seen += 1;
///             if !buffer.busy.load(Acquire) {
///                 buffer.allocated.store(false, Release);
///                 freed += 1;
///             }
///         }
///         control.set_nr_scanned(seen);
///         (seen > 0).then_some(freed)
///     }
/// }
/// ```
#[doc(alias = "shrink_control")]
#[derive(Debug)]
pub struct ShrinkControl {
    // A copy, so that neither a null pointer nor a pointer to another shrinker's can be in it.
    gfp_mask: bindings::gfp_t,
    nid: u32,
    nr_to_scan: usize,
    nr_scanned: usize,
}

impl ShrinkControl {
    /// Copies what C passes to a callback.
    ///
    /// # Safety
    ///
    /// `control` must be the argument of a callback.
    unsafe fn new(control: *const bindings::shrink_control) -> Self {
        // SAFETY: By the safety requirements, the pointer is valid, and nothing else uses the
        // struct: it is on the stack of the caller.
        let control = unsafe { &*control };
        Self {
            gfp_mask: control.gfp_mask,
            // CAST: It is the number of a node, also if it comes from debugfs.
            nid: control.nid as u32,
            nr_to_scan: control.nr_to_scan,
            nr_scanned: control.nr_scanned,
        }
    }

    /// Returns the NUMA node on which memory is needed.
    ///
    /// It may be offline, as a file in debugfs accepts each node that is possible.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     shrinker::ShrinkControl,
    ///     sync::atomic::{Atomic, Relaxed},
    /// };
    ///
    /// /// The pages that a pool has on each node.
    /// struct Pool {
    ///     pages: KVec<Atomic<usize>>,
    /// }
    ///
    /// impl Pool {
    ///     /// For a shrinker that is `NUMA_AWARE`.
    ///     fn count(&self, control: &ShrinkControl) -> usize {
    ///         let pages = self.pages.get(control.nid() as usize);
    ///         pages.map_or(0, |pages| pages.load(Relaxed))
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn nid(&self) -> u32 {
        self.nid
    }

    /// Returns how many objects [`Shrinker::scan_objects`] should look at. In
    /// [`Shrinker::count_objects`], it is 0.
    ///
    /// By a file in debugfs, userspace can choose any value other than zero.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`ShrinkControl`].
    #[inline]
    pub fn nr_to_scan(&self) -> usize {
        self.nr_to_scan
    }

    /// Tells the kernel how many objects [`Shrinker::scan_objects`] has looked at, also in vain.
    /// Without a call, that is [`nr_to_scan`](Self::nr_to_scan).
    ///
    /// For one that has looked at more or fewer: the kernel asks again, until enough have been
    /// looked at. 0 counts as 1, as it would ask without an end; return `None` then. A value
    /// greater than `i32::MAX` is reduced to that.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`ShrinkControl`].
    #[inline]
    pub fn set_nr_scanned(&mut self, objects: usize) {
        self.nr_scanned = objects.clamp(1, i32::MAX as usize);
    }

    /// Returns whether the callback may call into a file system (`__GFP_FS`): the code that
    /// allocates memory holds no lock of one.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`ShrinkControl`].
    #[doc(alias = "__GFP_FS")]
    #[inline]
    pub fn allows_fs(&self) -> bool {
        self.has_flag(bindings::___GFP_FS_BIT)
    }

    /// Returns whether the callback may start I/O, and wait for it (`__GFP_IO`).
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::shrinker::ShrinkControl;
    ///
    /// /// Returns whether objects that have changed can be written, and then freed.
    /// fn can_write(control: &ShrinkControl) -> bool {
    ///     control.allows_io() && !current!().is_kswapd()
    /// }
    /// ```
    #[doc(alias = "__GFP_IO")]
    #[inline]
    pub fn allows_io(&self) -> bool {
        self.has_flag(bindings::___GFP_IO_BIT)
    }

    /// Returns whether the allocation may wait for reclaim (`__GFP_DIRECT_RECLAIM`).
    /// [`kswapd`](crate::task::CurrentTask::is_kswapd) sets the flag as well.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::shrinker::ShrinkControl;
    ///
    /// /// Returns whether the callback may wait for the hardware.
    /// fn can_wait(control: &ShrinkControl) -> bool {
    ///     control.allows_direct_reclaim() || current!().is_kswapd()
    /// }
    /// ```
    #[doc(alias = "__GFP_DIRECT_RECLAIM")]
    #[inline]
    pub fn allows_direct_reclaim(&self) -> bool {
        self.has_flag(bindings::___GFP_DIRECT_RECLAIM_BIT)
    }

    #[inline]
    fn has_flag(&self, bit: c_uint) -> bool {
        self.gfp_mask & (1 << bit) != 0
    }
}

/// A shrinker that is registered.
///
/// Dropping it unregisters the shrinker, and waits until no callback is running. If it is leaked,
/// it is unregistered when its module is unloaded, or when the `init()` of the module fails. The
/// shrinker is not memcg aware.
///
/// The context below is that of the drop.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Invariants
///
/// - `shrinker` is that of `alloc()`. Unless [`register`](Self::register) is running, its
///   `private_data` is `data`, and it is registered, or `leftover` has been ended.
/// - `data` is the result of `T::Ptr::into_foreign()`. Only the functions of the shrinker borrow
///   it.
///
/// # Examples
///
/// A buffer that is kept for the next user until memory is needed:
///
/// ```
/// use kernel::{
///     new_spinlock,
///     shrinker::{ShrinkControl, Shrinker, ShrinkerRegistration},
///     sync::{Arc, ArcBorrow, SpinLock},
/// };
///
/// #[pin_data]
/// struct Cache {
///     // No memory is allocated while this is held.
///     #[pin]
///     unused: SpinLock<Option<KVec<u8>>>,
/// }
///
/// impl Cache {
///     fn put(&self, buffer: KVec<u8>) {
///         let previous = self.unused.lock().replace(buffer);
///         drop(previous);
///     }
///
///     fn get(&self) -> Result<KVec<u8>> {
///         let unused = self.unused.lock().take();
///         match unused {
///             Some(buffer) => Ok(buffer),
///             None => Ok(KVec::with_capacity(4096, GFP_KERNEL)?),
///         }
///     }
/// }
///
/// impl Shrinker for Cache {
///     type Ptr = Arc<Self>;
///
///     fn count_objects(me: ArcBorrow<'_, Self>, _: &ShrinkControl) -> usize {
///         me.unused.lock().is_some().into()
///     }
///
///     fn scan_objects(me: ArcBorrow<'_, Self>, _: &mut ShrinkControl) -> Option<usize> {
///         let unused = me.unused.lock().take();
///         Some(unused.is_some().into())
///     }
/// }
///
/// let cache = pin_init!(Cache { unused <- new_spinlock!(None) });
/// let cache = Arc::pin_init(cache, GFP_KERNEL)?;
/// let shrinker = KBox::pin_init(
///     ShrinkerRegistration::<Cache>::register(format_args!("rust_cache"), cache.clone()),
///     GFP_KERNEL,
/// )?;
/// cache.put(cache.get()?);
/// # drop(shrinker);
/// # // It has no reference any more.
/// # assert!(Arc::into_unique_or_drop(cache).is_some());
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "shrinker_free")]
#[pin_data(PinnedDrop)]
pub struct ShrinkerRegistration<T: Shrinker> {
    shrinker: NonNull<bindings::shrinker>,
    // Also in `private_data`, but `end()` frees the shrinker, and not the data.
    data: *const c_void,
    #[pin]
    leftover: Leftover,
    _data: PhantomData<T::Ptr>,
}

// SAFETY: Any task may call `shrinker_free()`, and may own and drop a `T::Ptr`, which is `Send`.
unsafe impl<T: Shrinker> Send for ShrinkerRegistration<T> {}
// SAFETY: There are no methods with `&self`.
unsafe impl<T: Shrinker> Sync for ShrinkerRegistration<T> {}

impl<T: Shrinker> ShrinkerRegistration<T> {
    /// Returns an initializer that registers a shrinker. `name` is that in debugfs, for example
    /// `format_args!("driver:{}", 0)`.
    ///
    /// # Errors
    ///
    /// The initializer returns:
    ///
    /// - `ENOMEM`: an allocation failed.
    /// - `EINVAL`: the name cannot be formatted, or contains a null byte.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// See [`ShrinkerRegistration`].
    #[doc(alias("shrinker_alloc", "shrinker_register"))]
    pub fn register(name: fmt::Arguments<'_>, data: T::Ptr) -> impl PinInit<Self, Error> + '_ {
        // INVARIANT: The shrinker is registered below. Until then, `leftover` is in no list.
        let unregistered = try_pin_init!(Self {
            shrinker: alloc::<T>(name)?,
            data: into_raw(data),
            leftover: Leftover::new(Kind::Registration, end::<T>),
            _data: PhantomData,
        }? Error);
        unregistered.pin_chain(|this| {
            let shrinker = this.shrinker.as_ptr();
            // SAFETY: `alloc()` has returned the shrinker. It is not registered, so nothing else
            // uses it.
            unsafe { (*shrinker).private_data = this.data.cast_mut() };
            // SAFETY: As above, and all fields that a driver sets are set. The functions may be
            // called until `shrinker_free()`, which the drop calls, or `end()`.
            unsafe { bindings::shrinker_register(shrinker) };
            let module = module_going::module_of(count_objects::<T> as *const () as usize);
            // SAFETY: `leftover` is pinned, and has not been added before. `module` contains this
            // function, which is generic as `count_objects()` is. The drop claims the object first.
            // `end()` needs no other object of the module.
            unsafe { Leftover::link(addr_of!(this.leftover).cast_mut(), module) };
            Ok(())
        })
    }
}

/// Returns the result of `into_foreign()`, which is a `*const c_void` on Linux 6.12.
fn into_raw<P: ForeignOwnable>(data: P) -> *const c_void {
    data.into_foreign().cast()
}

/// Allocates the shrinker for a `T`, without its data.
fn alloc<T: Shrinker>(name: fmt::Arguments<'_>) -> Result<NonNull<bindings::shrinker>> {
    // C would format it twice, and warn if the results differ in length.
    let name = CString::try_from_fmt(name)?;
    let format = c_str!("%s").as_char_ptr();
    let flags = if T::NUMA_AWARE {
        SHRINKER_NUMA_AWARE
    } else {
        0
    };
    // SAFETY: The format has one argument, and both are strings. The name is copied.
    let shrinker = unsafe { bindings::shrinker_alloc(flags, format, name.as_char_ptr()) };
    let shrinker = NonNull::new(shrinker).ok_or(ENOMEM)?;
    // SAFETY: The shrinker was allocated above, and nothing else uses it.
    let fields = unsafe { &mut *shrinker.as_ptr() };
    fields.count_objects = Some(count_objects::<T>);
    fields.scan_objects = Some(scan_objects::<T>);
    fields.seeks = c_int::from(T::SEEKS);
    // CAST: A `long` has at least 32 bits.
    fields.batch = T::BATCH as c_long;
    Ok(shrinker)
}

#[pinned_drop]
impl<T: Shrinker> PinnedDrop for ShrinkerRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        let is_registered = self.leftover.claim();
        if is_registered {
            // SAFETY: By the type invariants, the shrinker is registered. This may sleep, see the
            // documentation of the type.
            unsafe { bindings::shrinker_free(self.shrinker.as_ptr()) };
        }
        // SAFETY: By the type invariants, `into_foreign()` has returned the pointer. It is taken
        // back once. `shrinker_free()` waits until no function of the shrinker is running, and it
        // waits for readers of the files in debugfs, which call them as well.
        drop(unsafe { T::Ptr::from_foreign(self.data.cast_mut().cast()) });
        if is_registered {
            self.leftover.unlink();
        }
    }
}

/// Frees the shrinker of a registration that its module has left behind.
///
/// # Safety
///
/// `leftover` must be that of a `ShrinkerRegistration<T>` that is in the list and not claimed.
unsafe fn end<T: Shrinker>(leftover: *mut Leftover) {
    // SAFETY: `leftover` is a field of such a registration, which is valid while it is in the list.
    let this = unsafe { container_of!(leftover, ShrinkerRegistration<T>, leftover) };
    // SAFETY: By the type invariants, the shrinker is registered. The notifier may sleep.
    unsafe { bindings::shrinker_free((*this).shrinker.as_ptr()) };
}

/// The `count_objects` of a shrinker.
///
/// # Safety
///
/// Only the core mm may call this, with a shrinker of [`ShrinkerRegistration::register`].
unsafe extern "C" fn count_objects<T: Shrinker>(
    shrinker: *mut bindings::shrinker,
    control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: The field does not change after the registration.
    let data = unsafe { (*shrinker).private_data };
    // SAFETY: `data` is the result of `into_foreign()`. It is not taken back before this returns:
    // the caller has a reference to the shrinker, or an open file in debugfs.
    let me = unsafe { T::Ptr::borrow(data.cast()) };
    // SAFETY: `control` is the argument of this callback.
    let control = unsafe { ShrinkControl::new(control) };
    clamp_objects(T::count_objects(me, &control))
}

/// The `scan_objects` of a shrinker.
///
/// # Safety
///
/// Only the core mm may call this, with a shrinker of [`ShrinkerRegistration::register`].
unsafe extern "C" fn scan_objects<T: Shrinker>(
    shrinker: *mut bindings::shrinker,
    raw_control: *mut bindings::shrink_control,
) -> c_ulong {
    // SAFETY: As in `count_objects()`.
    let data = unsafe { (*shrinker).private_data };
    // SAFETY: As in `count_objects()`.
    let me = unsafe { T::Ptr::borrow(data.cast()) };
    // SAFETY: As in `count_objects()`.
    let mut control = unsafe { ShrinkControl::new(raw_control) };
    let result = T::scan_objects(me, &mut control);
    // SAFETY: The struct is on the stack of the caller, which reads the field after this returns.
    unsafe { (*raw_control).nr_scanned = control.nr_scanned };
    match result {
        Some(freed) => clamp_objects(freed),
        None => SHRINK_STOP,
    }
}

/// C's constant of this name. bindgen has no value for it, so `rust/layout.c` checks this one.
const SHRINKER_NUMA_AWARE: c_uint = 1 << 2;

/// C's constant of this name.
const SHRINK_STOP: c_ulong = c_ulong::MAX;

/// Returns a result for C. `do_shrink_slab()` stores twice its value in a `long`, the greatest
/// values have other meanings, and if nothing can be freed, it calls `scan_objects()` until each
/// object has been looked at.
fn clamp_objects(objects: usize) -> c_ulong {
    objects.min(i32::MAX as usize) as c_ulong
}
