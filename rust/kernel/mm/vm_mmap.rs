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
/// assert!(prot != Prot::READ && prot == prot | Prot::NONE);
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
/// One of [`SHARED`](Self::SHARED) and [`PRIVATE`](Self::PRIVATE) is required.
///
/// # Examples
///
/// ```
/// use kernel::mm::vm_mmap::MapFlags;
///
/// let flags = MapFlags::PRIVATE | MapFlags::POPULATE;
/// assert!(flags != MapFlags::PRIVATE);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapFlags(c_uint);

impl MapFlags {
    /// What is written is seen by other processes, and written to the file.
    #[doc(alias = "MAP_SHARED")]
    pub const SHARED: Self = Self(bindings::MAP_SHARED);
    /// What is written is seen by this process only.
    #[doc(alias = "MAP_PRIVATE")]
    pub const PRIVATE: Self = Self(bindings::MAP_PRIVATE);
    /// The mapping begins at the address, not near it. What is mapped there is unmapped.
    #[doc(alias = "MAP_FIXED")]
    pub const FIXED: Self = Self(bindings::MAP_FIXED);
    /// As [`FIXED`](Self::FIXED), but if something is mapped there, the call fails with `EEXIST`.
    #[doc(alias = "MAP_FIXED_NOREPLACE")]
    pub const FIXED_NOREPLACE: Self = Self(bindings::MAP_FIXED_NOREPLACE);
    /// The pages are faulted in.
    #[doc(alias = "MAP_POPULATE")]
    pub const POPULATE: Self = Self(bindings::MAP_POPULATE);
    /// No memory is reserved for private pages.
    #[doc(alias = "MAP_NORESERVE")]
    pub const NORESERVE: Self = Self(bindings::MAP_NORESERVE);
}

impl BitOr for MapFlags {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl CurrentTask {
    /// Maps memory in the address space of the task, as `mmap()` of userspace does.
    ///
    /// Returns the start address. Without a file, the memory is anonymous. `addr` is a hint, unless
    /// `flags` says otherwise. `len` is in bytes and is rounded up to whole pages; `offset` is the
    /// offset in the file, in bytes.
    ///
    /// Userspace may unmap the memory at any time, also before this returns, and map something else
    /// there.
    ///
    /// The mmap lock is taken for writing, so the caller must not hold it, nor a lock that is taken
    /// within it. The callbacks of a VMA are called with the mmap lock held.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `len` is zero, `offset` is not that of a page, `addr` is not with
    ///   [`MapFlags::FIXED`], or there is not one of the two required flags.
    /// - `EFAULT`: The task has no mm.
    /// - `EEXIST`: As [`MapFlags::FIXED_NOREPLACE`] says.
    /// - `ENOMEM`: There is no room, `len` is too great, or an allocation failed.
    /// - `EACCES`, `EPERM`: The file has not been opened in this way, or a security module refuses.
    /// - `EOVERFLOW`: The end is beyond the largest offset of the file.
    /// - `EINTR`: The task has been killed.
    /// - `EBUSY`: The task may not sleep here.
    /// - What the `mmap()` of the file returns, such as `ENODEV` if it has none.
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
    /// fn map(buffer: Option<&File>, len: usize) -> Result<usize> {
    ///     let prot = Prot::READ | Prot::WRITE;
    ///     current!().vm_mmap(buffer, 0, len, prot, MapFlags::PRIVATE, 0)
    /// }
    /// # use kernel::mm::remote::UserMemory;
    /// # assert_eq!(map(None, PAGE_SIZE), Err(EFAULT));
    /// # kernel::mm::kunit::with_user_mm(|mm, used| {
    /// # let task = current!();
    /// # let addr = map(None, 2 * PAGE_SIZE - 1)?;
    /// # mm.write(addr + PAGE_SIZE - 2, b"next")?;
    /// # assert_eq!(mm.write(addr + 2 * PAGE_SIZE - 1, b"x"), Ok(()));
    /// # task.vm_munmap(addr + PAGE_SIZE, PAGE_SIZE)?;
    /// # let mut text = [0; 4];
    /// # let read = task.read(addr + PAGE_SIZE - 2, &mut text).map_err(|partial| partial.copied);
    /// # assert!(read.is_err() && text[..2] == *b"ne");
    /// #
    /// # let fixed = |addr, len, flags| {
    /// #     task.vm_mmap(None, addr, len, Prot::READ, MapFlags::PRIVATE | flags, 0)
    /// # };
    /// # assert_eq!(fixed(used, 1, MapFlags::FIXED_NOREPLACE), Err(EEXIST));
    /// # assert_eq!(fixed(used + 1, 1, MapFlags::FIXED), Err(EINVAL));
    /// # assert_eq!(fixed(used, 1, MapFlags::FIXED), Ok(used));
    /// # assert_eq!(mm.write(used, b"x").map_err(Error::from), Err(EFAULT));
    /// # assert_eq!(fixed(0, 0, MapFlags::POPULATE), Err(EINVAL));
    /// # assert_eq!(fixed(0, usize::MAX, MapFlags::POPULATE), Err(ENOMEM));
    /// # assert_eq!(fixed(0, 1 << (usize::BITS - 2), MapFlags::POPULATE), Err(ENOMEM));
    /// # let flags = MapFlags::PRIVATE;
    /// # assert_eq!(task.vm_mmap(None, 0, 1, Prot::READ, flags, 1), Err(EINVAL));
    /// # assert_eq!(task.vm_mmap(None, 0, 1, Prot::READ, flags, usize::MAX), Err(EINVAL));
    /// # assert_eq!(task.vm_mmap(None, 0, 1, Prot::READ, MapFlags::FIXED, 0), Err(EINVAL));
    /// # Ok(())
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
        self.mm().ok_or(EFAULT)?;
        if !may_sleep() {
            return Err(EBUSY);
        }
        let (file, anonymous) = match file {
            Some(file) => (file.as_ptr(), 0),
            None => (null_mut(), bindings::MAP_ANONYMOUS),
        };
        // SAFETY: The task has a `current->mm`, and may sleep. `file` is null, or points to a file
        // that is borrowed; the VMA takes a reference of its own. `vm_mmap()` checks the other
        // arguments as those of `mmap()`, which are userspace's. It waits for the mmap lock, so it
        // unmaps no VMA that Rust code has a reference to.
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
    /// The mmap lock is taken for writing, as by [`vm_mmap`](Self::vm_mmap).
    ///
    /// # Errors
    ///
    /// - `EINVAL`: `len` is zero, `start` is not the address of a page, or the range is not one of
    ///   userspace.
    /// - `EFAULT`: The task has no mm.
    /// - `EPERM`: A VMA is sealed (`mseal()`).
    /// - `ENOMEM`: A VMA would be split, and there are too many, or an allocation failed.
    /// - `EINTR`: The task has been killed.
    /// - `EBUSY`: The task may not sleep here.
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
    /// # assert_eq!(current!().vm_munmap(0, PAGE_SIZE), Err(EFAULT));
    /// # kernel::mm::kunit::with_user_mm(|mm, used| {
    /// let task = current!();
    /// let addr = task.vm_mmap(None, 0, PAGE_SIZE, Prot::READ, MapFlags::SHARED, 0)?;
    /// // ... a later step fails ...
    /// task.vm_munmap(addr, PAGE_SIZE)?;
    /// # let is_mapped = |addr| mm.mmap_read_lock().vma_lookup(addr).is_some();
    /// # assert!(is_mapped(used) && !is_mapped(addr));
    /// # assert_eq!(task.vm_munmap(used, 0), Err(EINVAL));
    /// # assert_eq!(task.vm_munmap(used + 1, PAGE_SIZE), Err(EINVAL));
    /// # assert_eq!(task.vm_munmap(usize::MAX & !(PAGE_SIZE - 1), PAGE_SIZE), Err(EINVAL));
    /// # assert!(is_mapped(used));
    /// # assert_eq!(task.vm_munmap(used, 1), Ok(()));
    /// # assert!(!is_mapped(used));
    /// # assert_eq!(task.vm_munmap(used, 1), Ok(()));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "do_munmap")]
    pub fn vm_munmap(&self, start: usize, len: usize) -> Result {
        self.mm().ok_or(EFAULT)?;
        if !may_sleep() {
            return Err(EBUSY);
        }
        // SAFETY: As in `vm_mmap()`. `vm_munmap()` checks the range.
        to_result(unsafe { bindings::vm_munmap(start, len) })
    }
}
