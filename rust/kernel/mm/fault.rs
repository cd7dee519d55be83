// SPDX-License-Identifier: GPL-2.0

//! Page faults in a driver's VMAs.
//!
//! A fault handler borrows its [`VmFault`] for the duration of the call, `'a`, and returns a
//! [`FaultResult`] with the same lifetime. The methods that produce a result and keep the fault
//! lock take `&'a self`: the handler may go on using the VMA and its `vm_private_data` for their
//! arguments. [`VmFault::retry_after`] releases the fault lock and takes `&'a mut self`: no borrow
//! from the VMA is live when it is called, and after it no other result can be produced.
//!
//! The fault lock is the mmap lock or the VMA lock, held for reading. `FAULT_FLAG_VMA_LOCK` in the
//! flags of the fault tells which one it is.
//!
//! Guide: [a first fault handler](srctree/Documentation/rust/task-mm/guide/first-fault-handler.rst)
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h),
//! [`include/linux/mm_types.h`](srctree/include/linux/mm_types.h)

use crate::{
    bindings,
    error::{
        code::{
            EBUSY,
            EFAULT,
            EINTR,
            EINVAL,
            ENOMEM,
            ERESTARTNOHAND,
            ERESTARTNOINTR,
            ERESTARTSYS,
            ERESTART_RESTARTBLOCK, //
        },
        Error, //
    },
    mm::{
        user_page::{
            is_full,
            UserPage, //
        },
        virt::flags,
        vm_ops::{
            DriverVma, //
            VmOperations,
        },
    },
    sync::ArcBorrow,
    task::{
        may_sleep,
        TaskState, //
    },
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ptr::{
        null_mut,
        NonNull, //
    },
};

/// Makes a type invariant in `'a`, so that the results of two faults are of different types.
type Brand<'a> = PhantomData<fn(&'a ()) -> &'a ()>;

/// A page fault that is being handled.
///
/// # Invariants
///
/// - `vmf` points to the `struct vm_fault` of the fault that the current task is handling. Its VMA
///   has the `vm_ops` of `T`.
/// - Unless `self` is mutably borrowed for `'a`, the fault lock is held for reading, and `mm_users`
///   of the mm is not zero.
///
/// # Examples
///
/// ```
/// use kernel::{
///     impl_has_vm_ops,
///     mm::{fault::{FaultResult, VmFault}, vm_ops::{MmapHook, VmOperations}, UserPage},
/// };
///
/// /// One page that is mapped into all processes.
/// struct Board {
///     page: UserPage,
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
///
/// # use kernel::{mm::kunit::read_page, sync::Arc};
/// # let page = UserPage::alloc_page(GFP_KERNEL)?;
/// # let board = Arc::new(Board { page }, GFP_KERNEL)?;
/// # assert_eq!(read_page(0, |vma| vma.set_ops(board.clone()).map(drop)), Ok(0));
/// # assert_eq!(read_page(1, |vma| vma.set_ops(board.clone()).map(drop)), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
#[doc(alias = "vm_fault")]
pub struct VmFault<'a, T> {
    vmf: NonNull<bindings::vm_fault>,
    data: PhantomData<(Brand<'a>, ArcBorrow<'a, T>)>,
}

/// The result of a page fault: a `vm_fault_t`, and the page if there is one.
///
/// # Invariants
///
/// - The `->fault()` of `'a` may return `reason`: `VM_FAULT_RETRY` is set if and only if the fault
///   lock has been released, and `VM_FAULT_COMPLETED` is not set.
/// - If `reason` is zero, `page` is the value for `vmf->page`, and `self` holds a reference to it.
///   Otherwise `page` is null.
///
/// # Examples
///
/// ```
/// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage};
///
/// /// Maps the page that a look-up has found.
/// fn found<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: Result<&UserPage>) ->
/// FaultResult<'a> {
///     match page {
///         Ok(page) => vmf.return_page(page),
///         Err(err) => vmf.return_error(err),
///     }
/// }
///
/// # use kernel::mm::kunit::fault_by_read;
/// let page = UserPage::alloc_page(GFP_KERNEL)?;
/// assert_eq!(fault_by_read(move |vmf| found(vmf, Ok(&page))), Ok(0));
/// // Userspace gets `SIGBUS`, and the kernel an error.
/// assert_eq!(fault_by_read(|vmf| found(vmf, Err(EPERM))), Err(EFAULT));
/// # Ok::<(), Error>(())
/// ```
#[must_use = "a fault is completed only by the result that its handler returns"]
pub struct FaultResult<'a> {
    reason: bindings::vm_fault_t,
    page: *mut bindings::page,
    brand: Brand<'a>,
}

impl FaultResult<'_> {
    /// Returns the `VM_FAULT_*` bits. If there is a page, its reference passes to the caller.
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
            // SAFETY: By the type invariant, `self` holds a reference to the page. It has not
            // passed to `vmf->page`, as only `into_raw()` hands it out, which does not run
            // `drop()`.
            unsafe { bindings::put_page(self.page) };
        }
    }
}

impl<'a, T: VmOperations> VmFault<'a, T> {
    /// Wraps the argument of `->fault()`.
    ///
    /// # Safety
    ///
    /// - `vmf` must be the argument with which C code has called a handler in the `vm_ops` of `T`.
    ///   The fault lock must be held for reading, and `mm_users` of the mm must not be zero.
    /// - `'a` must be limited to that call of the handler, which must return what the
    ///   [`FaultResult`] for `'a` contains.
    #[inline]
    pub(super) unsafe fn from_raw(vmf: *mut bindings::vm_fault) -> Self {
        // INVARIANT: The caller guarantees the VMA, the fault lock and the mm. Only `retry_after()`
        // releases the fault lock, and it borrows the `VmFault` mutably for `'a`.
        Self {
            // SAFETY: `vmf` points to the `struct vm_fault` on the stack of `__handle_mm_fault()`,
            // so it is not null.
            vmf: unsafe { NonNull::new_unchecked(vmf) },
            data: PhantomData,
        }
    }

    /// Returns the VMA of the fault.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, virt::flags, vm_ops::VmOperations};
    ///
    /// /// Returns whether `do_cow_fault()` will copy the page.
    /// fn is_copied<T: VmOperations>(vmf: &VmFault<'_, T>) -> bool {
    ///     vmf.is_write() && vmf.vma().flags() & flags::SHARED == 0
    /// }
    /// # use kernel::mm::{kunit::fault_by_write, UserPage};
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # fault_by_write(move |vmf| {
    /// #     // The mapping is shared.
    /// #     if is_copied(vmf) { vmf.return_error(EINVAL) } else { vmf.return_page(&page) }
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vma(&self) -> &DriverVma<T> {
        // SAFETY: `&self` excludes a mutable borrow for as long as the result is used. So the fault
        // lock is held, `mm_users` is not zero and the VMA has the `vm_ops` of `T`, by the type
        // invariant.
        unsafe { DriverVma::from_raw(self.vmf.as_ref().__bindgen_anon_1.vma) }
    }

    /// Borrows the `vm_private_data` of the VMA.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     impl_has_vm_ops,
    ///     mm::{fault::{FaultResult, VmFault}, vm_ops::{MmapHook, VmOperations}},
    ///     sync::atomic::{Atomic, Relaxed},
    /// };
    ///
    /// struct Counted {
    ///     faults: Atomic<usize>,
    /// }
    ///
    /// impl_has_vm_ops!(Counted);
    ///
    /// #[vtable]
    /// impl VmOperations for Counted {
    ///     type Hook = MmapHook;
    ///
    ///     fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
    ///         // The faults of all VMAs that share the data.
    ///         vmf.data().faults.add(1, Relaxed);
    ///         vmf.return_error(EINVAL)
    ///     }
    /// }
    ///
    /// # use kernel::{mm::kunit::read_page, sync::Arc};
    /// let counted = Arc::new(Counted { faults: Atomic::new(0) }, GFP_KERNEL)?;
    /// # for _ in 0..2 {
    /// #     assert_eq!(read_page(0, |vma| vma.set_ops(counted.clone()).map(drop)), Err(EFAULT));
    /// # }
    /// // After two accesses:
    /// assert_eq!(counted.faults.load(Relaxed), 2);
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn data(&self) -> ArcBorrow<'_, T> {
        self.vma().data()
    }

    /// Returns the address of the fault, rounded down to a page.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, vm_ops::VmOperations};
    ///
    /// /// Returns how many bytes of the VMA a handler could map ahead, from the fault on.
    /// ///
    /// /// Which page belongs there is a matter of the page offset: the VMA may start within the
    /// /// driver's memory, as userspace can unmap a part of it.
    /// fn ahead<T: VmOperations>(vmf: &VmFault<'_, T>) -> usize {
    ///     vmf.vma().end() - vmf.address()
    /// }
    /// # use kernel::mm::{kunit::fault_by_read, UserPage};
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| {
    /// #     // It is the first of four pages.
    /// #     match ahead(vmf) == 4 * kernel::page::PAGE_SIZE {
    /// #         true => vmf.return_page(&page),
    /// #         false => vmf.return_error(EINVAL),
    /// #     }
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn address(&self) -> usize {
        // SAFETY: `vmf` is valid by the type invariant. `__handle_mm_fault()` sets the field before
        // it calls the handler, and nothing writes to it during the handler.
        unsafe { self.vmf.as_ref().__bindgen_anon_1.address }
    }

    /// Returns the page offset of the fault in the file.
    ///
    /// It lies in the range that the `->mmap()` or `->mmap_prepare()` hook was called for.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, vm_ops::VmOperations, UserPage};
    ///
    /// /// Looks up the page by its page offset, which does not depend on the VMA's start.
    /// fn find<'a, T: VmOperations>(
    ///     vmf: &VmFault<'_, T>,
    ///     file: &'a [UserPage],
    /// ) -> Result<&'a UserPage> {
    ///     file.get(vmf.pgoff()).ok_or(EINVAL)
    /// }
    /// # use kernel::mm::kunit::fault_by_read;
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| {
    /// #     match find(vmf, core::slice::from_ref(&page)) {
    /// #         Ok(page) => vmf.return_page(page),
    /// #         Err(err) => vmf.return_error(err),
    /// #     }
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn pgoff(&self) -> usize {
        // SAFETY: `vmf` is valid by the type invariant. `__handle_mm_fault()` sets the field before
        // it calls the handler, and nothing writes to it during the handler.
        unsafe { self.vmf.as_ref().__bindgen_anon_1.pgoff }
    }

    #[inline]
    fn flags(&self) -> bindings::fault_flag {
        // SAFETY: `vmf` is valid by the type invariant. `__handle_mm_fault()` sets the field before
        // it calls the handler, and nothing writes to it during the handler.
        unsafe { self.vmf.as_ref().flags }
    }

    /// Returns whether this is a write fault.
    ///
    /// After a read fault in a shared, writable VMA, userspace may write to the page without
    /// another fault, unless [`VmOperations::page_mkwrite`] is implemented.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage};
    ///
    /// /// A read of a page that has not been written to raises `SIGBUS`.
    /// fn new_page<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: &UserPage) ->
    /// FaultResult<'a> {
    ///     if !vmf.is_write() {
    ///         return vmf.return_error(EINVAL);
    ///     }
    ///     vmf.return_page(page)
    /// }
    /// # use kernel::{mm::kunit::{fault_by_read, fault_by_write}, sync::Arc};
    /// # let page = Arc::new(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
    /// # let same = page.clone();
    /// # fault_by_write(move |vmf| new_page(vmf, &same))?;
    /// # assert_eq!(fault_by_read(move |vmf| new_page(vmf, &page)), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "FAULT_FLAG_WRITE")]
    #[inline]
    pub fn is_write(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_WRITE != 0
    }

    /// Returns whether this is an instruction fetch.
    ///
    /// Not all CPUs report it.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, vm_ops::VmOperations};
    ///
    /// /// Returns the type of the access for a log message.
    /// fn purpose<T: VmOperations>(vmf: &VmFault<'_, T>) -> &'static str {
    ///     match (vmf.is_instruction(), vmf.is_write()) {
    ///         (true, _) => "execute",
    ///         (_, true) => "write",
    ///         _ => "read",
    ///     }
    /// }
    /// # use kernel::{mm::{kunit::{fault_by_read, fault_by_write}, UserPage}, sync::Arc};
    /// # let page = Arc::new(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
    /// # let same = page.clone();
    /// # assert_eq!(fault_by_read(move |vmf| match purpose(vmf) {
    /// #     "read" => vmf.return_page(&same),
    /// #     _ => vmf.return_error(EINVAL),
    /// # }), Ok(0));
    /// # fault_by_write(move |vmf| match purpose(vmf) {
    /// #     "write" => vmf.return_page(&page),
    /// #     _ => vmf.return_error(EINVAL),
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "FAULT_FLAG_INSTRUCTION")]
    #[inline]
    pub fn is_instruction(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_INSTRUCTION != 0
    }

    /// Returns whether the access is to the mm of another process, for example by ptrace.
    ///
    /// `current!()` then is the debugger, or a worker that handles the fault of a device which uses
    /// the page tables of the mm (`iommu_sva_handle_mm()`). An access by a kthread in
    /// [`kthread_use_mm`](crate::mm::MmWithUser::kthread_use_mm) is not remote.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::VmFault, vm_ops::VmOperations, Mm};
    ///
    /// /// Returns the mm to charge for the page: that of the VMA. The current task may be a
    /// /// debugger, a worker that handles the fault of a device, or a kthread that uses the mm.
    /// fn payer<'a, T: VmOperations>(vmf: &'a VmFault<'_, T>) -> &'a Mm {
    ///     if vmf.is_remote() {
    ///         pr_debug!("remote access by PID {}\n", current!().pid());
    ///     }
    ///     vmf.vma().mm()
    /// }
    /// # use kernel::mm::{kunit::fault_by_read, UserPage};
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| {
    /// #     let is_mine = current!().mm().is_some_and(|mm| **mm == *payer(vmf));
    /// #     if is_mine { vmf.return_page(&page) } else { vmf.return_error(EINVAL) }
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "FAULT_FLAG_REMOTE")]
    #[inline]
    pub fn is_remote(&self) -> bool {
        self.flags() & bindings::fault_flag_FAULT_FLAG_REMOTE != 0
    }

    /// Returns whether userspace accessed the page, rather than the kernel on its behalf.
    ///
    /// The access may be that of a device, and is remote then: see [`is_remote`](Self::is_remote).
    /// On User-Mode Linux, this is always false: the two are not told apart there.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
    ///
    /// /// Logs the cause of a `SIGBUS`. A failed access by the kernel or by a device raises none.
    /// fn refuse<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>) -> FaultResult<'a> {
    ///     if vmf.is_user() && !vmf.is_remote() {
    ///         // Userspace can repeat this without limit, so it is not for `pr_info!`.
    ///         pr_debug!("PID {} accessed page {}\n", current!().pid(), vmf.pgoff());
    ///     }
    ///     vmf.return_error(EINVAL)
    /// }
    /// # use kernel::mm::{kunit::fault_by_read, UserPage};
    /// # assert_eq!(fault_by_read(|vmf| refuse(vmf)), Err(EFAULT));
    /// # // It is the kernel that reads here.
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| match vmf.is_user() {
    /// #     true => vmf.return_error(EINVAL),
    /// #     false => vmf.return_page(&page),
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "FAULT_FLAG_USER")]
    #[inline]
    pub fn is_user(&self) -> bool {
        // UML sets the flag for the kernel's accesses as well. It repeats both kinds in the kernel,
        // where no signal is handled, so both have to be completed like the kernel's.
        !cfg!(CONFIG_UML) && self.flags() & bindings::fault_flag_FAULT_FLAG_USER != 0
    }

    /// Completes the fault with `reason`.
    ///
    /// # Safety
    ///
    /// `reason` must not be zero, must not contain `VM_FAULT_RETRY` or `VM_FAULT_COMPLETED`, and
    /// must be valid as the return value of `->fault()` without a page.
    #[inline]
    pub(super) unsafe fn complete(&'a self, reason: bindings::vm_fault_t) -> FaultResult<'a> {
        // INVARIANT: The caller guarantees that `reason` is valid, is not zero and does not contain
        // `VM_FAULT_RETRY`. The fault lock is held by the invariant of `self`. It stays held until
        // the handler returns, as the shared borrow for `'a` excludes `retry_after()`.
        FaultResult {
            reason,
            page: null_mut(),
            brand: PhantomData,
        }
    }

    /// Completes the fault with `page`, which the core mm maps.
    ///
    /// The mapping holds its own reference, so the page may be dropped before it is unmapped.
    /// Userspace may write to the page. A write fault in a private VMA maps a copy.
    ///
    /// In a `VM_PFNMAP` VMA ([`flags::PFNMAP`]), the fault raises `SIGBUS`. If the page is mapped
    /// too often for its refcount (2^30 times), the result is that of `ENOMEM`.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage};
    ///
    /// /// Maps a zeroed page. The mapping holds the only reference to it, so each VMA gets its own
    /// /// page, and the content is lost when the page is unmapped.
    /// fn zeroed<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>) -> FaultResult<'a> {
    ///     // The page is charged to the cgroup of the current task.
    ///     match UserPage::alloc_page(GFP_KERNEL_ACCOUNT) {
    ///         Ok(page) => vmf.return_page(&page),
    ///         // The system or the cgroup has no memory: the OOM killer runs.
    ///         Err(err) => vmf.return_error(err.into()),
    ///     }
    /// }
    /// # assert_eq!(kernel::mm::kunit::fault_by_read(|vmf| zeroed(vmf)), Ok(0));
    /// ```
    #[inline]
    pub fn return_page(&'a self, page: &UserPage) -> FaultResult<'a> {
        if self.vma().flags() & flags::PFNMAP != 0 {
            return self.return_error(EINVAL);
        }
        if is_full(page) {
            return self.return_error(ENOMEM);
        }

        let page = page.as_ptr();
        // SAFETY: `page` is valid, and the caller's `UserPage` holds a reference to it. The
        // refcount has room for another one.
        unsafe { bindings::get_page(page) };
        // INVARIANT: `reason` is zero, and `get_page()` has taken the reference. A `UserPage` is an
        // order-0 page that belongs to no page cache and is not anonymous memory, which satisfies
        // `finish_fault()` and `do_cow_fault()`. Userspace may read and write it. The fault lock is
        // held by the invariant of `self`, and the shared borrow for `'a` excludes `retry_after()`.
        FaultResult {
            reason: 0,
            page,
            brand: PhantomData,
        }
    }

    /// Maps `page` at the address of the fault.
    ///
    /// The VMA must be `VM_MIXEDMAP` ([`as_mixedmap_vma`](DriverVma::as_mixedmap_vma)), otherwise
    /// the fault raises `SIGBUS`. If another thread has already mapped a page at the address, the
    /// fault succeeds. The other errors of
    /// [`vm_insert_page`](crate::mm::virt::VmaMixedMap::vm_insert_page) are handled as by
    /// [`return_error`](Self::return_error).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         fault::{FaultResult, VmFault},
    ///         virt::VmaNew,
    ///         vm_ops::{MmapHook, VmOperations},
    ///         UserPage,
    ///     },
    ///     sync::Arc,
    /// };
    ///
    /// fn mmap<T: VmOperations<Hook = MmapHook>>(data: Arc<T>, vma: &VmaNew) -> Result {
    ///     vma.set_ops(data)?;
    ///     vma.set_mixedmap();
    ///     Ok(())
    /// }
    ///
    /// fn fault<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>, page: &UserPage) -> FaultResult<'a> {
    ///     vmf.vmf_insert_page(page)
    /// }
    /// # use kernel::mm::kunit::fault_by_read;
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| fault(vmf, &page)), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn vmf_insert_page(&'a self, page: &UserPage) -> FaultResult<'a> {
        let Some(vma) = self.vma().as_mixedmap_vma() else {
            return self.return_error(EINVAL);
        };

        match vma.vm_insert_page(self.address(), page) {
            Err(err) if err != EBUSY => self.return_error(err),
            // SAFETY: After `VM_FAULT_NOPAGE`, `__do_fault()` and its callers use no page, and the
            // access is repeated. A page is mapped now.
            _ => unsafe { self.complete(bindings::vm_fault_reason_VM_FAULT_NOPAGE) },
        }
    }

    /// Completes the fault of a handler that has mapped the page itself.
    ///
    /// If the page is not mapped, the access faults again. Userspace may loop in this way, as it
    /// handles signals in between. An access by the kernel must not: only a fatal signal ends it,
    /// which makes this `VM_FAULT_SIGBUS`. On User-Mode Linux, that is also true of userspace.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage},
    ///     page::PAGE_SIZE,
    /// };
    ///
    /// /// Maps the page of the fault, and `others` after it to avoid later faults.
    /// fn ahead<'a, T: VmOperations>(
    ///     vmf: &'a VmFault<'a, T>,
    ///     page: &UserPage,
    ///     others: &[UserPage],
    /// ) -> FaultResult<'a> {
    ///     let Some(vma) = vmf.vma().as_mixedmap_vma() else {
    ///         return vmf.return_error(EINVAL);
    ///     };
    ///     if let Err(err) = vma.vm_insert_page(vmf.address(), page) {
    ///         // Another thread may have mapped the page.
    ///         if err != EBUSY {
    ///             return vmf.return_error(err);
    ///         }
    ///     }
    ///     // Mapping `others` is optional, so errors are ignored.
    ///     let _ = vma.vm_insert_pages(vmf.address() + PAGE_SIZE, others);
    ///     vmf.return_nopage()
    /// }
    /// # use kernel::mm::kunit::fault_by_read;
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # let other = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| {
    /// #     ahead(vmf, &page, core::slice::from_ref(&other))
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "VM_FAULT_NOPAGE")]
    #[inline]
    pub fn return_nopage(&'a self) -> FaultResult<'a> {
        // After `VM_FAULT_NOPAGE`, the exception handler repeats an access by the kernel, and does
        // not check for signals.
        if !self.is_user() && crate::current!().fatal_signal_pending() {
            return self.return_error(EFAULT);
        }
        // SAFETY: After `VM_FAULT_NOPAGE`, `__do_fault()` and its callers use no page, and the
        // access is repeated.
        unsafe { self.complete(bindings::vm_fault_reason_VM_FAULT_NOPAGE) }
    }

    /// Completes the fault with an error.
    ///
    /// - `ENOMEM`: `VM_FAULT_OOM`, which means that the system has no memory. An access by
    ///   userspace is repeated after the OOM killer had a chance to run, until the handler has an
    ///   answer or the process is killed. For a limit of the driver's own, another error is right.
    /// - `EHWPOISON`: `VM_FAULT_HWPOISON`, a hardware memory error.
    /// - `EINTR`, `ERESTARTSYS` and the other `ERESTART*` codes, for an access by userspace:
    ///   `VM_FAULT_NOPAGE`. A signal has interrupted the handler. Userspace handles it, and then
    ///   the access is repeated. For an access by the kernel, which would be repeated without
    ///   handling the signal, `VM_FAULT_SIGBUS`: see [`wait_state`](Self::wait_state).
    /// - All others: `VM_FAULT_SIGBUS`.
    ///
    /// On User-Mode Linux, `VM_FAULT_SIGBUS` for each error.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations};
    ///
    /// /// Raises `SIGBUS` after the device has been unplugged.
    /// fn gone<'a, T: VmOperations>(vmf: &'a VmFault<'a, T>) -> FaultResult<'a> {
    ///     vmf.return_error(ENODEV)
    /// }
    /// # assert_eq!(kernel::mm::kunit::fault_by_read(|vmf| gone(vmf)), Err(EFAULT));
    /// # assert_eq!(kernel::mm::kunit::fault_by_read(|vmf| vmf.return_error(ENOMEM)), Err(EFAULT));
    /// # // An access by the kernel that is interrupted fails. It is not repeated.
    /// # for err in [EINTR, ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK] {
    /// #     assert_eq!(
    /// #         kernel::mm::kunit::fault_by_read(move |vmf| vmf.return_error(err)),
    /// #         Err(EFAULT)
    /// #     );
    /// # }
    /// ```
    #[doc(alias = "vmf_error")]
    #[inline]
    pub fn return_error(&'a self, err: Error) -> FaultResult<'a> {
        // `handle_mm_fault()` returns to userspace, which handles signals first: the fault is one
        // of the exception handler, as apart from UML, where `is_user()` is false, only that sets
        // `FAULT_FLAG_USER`, or of an IOMMU, whose device repeats the access.
        if is_interrupted(err) && self.is_user() {
            return self.return_nopage();
        }
        // SAFETY: `vm_fault_from_errno()` returns one bit of `VM_FAULT_ERROR`. `__do_fault()`
        // returns such a value at once and uses no page.
        unsafe { self.complete(vm_fault_from_errno(err)) }
    }

    /// Returns the state in which the handler should wait.
    ///
    /// Any signal may interrupt the wait for an access by userspace, which handles the signal and
    /// repeats the access. An access by the kernel, such as by a system call, fails if the wait is
    /// interrupted, so only a fatal signal should do that.
    ///
    /// # Context
    ///
    /// Process context. Does not sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage},
    ///     task::MAX_SCHEDULE_TIMEOUT,
    /// };
    ///
    /// /// Maps `page` as soon as the device has filled it. The fault lock is held meanwhile:
    /// /// `retry_after()` is for a long wait.
    /// fn when_ready<'a, T: VmOperations>(
    ///     vmf: &'a VmFault<'a, T>,
    ///     is_ready: impl Fn() -> bool,
    ///     page: &UserPage,
    /// ) -> FaultResult<'a> {
    ///     let ready = || is_ready().then_some(());
    ///     match current!().wait_until(vmf.wait_state(), MAX_SCHEDULE_TIMEOUT, ready) {
    ///         Ok(()) => vmf.return_page(page),
    ///         Err(err) => vmf.return_error(err.into()),
    ///     }
    /// }
    /// # use kernel::{mm::kunit::fault_by_read, task::TaskState};
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # assert_eq!(fault_by_read(move |vmf| {
    /// #     // It is the kernel that reads here.
    /// #     assert_eq!(vmf.wait_state(), TaskState::Killable);
    /// #     when_ready(vmf, || true, &page)
    /// # }), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[inline]
    pub fn wait_state(&self) -> TaskState {
        if self.is_user() {
            TaskState::Interruptible
        } else {
            TaskState::Killable
        }
    }

    /// Releases the fault lock, calls `wait`, and has the fault repeated.
    ///
    /// This lets writers take the lock during a long wait. The VMA may be unmapped while `wait`
    /// runs. [`wait_state`](Self::wait_state) is the state to wait in. If the wait is interrupted,
    /// userspace handles the signal before it repeats the access. On User-Mode Linux, the access is
    /// repeated first.
    ///
    /// # Errors
    ///
    /// Returns the fault, with the lock still held and without calling `wait`, if
    ///
    /// - the fault may not be repeated, or has been repeated before (`FAULT_FLAG_TRIED`),
    /// - the lock must not be released (`FAULT_FLAG_RETRY_NOWAIT`),
    /// - the current task is a kthread, or
    /// - the handler must not sleep, as it has disabled interrupts, for instance.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::{fault::{FaultResult, VmFault}, vm_ops::VmOperations, UserPage};
    ///
    /// fn later<'a, T: VmOperations>(
    ///     vmf: &'a mut VmFault<'a, T>,
    ///     wait: impl Fn() -> Result,
    ///     page: &UserPage,
    /// ) -> FaultResult<'a> {
    ///     let once = || {
    ///         // If it is interrupted, the repeated fault waits again.
    ///         let _ = wait();
    ///     };
    ///     match vmf.retry_after(once) {
    ///         Ok(result) => result,
    ///         // This also handles the repeated fault, which must make progress.
    ///         Err(vmf) => match wait() {
    ///             Ok(()) => vmf.return_page(page),
    ///             Err(err) => vmf.return_error(err),
    ///         },
    ///     }
    /// }
    /// # use kernel::mm::kunit::fault_by_read;
    /// # let page = UserPage::alloc_page(GFP_KERNEL)?;
    /// # // The fault of a kthread must be completed under the lock.
    /// # assert_eq!(fault_by_read(move |vmf| later(vmf, || Ok(()), &page)), Ok(0));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("VM_FAULT_RETRY", "maybe_unlock_mmap_for_io"))]
    pub fn retry_after(&'a mut self, wait: impl FnOnce()) -> Result<FaultResult<'a>, &'a mut Self> {
        let able = bindings::fault_flag_FAULT_FLAG_ALLOW_RETRY;
        let unable =
            bindings::fault_flag_FAULT_FLAG_RETRY_NOWAIT | bindings::fault_flag_FAULT_FLAG_TRIED;
        if self.flags() & (able | unable) != able || crate::current!().is_kthread() {
            return Err(self);
        }
        // On PREEMPT_RT, `release_fault_lock()` may enable interrupts.
        if !may_sleep() {
            return Err(self);
        }

        // The reference to the file pins the driver's module if the VMA is unmapped during
        // `wait()`. If `fput()` below drops the last reference, `____fput()` runs as task work on
        // the return to userspace, that is after the handler. For a kthread it would run in a work
        // item, possibly before the handler returns, so kthreads are rejected above.
        //
        // SAFETY: The fault lock is held, so the VMA is valid and holds a reference to `vm_file`.
        let file = unsafe { bindings::get_file((*self.vma().as_ptr()).vm_file) };
        // SAFETY: The current task handles this fault and holds the fault lock, by the type
        // invariant. Uses of the VMA borrow `self`. `&'a mut self` excludes earlier borrows, and
        // later ones too, as `self` stays mutably borrowed for the lifetime of `VmFault<'a, T>`.
        unsafe { bindings::release_fault_lock(self.vmf.as_ptr()) };

        wait();

        // SAFETY: `get_file()` above has taken the reference.
        unsafe { bindings::fput(file) };
        // `VM_FAULT_MAJOR` limits the repetition to one: with it, the architecture's fault handler
        // sets `FAULT_FLAG_TRIED` also when the fault lock was the VMA lock.
        //
        // INVARIANT: The fault lock has been released, and `VM_FAULT_RETRY` is set, which is valid
        // as `FAULT_FLAG_ALLOW_RETRY` is set. `reason` is not zero, and `page` is null.
        Ok(FaultResult {
            reason: bindings::vm_fault_reason_VM_FAULT_RETRY
                | bindings::vm_fault_reason_VM_FAULT_MAJOR,
            page: null_mut(),
            brand: PhantomData,
        })
    }
}

/// Returns whether `err` says that a signal has interrupted a wait.
#[inline]
fn is_interrupted(err: Error) -> bool {
    [
        EINTR,
        ERESTARTSYS,
        ERESTARTNOINTR,
        ERESTARTNOHAND,
        ERESTART_RESTARTBLOCK,
    ]
    .contains(&err)
}

/// Converts an error to a `vm_fault_t`, with one bit of `VM_FAULT_ERROR` set.
#[doc(alias = "vmf_error")]
#[inline]
pub(super) fn vm_fault_from_errno(err: Error) -> bindings::vm_fault_t {
    if cfg!(CONFIG_UML) {
        // After `VM_FAULT_OOM`, `maybe_map()` uses the page table of the address, which may be
        // missing. For `VM_FAULT_HWPOISON`, `handle_page_fault()` has a `BUG()`.
        bindings::vm_fault_reason_VM_FAULT_SIGBUS
    } else if err == ENOMEM {
        bindings::vm_fault_reason_VM_FAULT_OOM
    } else if err.to_errno() == -(bindings::EHWPOISON as i32) {
        bindings::vm_fault_reason_VM_FAULT_HWPOISON
    } else {
        bindings::vm_fault_reason_VM_FAULT_SIGBUS
    }
}
