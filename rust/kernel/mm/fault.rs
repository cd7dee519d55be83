// SPDX-License-Identifier: GPL-2.0

//! Page faults in areas of a driver.
//!
//! The handler of a fault borrows it for the whole of the call, `'a`, and so does each way to deal
//! with it. The ways that keep the lock share the fault, so what the area knows can be used for
//! them. The one that gives the lock back has the fault to itself: nothing of the area is in use
//! then, and nothing can be done any more but have the fault repeated.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EINVAL,
            ENOMEM, //
        },
        Error, //
    },
    mm::{
        virt::flags,
        vm_ops::{
            VmOperations,
            DriverVma, //
        },
    },
    page::Page,
    sync::ArcBorrow,
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    },
};

/// Makes `'a` a lifetime that no other can stand for.
type Brand<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// A fault that waits for an outcome.
///
/// # Invariants
///
/// This is the fault that the current task is in, in an area with the table of `T`. Unless it is
/// borrowed mutably for `'a`, the lock that the fault's flags name is held for reading, and the
/// address space is alive.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{fault::{FaultResult, VmFault}, vm_ops::{MmapHook, VmOperations}}, page::Page, impl_has_vm_ops};
///
/// /// One page, which all processes share.
/// struct Board {
///     page: Page,
/// }
///
/// impl_has_vm_ops!(Board);
///
/// #[vtable]
/// impl VmOperations for Board {
///     type Hook = MmapHook;
///
///     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
///         if vmf.pgoff() != 0 {
///             return vmf.return_error(EINVAL);
///         }
///         vmf.return_page(&vmf.data().page)
///     }
/// }
/// ```
#[doc(alias = "vm_fault")]
pub struct VmFault<'a, T> {
    vmf: NonNull<bindings::vm_fault>,
    data: PhantomData<(Brand<'a>, ArcBorrow<'a, T>)>,
}

/// What has become of a fault.
///
/// # Invariants
///
/// It is right to return `reason` from the fault of `'a`: the lock is held, unless `VM_FAULT_RETRY`
/// is set. If no bit is, `page` is what `vmf->page` is to be, and this owns a count on it;
/// otherwise it is null.
///
/// # Examples
///
/// ```
/// use kernel::{mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations}, page::Page};
///
/// /// Makes an outcome of what a search has found.
/// fn found<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: Result<&Page>) -> FaultResult<'a> {
///     match page {
///         Ok(page) => vmf.return_page(page),
///         Err(err) => vmf.return_error(err),
///     }
/// }
/// ```
#[must_use = "only what the handler returns reaches the program"]
pub struct FaultResult<'a> {
    reason: bindings::vm_fault_t,
    page: *mut bindings::page,
    brand: Brand<'a>,
}

impl FaultResult<'_> {
    /// Returns the bits for the C side, and the page with its count, if there is one.
    #[inline]
    pub(super) fn into_raw(self) -> (bindings::vm_fault_t, Option<NonNull<bindings::page>>) {
        let me = ManuallyDrop::new(self);
        (me.reason, NonNull::new(me.page))
    }
}

impl Drop for FaultResult<'_> {
    #[inline]
    fn drop(&mut self) {
        if !self.page.is_null() {
            // SAFETY: The count is ours, by the type invariant, and nobody else learns of it.
            unsafe { bindings::put_page(self.page) };
        }
    }
}

impl<'a, T: VmOperations> VmFault<'a, T> {
    /// # Safety
    ///
    /// `vmf` is what the C side has called a handler of the table of `T` with, for an area whose
    /// lock it holds and whose address space is alive. `'a` is the handler's own, which returns as
    /// this or the [`FaultResult`] of it says.
    #[inline]
    pub(super) unsafe fn from_raw(vmf: *mut bindings::vm_fault) -> Self {
        Self {
            // SAFETY: The C side's pointer is not null.
            vmf: unsafe { NonNull::new_unchecked(vmf) },
            data: PhantomData,
        }
    }

    /// Returns the area that was touched.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, virt::flags, vm_ops::VmOperations};
    ///
    /// /// Returns whether the program will get a copy of the page.
    /// fn is_copied<T: VmOperations>(vmf: &VmFault<'_, T>) -> bool {
    ///     vmf.is_write() && vmf.vma().flags() & flags::SHARED == 0
    /// }
    /// ```
    #[inline]
    pub fn vma(&self) -> &DriverVma<T> {
        // SAFETY: Who has `&self` shows that it is not borrowed mutably, so the lock is held for as
        // long as the result is used, by the type invariant, and the address space is alive.
        unsafe { DriverVma::from_raw(self.vmf.as_ref().__bindgen_anon_1.vma) }
    }

    /// Borrows the data of the area.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::sync::atomic::{AtomicUsize, Ordering};
    /// use kernel::{mm::{fault::VmFault, vm_ops::{MmapHook, VmOperations}}, impl_has_vm_ops};
    ///
    /// struct Counted {
    ///     faults: AtomicUsize,
    /// }
    ///
    /// impl_has_vm_ops!(Counted);
    ///
    /// #[vtable]
    /// impl VmOperations for Counted {
    ///     type Hook = MmapHook;
    /// }
    ///
    /// /// Counts the faults of all areas that share the data.
    /// fn count(vmf: &VmFault<'_, Counted>) -> usize {
    ///     vmf.data().faults.fetch_add(1, Ordering::Relaxed) + 1
    /// }
    /// ```
    #[inline]
    pub fn data(&self) -> ArcBorrow<'_, T> {
        self.vma().data()
    }

    /// Returns the address of the page that was touched.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, vm_ops::VmOperations};
    ///
    /// /// Returns how many bytes of the area are in front of the page.
    /// fn in_front<T: VmOperations>(vmf: &VmFault<'_, T>) -> usize {
    ///     vmf.address() - vmf.vma().start()
    /// }
    /// ```
    #[inline]
    pub fn address(&self) -> usize {
        // SAFETY: The fault is that of the current task, which the C side fills in before.
        unsafe { self.vmf.as_ref().__bindgen_anon_1.address }
    }

    /// Returns the number of the page in the file.
    ///
    /// It is among those that the `mmap` hook has seen.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{fault::VmFault, vm_ops::VmOperations}, page::Page};
    ///
    /// /// Finds the page, wherever the area begins in the file.
    /// fn find<'a, T: VmOperations>(vmf: &VmFault<'_, T>, file: &'a [Page]) -> Result<&'a Page> {
    ///     file.get(vmf.pgoff()).ok_or(EINVAL)
    /// }
    /// ```
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: As for `address()`.
        unsafe { self.vmf.as_ref().__bindgen_anon_1.pgoff }
    }

    #[inline]
    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: As for `address()`.
        unsafe { self.vmf.as_ref().flags }
    }

    /// Returns whether the page is to be written to.
    ///
    /// If not, it may be written to later without another fault, unless there is
    /// [`VmOperations::page_mkwrite`].
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations}, page::Page};
    ///
    /// /// Who reads what nobody has written gets `SIGBUS`.
    /// fn new_page<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: &Page) -> FaultResult<'a> {
    ///     if !vmf.is_write() {
    ///         return vmf.return_error(EINVAL);
    ///     }
    ///     vmf.return_page(page)
    /// }
    /// ```
    #[doc(alias = "FAULT_FLAG_WRITE")]
    #[inline]
    pub fn is_write(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Returns whether the page is to be executed.
    ///
    /// Some CPUs do not tell.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, vm_ops::VmOperations};
    ///
    /// /// Returns what a log has to say of the fault.
    /// fn purpose<T: VmOperations>(vmf: &VmFault<'_, T>) -> &'static str {
    ///     match (vmf.is_instruction(), vmf.is_write()) {
    ///         (true, _) => "execute",
    ///         (_, true) => "write",
    ///         _ => "read",
    ///     }
    /// }
    /// ```
    #[doc(alias = "FAULT_FLAG_INSTRUCTION")]
    #[inline]
    pub fn is_instruction(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_INSTRUCTION != 0
    }

    /// Returns whether another task than the area's own wants the page, a debugger for example.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{fault::VmFault, vm_ops::VmOperations}, task::Pid};
    ///
    /// /// Returns the process to be charged for the page, which a debugger is not.
    /// fn payer<T: VmOperations>(vmf: &VmFault<'_, T>) -> Option<Pid> {
    ///     (!vmf.is_remote()).then(|| current!().tgid())
    /// }
    /// ```
    #[doc(alias = "FAULT_FLAG_REMOTE")]
    #[inline]
    pub fn is_remote(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_REMOTE != 0
    }

    /// Returns whether the program has touched the page, and not the kernel for it.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
    ///
    /// /// Explains the `SIGBUS`. Where the kernel fails for the program, there is none.
    /// fn refuse<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>) -> FaultResult<'a> {
    ///     if vmf.is_user() {
    ///         pr_info!("{} has touched page {}\n", current!().pid(), vmf.pgoff());
    ///     }
    ///     vmf.return_error(EINVAL)
    /// }
    /// ```
    #[doc(alias = "FAULT_FLAG_USER")]
    #[inline]
    pub fn is_user(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_USER != 0
    }

    /// Ends the fault with certain bits.
    ///
    /// # Safety
    ///
    /// There is at least one, and it is right to return them while the lock is held.
    #[inline]
    pub(super) unsafe fn complete(&'a self, reason: bindings::vm_fault_t) -> FaultResult<'a> {
        // INVARIANT: As the caller says. The lock is held by the invariant of `self`, which cannot
        // be borrowed mutably any more.
        FaultResult {
            reason,
            page: null_mut(),
            brand: PhantomData,
        }
    }

    /// Has the kernel map `page`.
    ///
    /// The mapping has a count of its own on the page, so the page may be dropped before it. User
    /// space may write to what it can map, so the page must hold nothing that the kernel relies on;
    /// in particular, none of those behind a `VBox`. In a private area that is written to, the
    /// program gets a copy.
    ///
    /// An area of bare page frames ([`flags::PFNMAP`]) takes none: `SIGBUS`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations}, page::Page};
    ///
    /// /// Gives the program memory that nothing but the mapping keeps.
    /// fn zeroes<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>) -> FaultResult<'a> {
    ///     match Page::alloc_page(GFP_KERNEL | __GFP_ZERO) {
    ///         Ok(page) => vmf.return_page(&page),
    ///         Err(err) => vmf.return_error(err.into()),
    ///     }
    /// }
    /// ```
    #[inline]
    pub fn return_page(&'a self, page: &Page) -> FaultResult<'a> {
        if self.vma().flags() & flags::PFNMAP != 0 {
            return self.return_error(EINVAL);
        }

        let page = page.as_ptr();
        // SAFETY: A `Page` is a page with a count, so another can be taken.
        unsafe { bindings::get_page(page) };
        // INVARIANT: No bit is set, and the count is the one just taken. It is a single page that
        // belongs to no file and to no anonymous memory, which is all that `finish_fault()` and
        // `do_cow_fault()` ask for. The lock is held as in `complete()`.
        FaultResult {
            reason: 0,
            page,
            brand: PhantomData,
        }
    }

    /// Maps `page` at the address of the fault.
    ///
    /// The area must take single pages: see
    /// [`as_mixedmap_vma`](crate::mm::virt::VmaRef::as_mixedmap_vma), and
    /// [`vm_insert_page`](crate::mm::virt::VmaMixedMap::vm_insert_page) for the page. It is well if
    /// somebody was faster; an error is as for [`error`](Self::error).
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{fault::{FaultResult, VmFault}, virt::VmaNew, vm_ops::{MmapHook, VmOperations}},
    ///     page::Page,
    ///     sync::Arc,
    /// };
    ///
    /// fn mmap<T: VmOperations<Hook = MmapHook>>(data: Arc<T>, vma: &VmaNew) -> Result {
    ///     vma.set_ops(data)?;
    ///     vma.set_mixedmap();
    ///     Ok(())
    /// }
    ///
    /// fn fault<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: &Page) -> FaultResult<'a> {
    ///     vmf.vmf_insert_page(page)
    /// }
    /// ```
    #[inline]
    pub fn vmf_insert_page(&'a self, page: &Page) -> FaultResult<'a> {
        let Some(vma) = self.vma().as_mixedmap_vma() else {
            return self.return_error(EINVAL);
        };

        match vma.vm_insert_page(self.address(), page) {
            Err(err) if err != EBUSY => self.return_error(err),
            _ => self.return_nopage(),
        }
    }

    /// Ends the fault: the handler has mapped a page itself.
    ///
    /// If it has not, the program touches the page again, and is here again. Some of the kernel's
    /// own users do so for ever, and cannot be killed meanwhile.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations}, page::{Page, PAGE_SIZE}};
    ///
    /// /// Maps the page that was touched, and `others` behind it, which need no fault then.
    /// fn ahead<'a, T: VmOperations>(
    ///     vmf: &'a VmFault<'a, T>,
    ///     page: &Page,
    ///     others: &[Page],
    /// ) -> FaultResult<'a> {
    ///     let Some(vma) = vmf.vma().as_mixedmap_vma() else {
    ///         return vmf.return_error(EINVAL);
    ///     };
    ///     if let Err(err) = vma.vm_insert_page(vmf.address(), page) {
    ///         // Somebody may have been faster.
    ///         if err != EBUSY {
    ///             return vmf.return_error(err);
    ///         }
    ///     }
    ///     // It is well if these do not fit in.
    ///     let _ = vma.vm_insert_pages(vmf.address() + PAGE_SIZE, others);
    ///     vmf.return_nopage()
    /// }
    /// ```
    #[doc(alias = "VM_FAULT_NOPAGE")]
    #[inline]
    pub fn return_nopage(&'a self) -> FaultResult<'a> {
        // SAFETY: The C side has nothing more to do then, and the program goes on or comes again.
        unsafe { self.complete(bindings::vm_fault_reason_VM_FAULT_NOPAGE) }
    }

    /// Ends the fault without a page.
    ///
    /// `ENOMEM` is out of memory, after which the program may come again; `EHWPOISON` is a page
    /// with broken memory; all others are `SIGBUS`.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
    ///
    /// /// The device has been unplugged: `SIGBUS`.
    /// fn gone<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>) -> FaultResult<'a> {
    ///     vmf.return_error(ENODEV)
    /// }
    /// ```
    #[doc(alias = "vmf_error")]
    #[inline]
    pub fn return_error(&'a self, err: Error) -> FaultResult<'a> {
        // SAFETY: The C side asks for nothing in case of an error.
        unsafe { self.complete(reason(err)) }
    }

    /// Gives back the lock, waits, and has the fault repeated.
    ///
    /// For what takes long: neither `wait` nor who is waiting for the lock meanwhile can rely on
    /// the area, which may be gone. If this cannot be done, because the fault has been repeated
    /// before, its author does not want to wait or is a kernel thread, the fault is handed back.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
    ///
    /// fn later<'a, T: VmOperations>(vmf: &'a mut VmFault<'a, T>, wait: impl Fn()) -> FaultResult<'a> {
    ///     match vmf.retry_after(&wait) {
    ///         Ok(result) => result,
    ///         Err(vmf) => {
    ///             wait();
    ///             vmf.return_nopage()
    ///         }
    ///     }
    /// }
    /// ```
    #[doc(alias("VM_FAULT_RETRY", "maybe_unlock_mmap_for_io"))]
    pub fn retry_after(&'a mut self, wait: impl FnOnce()) -> Result<FaultResult<'a>, &'a mut Self> {
        let able = bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY;
        let unable =
            bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT | bindings::fault_flag_FAULT_FLAG_TRIED;
        if self.flags() & (able | unable) != able || crate::current!().is_kthread() {
            return Err(self);
        }

        // SAFETY: The area is there while the lock is held, and its file with it. Its count keeps
        // the code of the driver in the kernel, though the area may be unmapped now. `fput()` does
        // its last work when the task returns to user space, that is after the handler. (For a
        // kernel thread, a work item does it at any time.)
        let file = unsafe { bindings::get_file((*self.vma().as_ptr()).vm_file) };
        // SAFETY: This is the fault of the current task, which holds the lock. Whoever relied on it
        // had a borrow of `self`, of which none is left, and none can follow: `self` stays borrowed
        // mutably for `'a`, which is as long as there is a `VmFault<'a, T>`.
        unsafe { bindings::release_fault_lock(self.vmf.as_ptr()) };

        wait();

        // SAFETY: The count is the one from above.
        unsafe { bindings::fput(file) };
        // The fault is repeated once, and not a second time if the lock was the area's own: it has
        // taken long enough to count as major, which has `FAULT_FLAG_TRIED` be set.
        // INVARIANT: The lock has been given back, and `FAULT_FLAG_ALLOW_RETRY` is set.
        Ok(FaultResult {
            reason: bindings::vm_fault_reason_VM_FAULT_RETRY
                | bindings::vm_fault_reason_VM_FAULT_MAJOR,
            page: null_mut(),
            brand: PhantomData,
        })
    }
}

/// Returns the outcome of a fault that an error is.
#[inline]
pub(super) fn reason(err: Error) -> bindings::vm_fault_t {
    if err == ENOMEM {
        bindings::vm_fault_reason_VM_FAULT_OOM
    } else if err.to_errno() == -(bindings::EHWPOISON as i32) {
        bindings::vm_fault_reason_VM_FAULT_HWPOISON
    } else {
        bindings::vm_fault_reason_VM_FAULT_SIGBUS
    }
}
