// SPDX-License-Identifier: GPL-2.0

//! VMAs that an `->mmap()` hook sets up.

use super::{
    flags,
    vm_flags_t,
    VmaMixedMap,
    VmaRef, //
};
use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL, //
        },
        Result, //
    },
    mm::vm_ops::{
        DriverVma,
        MmapHook,
        VmOperations,
        VmOpsTable, //
    },
    sync::Arc,
};
use core::{
    ffi::c_int,
    ops::Deref,
    ptr, //
};

/// An area that an `mmap` hook is setting up.
///
/// Nobody else can find it yet, so the hook may decide what it is. When the hook has returned, the
/// kernel may go on with the area, or merge it with its neighbour and free it.
///
/// # Invariants
///
/// As for [`VmaRef`]; the mmap lock is held for writing, the area is not in the tree of its address
/// space, and no other thread has a pointer to it.
///
/// # Examples
///
/// The hook of a device whose memory is for reading by everyone:
///
/// ```
/// use kernel::mm::virt::VmaNew;
///
/// fn mmap(vma: &VmaNew) -> Result {
///     // Not writable now, nor by `mprotect()` later.
///     vma.try_clear_maywrite()?;
///     vma.set_dontexpand();
///     let _area = vma.set_mixedmap();
///     // ... `_area.vm_insert_page(...)` ...
///     Ok(())
/// }
/// ```
#[repr(transparent)]
pub struct VmaNew {
    vma: VmaRef,
}

impl Deref for VmaNew {
    type Target = VmaRef;

    #[inline]
    fn deref(&self) -> &VmaRef {
        &self.vma
    }
}

impl VmaNew {
    /// Borrows an area that C code points to.
    ///
    /// # Safety
    ///
    /// For the whole of `'a`, `vma` is being set up by an `mmap` hook: `mmap_region()` has called
    /// the hook with it, and the hook has not returned. `VM_PFNMAP` is not set in its flags.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, mm::virt::VmaNew};
    ///
    /// type Area = bindings::vm_area_struct;
    ///
    /// unsafe extern "C" fn mmap(_file: *mut bindings::file, vma: *mut Area) -> i32 {
    ///     // SAFETY: This is the hook that sets up the area.
    ///     let vma = unsafe { VmaNew::from_raw(vma) };
    ///     vma.set_dontexpand();
    ///     0
    /// }
    /// ```
    #[inline]
    pub unsafe fn from_raw<'a>(vma: *mut bindings::vm_area_struct) -> &'a Self {
        // SAFETY: `mmap_region()` holds the mmap lock of the current task for writing, and has
        // just allocated the area, so the type invariant holds. CAST: `Self` is transparent.
        unsafe { &*vma.cast() }
    }

    /// Runs the body of an `mmap` hook, and returns what the hook has to return.
    ///
    /// The C side forgets an area's operations when its hook fails. This gives back the data that
    /// it got by [`set_ops`](Self::set_ops).
    ///
    /// # Safety
    ///
    /// As for [`from_raw`](Self::from_raw), for the time of the call; and the hook goes on to
    /// return what this does.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{bindings, mm::virt::VmaNew};
    ///
    /// type Area = bindings::vm_area_struct;
    ///
    /// unsafe extern "C" fn mmap(_file: *mut bindings::file, vma: *mut Area) -> i32 {
    ///     // SAFETY: This is the hook that sets up the area.
    ///     unsafe { VmaNew::run_mmap_hook(vma, |vma| vma.try_clear_maywrite()) }
    /// }
    /// ```
    pub unsafe fn run_mmap_hook(
        vma: *mut bindings::vm_area_struct,
        hook: impl FnOnce(&Self) -> Result,
    ) -> c_int {
        // SAFETY: As the caller says.
        let vma = unsafe { Self::from_raw(vma) };

        match hook(vma) {
            Ok(()) => 0,
            Err(err) => {
                if let Some(table) = VmOpsTable::of(vma) {
                    // Other threads can reach what is mapped already, though they cannot find the
                    // area. Pages have counts of their own, but frames may be those of the data.
                    if vma.flags() & flags::PFNMAP != 0 {
                        vma.zap_vma_range(vma.start(), vma.end() - vma.start());
                    }
                    // SAFETY: The table is that of `set_ops()`, and what the hook has borrowed from
                    // the area has ended with it.
                    unsafe { table.clear(vma) };
                }
                err.to_errno()
            }
        }
    }

    /// Gives the area `data`, and the operations of its type.
    ///
    /// The area owns a count on the data until it is unmapped, and so does each area that is made
    /// from it later: see [`vm_ops`](crate::mm::vm_ops). If the hook fails after this, the count is
    /// given back. (If the hook got the area from [`from_raw`](Self::from_raw), it is lost.)
    ///
    /// This sets [`flags::DONTEXPAND`]. Otherwise the kernel would merge areas of one file without
    /// a look at their data.
    ///
    /// `EBUSY` if the area has some already.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{virt::VmaNew, vm_ops::{MmapHook, VmOperations}}, sync::Arc};
    ///
    /// fn mmap<T: VmOperations<Hook = MmapHook>>(data: &Arc<T>, vma: &VmaNew) -> Result {
    ///     vma.set_ops(data.clone())?;
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias("vm_ops", "vm_private_data"))]
    #[inline]
    pub fn set_ops<T>(&self, data: Arc<T>) -> Result<&DriverVma<T>>
    where
        T: VmOperations<Hook = MmapHook>,
    {
        if VmOpsTable::of(self).is_some() {
            return Err(EBUSY);
        }

        self.set_dontexpand();
        // SAFETY: The area is allocated, and nobody else has a pointer to it by the type invariant.
        // As it had no data, nothing refers to it. The two fields belong to the hook.
        unsafe {
            (*self.as_ptr()).vm_private_data = Arc::into_raw(data).cast_mut().cast();
            (*self.as_ptr()).vm_ops = T::table().as_ptr();
        }
        // SAFETY: The area has the table of `T`, and the count that was in `data`.
        Ok(unsafe { DriverVma::from_raw(self.as_ptr()) })
    }

    /// Sets the flags in `set` and clears those in `unset`.
    ///
    /// # Safety
    ///
    /// The result is a combination that a driver may give to an area.
    #[inline]
    pub(in crate::mm) unsafe fn update_flags(&self, set: vm_flags_t, unset: vm_flags_t) {
        let flags = (self.flags() | set) & !unset;

        // SAFETY: The area is allocated, and nobody else has a pointer to it by the type
        // invariant. `VmaNew` is not `Sync`, so this is not called twice at a time either. Like
        // `vm_flags_init()`, a store is enough before the area is in the tree.
        unsafe { ptr::addr_of_mut!((*self.as_ptr()).__bindgen_anon_2.vm_flags).write(flags) };
    }

    /// Sets [`flags::MIXEDMAP`]: the area takes single pages.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::virt::VmaNew;
    ///
    /// fn mmap(vma: &VmaNew, page: &kernel::page::Page) -> Result {
    ///     vma.set_mixedmap().vm_insert_page(vma.start(), page)
    /// }
    /// ```
    #[inline]
    pub fn set_mixedmap(&self) -> &VmaMixedMap {
        // SAFETY: The flag excludes `VM_PFNMAP`, which was not set when the hook began, and which
        // nothing here sets.
        unsafe { self.update_flags(flags::MIXEDMAP, 0) };

        // SAFETY: The flag was set above, and only single pages are mapped in a new area. The rest
        // is the invariant of `VmaNew`.
        unsafe { VmaMixedMap::from_raw(self.as_ptr()) }
    }

    flags::impl_set_flags!(self, &Self);
    flags::impl_new_vma_flags!(self, &Self);
}
