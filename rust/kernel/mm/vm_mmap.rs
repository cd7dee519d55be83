// SPDX-License-Identifier: GPL-2.0

//! Mappings that the kernel makes in the address space of the current task.
//!
//! A driver normally leaves `mmap()` to userspace. Some drivers have an ioctl that maps a buffer
//! and returns the address.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

use crate::{
    bindings,
    error::to_result,
    fs::File,
    prelude::*,
    task::{
        may_sleep,
        CurrentTask, //
    },
};
use core::{
    ops::BitOr,
    ptr::null_mut, //
};

/// What may be done with the memory of a mapping.
///
/// # Examples
///
/// ```
/// use kernel::mm::vm_mmap::Prot;
///
/// let prot = Prot::READ | Prot::WRITE;
/// assert!(prot != Prot::READ);
/// # assert_eq!(prot | Prot::NONE, prot);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prot(c_uint);

impl Prot {
    /// Nothing. Each access raises `SIGSEGV`.
    #[doc(alias = "PROT_NONE")]
    pub const NONE: Self = Self(bindings::PROT_NONE);
    /// It may be read.
    #[doc(alias = "PROT_READ")]
    pub const READ: Self = Self(bindings::PROT_READ);
    /// It may be written.
    #[doc(alias = "PROT_WRITE")]
    pub const WRITE: Self = Self(bindings::PROT_WRITE);
    /// It may be executed.
    #[doc(alias = "PROT_EXEC")]
    pub const EXEC: Self = Self(bindings::PROT_EXEC);
}

impl BitOr for Prot {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The kind of a mapping, and where it is.
///
/// A value begins with one of the two kinds, so it cannot have both.
///
/// # Examples
///
/// ```
/// use kernel::mm::vm_mmap::MapFlags;
///
/// let flags = MapFlags::PRIVATE.fixed_noreplace().populate();
/// assert!(flags != MapFlags::PRIVATE);
/// # assert!(MapFlags::SHARED.noreserve() != MapFlags::SHARED.fixed());
/// ```
///
/// # Invariants
///
/// Of `MAP_SHARED` and `MAP_PRIVATE`, one is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFlags(c_uint);

impl MapFlags {
    // INVARIANT: Both have one of the bits.
    /// What is written is seen by other processes, and written to the file.
    #[doc(alias = "MAP_SHARED")]
    pub const SHARED: Self = Self(bindings::MAP_SHARED);
    /// What is written is seen by this process only.
    #[doc(alias = "MAP_PRIVATE")]
    pub const PRIVATE: Self = Self(bindings::MAP_PRIVATE);

    /// The mapping begins at the address, not near it. What is mapped there is unmapped.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`MapFlags`].
    #[doc(alias = "MAP_FIXED")]
    pub const fn fixed(self) -> Self {
        Self(self.0 | bindings::MAP_FIXED)
    }

    /// As [`fixed`](Self::fixed), but the call fails with `EEXIST` if something is mapped there.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`MapFlags`].
    #[doc(alias = "MAP_FIXED_NOREPLACE")]
    pub const fn fixed_noreplace(self) -> Self {
        Self(self.0 | bindings::MAP_FIXED_NOREPLACE)
    }

    /// The pages are faulted in.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`MapFlags`].
    #[doc(alias = "MAP_POPULATE")]
    pub const fn populate(self) -> Self {
        Self(self.0 | bindings::MAP_POPULATE)
    }

    /// No memory is reserved for private pages.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    ///
    /// # Examples
    ///
    /// See [`MapFlags`].
    #[doc(alias = "MAP_NORESERVE")]
    pub const fn noreserve(self) -> Self {
        Self(self.0 | bindings::MAP_NORESERVE)
    }
}

/// Checks that the current task may change its address space as userspace can.
fn check_task(task: &CurrentTask) -> Result {
    task.mm().ok_or(EFAULT)?;
    if task.is_kthread() {
        return Err(EFAULT);
    }
    // SAFETY: Only the task itself writes the field, in `bprm_execve()`.
    if !may_sleep() || unsafe { bindings::current_in_execve() } {
        return Err(EBUSY);
    }
    Ok(())
}

impl CurrentTask {
    /// Maps memory in the address space of the task, as `mmap()` of userspace does.
    ///
    /// Returns the start address. Without a file, the memory is anonymous. `addr` is a hint, unless
    /// `flags` says otherwise. `len` is in bytes and is rounded up to whole pages; `offset` is the
    /// offset in the file, in bytes. For a file of hugetlbfs, `len` must be that of whole huge
    /// pages.
    ///
    /// Userspace may unmap the memory at any time, also before this returns, and map something else
    /// there.
    ///
    /// The mmap lock is taken for writing, and VMAs may be locked, so the caller must hold neither,
    /// nor a lock that is taken within them. The hook of the file is called with the mmap lock
    /// held.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `len` is zero, `offset` is not that of a page, `addr` is not with
    ///   [`MapFlags::fixed`], or `offset + len` overflows.
    /// - `EFAULT`: The task has no mm, or is a kthread, also in `kthread_use_mm()`.
    /// - `EEXIST`: As [`MapFlags::fixed_noreplace`] says.
    /// - `ENOMEM`: There is no room, `len` is too great, or an allocation failed.
    /// - `EAGAIN`: The memory would be locked (`mlockall()`), beyond `RLIMIT_MEMLOCK`.
    /// - `EACCES`, `EPERM`: The file has not been opened in this way, a security module refuses, or
    ///   a VMA that would be replaced is sealed (`mseal()`).
    /// - `EOVERFLOW`: The end is beyond the largest offset of the file.
    /// - `EINTR`: The task has been killed.
    /// - `EBUSY`: The task may not sleep here, or executes `execve()`: this is a callback of a VMA
    ///   of the old address space.
    /// - What the hook of the file returns, such as `ENODEV` if it has none.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     fs::File,
    ///     mm::vm_mmap::{MapFlags, Prot},
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Maps the file that has the pages of a buffer, and returns the address for userspace.
    /// fn map(buffer: &File, pages: usize) -> Result<usize> {
    ///     let prot = Prot::READ | Prot::WRITE;
    ///     current!().vm_mmap(Some(buffer), 0, pages * PAGE_SIZE, prot, MapFlags::SHARED, 0)
    /// }
    /// # let _ = map;
    /// # let refused = || {
    /// #     let flags = MapFlags::PRIVATE;
    /// #     current!().vm_mmap(None, 0, PAGE_SIZE, Prot::READ, flags, 0)
    /// # };
    /// # assert_eq!(refused(), Err(EFAULT));
    /// # kernel::mm::kunit::with_user_mm(|_, _| {
    /// #     // A kthread that uses an mm.
    /// #     assert_eq!(refused(), Err(EFAULT));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("MAP_ANONYMOUS", "vm_mmap_pgoff", "do_mmap"))]
    pub fn vm_mmap(
        &self,
        file: Option<&File>,
        addr: usize,
        len: usize,
        prot: Prot,
        flags: MapFlags,
        offset: usize,
    ) -> Result<usize> {
        check_task(self)?;
        let (file, anonymous) = match file {
            Some(file) => (file.as_ptr(), 0),
            None => (null_mut(), bindings::MAP_ANONYMOUS),
        };
        // SAFETY: The task has a `current->mm`, and may sleep. `file` is null, or points to a file
        // that is borrowed; the VMA takes a reference of its own. `vm_mmap()` checks the other
        // arguments as those of `mmap()`, which are userspace's. The call may unmap VMAs:
        //
        // - It waits for the mmap lock and for VMA locks, with which Rust code refers to a VMA.
        // - C code has no VMA of this address space without a lock, except for that of the stack
        //   during `execve()` (`linux_binprm::vma`). Other tasks that use the address space begin
        //   to exist after that, or are kthreads.
        //
        // CAST: The flags are bits of an `unsigned long`.
        let result = unsafe {
            bindings::vm_mmap(
                file,
                addr,
                len,
                prot.0 as usize,
                (flags.0 | anonymous) as usize,
                offset,
            )
        };
        // CAST: The result is a userspace address, or an error, which is at least `-MAX_ERRNO`. It
        // fits into an `int` then.
        match result as isize {
            error @ -4095..=-1 => Err(Error::from_errno(error as c_int)),
            _ => Ok(result),
        }
    }

    /// Unmaps a part of the address space of the task, as `munmap()` of userspace does.
    ///
    /// `start` must be the address of a page. `len` is in bytes and is rounded up to whole pages.
    /// A range in which nothing is mapped is no error.
    ///
    /// Locks are taken as by [`vm_mmap`](Self::vm_mmap).
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `len` is zero, `start` is not the address of a page, the range is not one of
    ///   userspace, or has a part of a huge page of hugetlbfs.
    /// - `EFAULT`: The task has no mm, or is a kthread, also in `kthread_use_mm()`.
    /// - `EPERM`: A VMA is sealed (`mseal()`).
    /// - `ENOMEM`: A VMA would be split, and there are too many, or an allocation failed.
    /// - `EINTR`: The task has been killed.
    /// - `EBUSY`: The task may not sleep here, or executes `execve()`.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::vm_mmap::{MapFlags, Prot},
    ///     page::PAGE_SIZE, //
    /// };
    ///
    /// /// Maps a page, and tells userspace where it is.
    /// fn map(tell: impl FnOnce(usize) -> Result) -> Result {
    ///     let task = current!();
    ///     let addr = task.vm_mmap(None, 0, PAGE_SIZE, Prot::READ, MapFlags::PRIVATE, 0)?;
    ///     tell(addr).or_else(|err| {
    ///         task.vm_munmap(addr, PAGE_SIZE)?;
    ///         Err(err)
    ///     })
    /// }
    /// # assert_eq!(map(|_| Ok(())), Err(EFAULT));
    /// # assert_eq!(current!().vm_munmap(0, PAGE_SIZE), Err(EFAULT));
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// #     assert_eq!(current!().vm_munmap(addr, PAGE_SIZE), Err(EFAULT));
    /// #     assert!(mm.mmap_read_lock().vma_lookup(addr).is_some());
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "do_munmap")]
    pub fn vm_munmap(&self, start: usize, len: usize) -> Result {
        check_task(self)?;
        // SAFETY: As in `vm_mmap()`. `vm_munmap()` checks the range.
        to_result(unsafe { bindings::vm_munmap(start, len) })
    }
}
