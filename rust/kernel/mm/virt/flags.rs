// SPDX-License-Identifier: GPL-2.0

//! VMA flags.
//!
//! The names are those of C without the prefix `VM_`.

use super::vm_flags_t;
use crate::bindings;

// Access rights, now and after `mprotect()`.

/// No flag.
pub const NONE: vm_flags_t = bindings::VM_NONE as vm_flags_t;
/// Userspace may read.
pub const READ: vm_flags_t = bindings::VM_READ as vm_flags_t;
/// `mprotect()` may set [`READ`].
pub const MAYREAD: vm_flags_t = bindings::VM_MAYREAD as vm_flags_t;
/// Userspace may write.
pub const WRITE: vm_flags_t = bindings::VM_WRITE as vm_flags_t;
/// `mprotect()` may set [`WRITE`].
pub const MAYWRITE: vm_flags_t = bindings::VM_MAYWRITE as vm_flags_t;
/// Userspace may execute.
pub const EXEC: vm_flags_t = bindings::VM_EXEC as vm_flags_t;
/// `mprotect()` may set [`EXEC`].
pub const MAYEXEC: vm_flags_t = bindings::VM_MAYEXEC as vm_flags_t;
/// A write is visible in all shared mappings of the same memory.
pub const SHARED: vm_flags_t = bindings::VM_SHARED as vm_flags_t;
/// The VMA was mapped with `MAP_SHARED`. Unlike [`SHARED`], it is also set if the file is not
/// writable.
pub const MAYSHARE: vm_flags_t = bindings::VM_MAYSHARE as vm_flags_t;

// What is mapped.

/// Pages and PFNs may be mapped in the same VMA.
pub const MIXEDMAP: vm_flags_t = bindings::VM_MIXEDMAP as vm_flags_t;
/// PFNs are mapped. The core mm does not use their `struct page`, even if they have one.
pub const PFNMAP: vm_flags_t = bindings::VM_PFNMAP as vm_flags_t;
/// Memory of a device, such as MMIO registers.
pub const IO: vm_flags_t = bindings::VM_IO as vm_flags_t;
/// A VMA of hugetlbfs.
pub const HUGETLB: vm_flags_t = bindings::VM_HUGETLB as vm_flags_t;
/// A page fault for writing waits until the metadata of the file is on disk (`MAP_SYNC`).
pub const SYNC: vm_flags_t = bindings::VM_SYNC as vm_flags_t;
/// The meaning depends on the architecture.
pub const ARCH_1: vm_flags_t = bindings::VM_ARCH_1 as vm_flags_t;

// Effects on `fork()`, `mremap()` and core dumps.

/// `fork()` does not copy the VMA to the child.
pub const DONTCOPY: vm_flags_t = bindings::VM_DONTCOPY as vm_flags_t;
/// After `fork()`, the memory of the child is zeroed here.
pub const WIPEONFORK: vm_flags_t = bindings::VM_WIPEONFORK as vm_flags_t;
/// `mremap()` cannot grow the VMA.
pub const DONTEXPAND: vm_flags_t = bindings::VM_DONTEXPAND as vm_flags_t;
/// Core dumps leave the VMA out.
pub const DONTDUMP: vm_flags_t = bindings::VM_DONTDUMP as vm_flags_t;

// Accounting and reclaim.

/// The VMA was mapped with `MAP_NORESERVE`.
pub const NORESERVE: vm_flags_t = bindings::VM_NORESERVE as vm_flags_t;
/// The VMA is charged to the limit on committed memory.
pub const ACCOUNT: vm_flags_t = bindings::VM_ACCOUNT as vm_flags_t;
/// A page is locked into memory when it is first accessed.
pub const LOCKONFAULT: vm_flags_t = bindings::VM_LOCKONFAULT as vm_flags_t;
/// Soft-dirty tracking reports all pages of the VMA as dirty.
pub const SOFTDIRTY: vm_flags_t = bindings::VM_SOFTDIRTY as vm_flags_t;
/// KSM may merge pages with the same content.
pub const MERGEABLE: vm_flags_t = bindings::VM_MERGEABLE as vm_flags_t;
/// `madvise(MADV_HUGEPAGE)` was called.
pub const HUGEPAGE: vm_flags_t = bindings::VM_HUGEPAGE as vm_flags_t;
/// `madvise(MADV_NOHUGEPAGE)` was called.
pub const NOHUGEPAGE: vm_flags_t = bindings::VM_NOHUGEPAGE as vm_flags_t;

/// Implements the methods that set flags which a driver may set on any VMA.
///
/// The type must have an `unsafe fn set_flags(flags)`. `$fixture` is a function of
/// [`kunit`](crate::mm::kunit) that calls a closure with a reference to the type.
macro_rules! impl_set_flags {
    ($self:ident, $receiver:ty, $fixture:literal) => {
        /// Sets [`flags::DONTCOPY`]: `fork()` does not copy the VMA to the child.
        ///
        /// Userspace can clear the flag with `madvise(MADV_DOFORK)`, unless [`flags::IO`] is set.
        /// (Linux 7.3 refuses this for [`flags::DONTEXPAND`], [`flags::PFNMAP`] and
        /// [`flags::MIXEDMAP`], too.)
        ///
        /// # Context
        ///
        /// Process context; may sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        /// use kernel::mm::virt::flags;
        ///
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// vma.set_dontcopy();
        /// assert!(vma.flags() & flags::DONTCOPY != 0);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn set_dontcopy($self: $receiver) {
            // SAFETY: `madvise(MADV_DONTFORK)` sets `VM_DONTCOPY` on any VMA, for userspace.
            unsafe { $self.set_flags($crate::mm::virt::flags::DONTCOPY) };
        }

        /// Sets [`flags::DONTDUMP`]: core dumps leave the VMA out.
        ///
        /// Userspace can clear the flag with `madvise(MADV_DODUMP)`, unless [`flags::IO`],
        /// [`flags::DONTEXPAND`], [`flags::PFNMAP`] or [`flags::MIXEDMAP`] is set.
        ///
        /// # Context
        ///
        /// Process context; may sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        /// use kernel::mm::virt::flags;
        ///
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// vma.set_dontdump();
        /// assert!(vma.flags() & flags::DONTDUMP != 0);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn set_dontdump($self: $receiver) {
            // SAFETY: `madvise(MADV_DONTDUMP)` sets `VM_DONTDUMP` on any VMA, for userspace.
            unsafe { $self.set_flags($crate::mm::virt::flags::DONTDUMP) };
        }
    };
}
pub(in crate::mm) use impl_set_flags;

/// Implements the methods that read and change the flags of a VMA that a driver sets up.
///
/// The type must have `fn flags()` and an `unsafe fn update_flags(set, unset)` that takes no lock.
/// `$fixture` is a function of [`kunit`](crate::mm::kunit) that calls a closure with a reference to
/// the type, for a VMA that is readable and writable.
macro_rules! impl_new_vma_flags {
    ($self:ident, $receiver:ty, $fixture:literal) => {
        /// Sets the flags in `flags`.
        ///
        /// # Safety
        ///
        /// The resulting flags must be valid for a VMA that a driver sets up.
        #[inline]
        unsafe fn set_flags($self: $receiver, flags: vm_flags_t) {
            // SAFETY: The caller guarantees that the resulting flags are valid.
            unsafe { $self.update_flags(flags, 0) };
        }

        /// Sets [`flags::DONTEXPAND`]: `mremap()` cannot grow the VMA, and the core mm does not
        /// merge it with a neighbour.
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        /// use kernel::mm::virt::flags;
        ///
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// vma.set_dontexpand();
        /// assert!(vma.flags() & flags::DONTEXPAND != 0);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn set_dontexpand($self: $receiver) {
            // SAFETY: For a VMA of a driver, `VM_DONTEXPAND` only forbids operations.
            // `remap_pfn_range()` sets it on a VMA that an `->mmap()` hook sets up, as well.
            unsafe { $self.set_flags($crate::mm::virt::flags::DONTEXPAND) };
        }

        /// Sets [`flags::IO`]: the VMA maps memory with side effects on access, such as MMIO
        /// registers.
        ///
        /// Core dumps leave such a VMA out. `get_user_pages()` refuses it, so `ptrace()` uses
        /// [`VmOperations::access`](crate::mm::vm_ops::VmOperations::access).
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        /// use kernel::mm::virt::flags;
        ///
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// vma.set_io();
        /// assert!(vma.flags() & flags::IO != 0);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn set_io($self: $receiver) {
            // SAFETY: `VM_IO` restricts what the core mm does with the VMA. `remap_pfn_range()`
            // sets it on a VMA that an `->mmap()` hook sets up, as well.
            unsafe { $self.set_flags($crate::mm::virt::flags::IO) };
        }

        /// Returns whether userspace may read the VMA ([`flags::READ`]).
        ///
        /// `false` is no protection: `mprotect()` may change it later. A driver that does not let
        /// userspace read its memory calls [`try_clear_mayread`](Self::try_clear_mayread).
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// // Only a hint: whether userspace is likely to read what the driver could map at once.
        /// let prefault = vma.readable();
        /// # assert!(prefault);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn readable(&$self) -> bool {
            $self.flags() & $crate::mm::virt::flags::READ != 0
        }

        /// Returns whether userspace may write to the VMA ([`flags::WRITE`]).
        ///
        /// `false` is no protection: `mprotect()` may change it later. A driver that does not let
        /// userspace write to its memory calls [`try_clear_maywrite`](Self::try_clear_maywrite).
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// // One page of zeros may stand for all that are empty, if userspace can write to none of
        /// // them, neither now nor after `mprotect()`.
        /// let may_share_zeros = !vma.writable() && vma.try_clear_maywrite().is_ok();
        /// # assert!(!may_share_zeros);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn writable(&$self) -> bool {
            $self.flags() & $crate::mm::virt::flags::WRITE != 0
        }

        /// Returns whether userspace may execute the VMA ([`flags::EXEC`]).
        ///
        /// `false` is no protection: `mprotect()` may change it later. A driver that does not let
        /// userspace execute its memory calls [`try_clear_mayexec`](Self::try_clear_mayexec).
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// // Instruction caches need not see what the driver writes to the memory, if userspace
        /// // cannot execute it, neither now nor after `mprotect()`.
        /// let has_no_code = !vma.executable() && vma.try_clear_mayexec().is_ok();
        /// # assert!(has_no_code);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn executable(&$self) -> bool {
            $self.flags() & $crate::mm::virt::flags::EXEC != 0
        }

        /// Clears [`flags::MAYREAD`], [`flags::MAYWRITE`] and [`flags::MAYEXEC`]: `mprotect()`
        /// cannot make the VMA accessible.
        ///
        /// On most architectures, a page that userspace may write or execute can be read as well.
        /// So a VMA is only kept from being read if it is not accessible at all.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the VMA is readable, writable or executable.
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// // Userspace has mapped this for reading.
        /// assert_eq!(vma.try_clear_mayread(), Err(EINVAL));
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn try_clear_mayread($self: $receiver) -> Result {
            use $crate::mm::virt::flags;

            if $self.readable() || $self.writable() || $self.executable() {
                return Err(EINVAL);
            }
            let may = flags::MAYREAD | flags::MAYWRITE | flags::MAYEXEC;
            // SAFETY: None of the access flags is set. A VMA may lack each `MAY` flag whose access
            // flag is not set: `mprotect()` and `check_vma_flags()` only test the `MAY` flags.
            unsafe { $self.update_flags(0, may) };
            Ok(())
        }

        /// Clears [`flags::MAYWRITE`]: `mprotect()` cannot make the VMA writable.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the VMA is writable.
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// // Userspace has mapped this for writing. A driver whose memory is read-only fails then.
        /// assert_eq!(vma.try_clear_maywrite(), Err(EINVAL));
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn try_clear_maywrite($self: $receiver) -> Result {
            if $self.writable() {
                return Err(EINVAL);
            }
            // SAFETY: `VM_WRITE` is not set. A VMA may lack each `MAY` flag whose access flag is
            // not set: `binder_mmap()` clears `VM_MAYWRITE`, too.
            unsafe { $self.update_flags(0, $crate::mm::virt::flags::MAYWRITE) };
            Ok(())
        }

        /// Clears [`flags::MAYEXEC`]: `mprotect()` cannot make the VMA executable.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the VMA is executable.
        ///
        /// # Context
        ///
        /// Process context. Does not sleep. The caller holds the mmap lock for writing.
        ///
        /// # Examples
        ///
        /// ```
        /// use kernel::mm::virt::flags;
        ///
        #[doc = concat!(" # kernel::mm::kunit::", $fixture, "(|vma| {")]
        /// vma.try_clear_mayexec()?;
        /// assert!(vma.flags() & flags::MAYEXEC == 0);
        /// # Ok(())
        /// # })?;
        /// # Ok::<(), Error>(())
        /// ```
        #[inline]
        pub fn try_clear_mayexec($self: $receiver) -> Result {
            if $self.executable() {
                return Err(EINVAL);
            }
            // SAFETY: `VM_EXEC` is not set. A VMA may lack each `MAY` flag whose access flag is not
            // set: `do_mmap()` clears `VM_MAYEXEC`, too, for a file of a `noexec` mount.
            unsafe { $self.update_flags(0, $crate::mm::virt::flags::MAYEXEC) };
            Ok(())
        }
    };
}
pub(in crate::mm) use impl_new_vma_flags;
