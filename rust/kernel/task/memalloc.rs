// SPDX-License-Identifier: GPL-2.0

//! Sections in which the current task allocates memory with fewer means.
//!
//! Code that is called while memory is reclaimed, or that holds a lock which reclaim takes, must
//! not start reclaim again. `GFP_NOIO` says so for one allocation. These functions say so for all
//! of a closure, also for allocations of functions that it calls.
//!
//! C header: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h)

use crate::{
    bindings,
    prelude::*, //
};

/// Calls `f`. Allocations of this task start no I/O meanwhile, as if each had `GFP_NOIO`.
///
/// For a block device, and for whatever is done while it is suspended or reset.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// use kernel::task::memalloc_noio;
///
/// /// Resets a disk. Reclaim would wait for the disk.
/// fn reset() -> Result<KVec<u8>> {
///     memalloc_noio(|| Ok(KVec::with_capacity(4096, GFP_KERNEL)?))
/// }
/// assert!(reset()?.capacity() >= 4096);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("memalloc_noio_save", "memalloc_noio_restore", "PF_MEMALLOC_NOIO"))]
#[inline]
pub fn memalloc_noio<R>(f: impl FnOnce() -> R) -> R {
    with_flag(bindings::PF_MEMALLOC_NOIO, f)
}

/// Calls `f`. Allocations of this task do not call into file systems meanwhile, as if each had
/// `GFP_NOFS`.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// use kernel::task::memalloc_nofs;
///
/// // A file system calls this, and holds its locks.
/// let name = memalloc_nofs(|| KBox::new([0u8; 64], GFP_KERNEL))?;
/// # assert_eq!(name.len(), 64);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("memalloc_nofs_save", "memalloc_nofs_restore", "PF_MEMALLOC_NOFS"))]
#[inline]
pub fn memalloc_nofs<R>(f: impl FnOnce() -> R) -> R {
    with_flag(bindings::PF_MEMALLOC_NOFS, f)
}

/// Calls `f`. Allocations of this task do not reclaim memory themselves meanwhile, and may use the
/// memory that is reserved for reclaim.
///
/// The latter also holds in a softirq handler, but not in a hard interrupt handler, and not in a
/// task that has softirqs disabled (`__gfp_pfmemalloc_flags()`). An interrupt during `f` does not
/// use the reserve: `handle_softirqs()` clears the flag meanwhile.
///
/// For code without which reclaim makes no progress, such as that of a device which the kernel
/// swaps to. It must free more memory than it allocates, and soon: nothing limits how much of the
/// reserve it takes. `f` must not access memory of userspace or call a file system: a page fault
/// would take from the reserve as well, and `__alloc_pages_slowpath()` warns about an allocation
/// with `__GFP_NOFAIL`.
///
/// # Context
///
/// Any context, including NMI.
///
/// # Examples
///
/// ```
/// use kernel::task::memalloc_noreclaim;
///
/// /// Sends a page to the device that is swapped to. The request is freed when it is done.
/// fn write_page(page: usize) -> Result<KBox<usize>> {
///     memalloc_noreclaim(|| Ok(KBox::new(page, GFP_KERNEL)?))
/// }
/// # assert_eq!(*write_page(7)?, 7);
/// # Ok::<(), Error>(())
/// ```
#[doc(alias("memalloc_noreclaim_save", "memalloc_noreclaim_restore", "PF_MEMALLOC"))]
#[inline]
pub fn memalloc_noreclaim<R>(f: impl FnOnce() -> R) -> R {
    with_flag(bindings::PF_MEMALLOC, f)
}

/// Calls `f` with `flag` set in the flags of the current task.
#[inline]
fn with_flag<R>(flag: c_uint, f: impl FnOnce() -> R) -> R {
    // SAFETY: `memalloc_flags_save()` only changes `task_struct::flags` of `current`, which only
    // the task itself and interrupts on its CPU write. An interrupt that calls this function
    // restores the flag before it returns, so the interrupted code does not notice.
    let unset = unsafe { bindings::memalloc_flags_save(flag) };
    let result = f();
    // SAFETY: As above. A closure begins and ends in the same task. `unset` is the flag, or 0 if it
    // was set before, in which case it stays set: sections may be nested.
    unsafe { bindings::memalloc_flags_restore(unset) };
    result
}
