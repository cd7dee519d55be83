// SPDX-License-Identifier: GPL-2.0

//! VMA flags.
//!
//! The names are those of C without `VM_`.

use super::vm_flags_t;
use crate::bindings;

// What user space may do, now and after `mprotect()`.

/// No flag.
pub const NONE: vm_flags_t = bindings::VM_NONE as vm_flags_t;
/// User space may read.
pub const READ: vm_flags_t = bindings::VM_READ as vm_flags_t;
/// `mprotect()` may set [`READ`].
pub const MAYREAD: vm_flags_t = bindings::VM_MAYREAD as vm_flags_t;
/// User space may write.
pub const WRITE: vm_flags_t = bindings::VM_WRITE as vm_flags_t;
/// `mprotect()` may set [`WRITE`].
pub const MAYWRITE: vm_flags_t = bindings::VM_MAYWRITE as vm_flags_t;
/// User space may execute.
pub const EXEC: vm_flags_t = bindings::VM_EXEC as vm_flags_t;
/// `mprotect()` may set [`EXEC`].
pub const MAYEXEC: vm_flags_t = bindings::VM_MAYEXEC as vm_flags_t;
/// A write is seen by everyone who maps the same memory.
pub const SHARED: vm_flags_t = bindings::VM_SHARED as vm_flags_t;
/// The memory can be shared.
pub const MAYSHARE: vm_flags_t = bindings::VM_MAYSHARE as vm_flags_t;

// What is mapped.

/// Pages and bare page frames may be mapped side by side.
pub const MIXEDMAP: vm_flags_t = bindings::VM_MIXEDMAP as vm_flags_t;
/// Page frames without a `struct page` are mapped.
pub const PFNMAP: vm_flags_t = bindings::VM_PFNMAP as vm_flags_t;
/// Memory of a device.
pub const IO: vm_flags_t = bindings::VM_IO as vm_flags_t;
/// An area of hugetlbfs.
pub const HUGETLB: vm_flags_t = bindings::VM_HUGETLB as vm_flags_t;
/// A page fault waits for the file's metadata (`MAP_SYNC`).
pub const SYNC: vm_flags_t = bindings::VM_SYNC as vm_flags_t;
/// Has a meaning of its own on each architecture.
pub const ARCH_1: vm_flags_t = bindings::VM_ARCH_1 as vm_flags_t;

// What becomes of it in `fork()`, `mremap()` and core dumps.

/// `fork()` leaves the area out.
pub const DONTCOPY: vm_flags_t = bindings::VM_DONTCOPY as vm_flags_t;
/// After `fork()`, the child finds zeroes here.
pub const WIPEONFORK: vm_flags_t = bindings::VM_WIPEONFORK as vm_flags_t;
/// `mremap()` cannot make the area larger.
pub const DONTEXPAND: vm_flags_t = bindings::VM_DONTEXPAND as vm_flags_t;
/// Core dumps leave the area out.
pub const DONTDUMP: vm_flags_t = bindings::VM_DONTDUMP as vm_flags_t;

// How its memory is counted and kept.

/// The area was mapped with `MAP_NORESERVE`.
pub const NORESERVE: vm_flags_t = bindings::VM_NORESERVE as vm_flags_t;
/// The area counts towards the limit on committed memory.
pub const ACCOUNT: vm_flags_t = bindings::VM_ACCOUNT as vm_flags_t;
/// Pages are locked into memory when they are first touched.
pub const LOCKONFAULT: vm_flags_t = bindings::VM_LOCKONFAULT as vm_flags_t;
/// The area is tracked, and is new or was written to.
pub const SOFTDIRTY: vm_flags_t = bindings::VM_SOFTDIRTY as vm_flags_t;
/// Equal pages may be merged (KSM).
pub const MERGEABLE: vm_flags_t = bindings::VM_MERGEABLE as vm_flags_t;
/// `madvise()` has asked for huge pages.
pub const HUGEPAGE: vm_flags_t = bindings::VM_HUGEPAGE as vm_flags_t;
/// `madvise()` has asked for none.
pub const NOHUGEPAGE: vm_flags_t = bindings::VM_NOHUGEPAGE as vm_flags_t;

/// Implements the methods that set flags which a driver may set on any VMA.
///
/// The type has an `unsafe fn update_flags(set, unset)`.
macro_rules! impl_set_flags {
    ($self:ident, $receiver:ty) => {
        /// Sets [`flags::DONTEXPAND`]: `mremap()` cannot grow the VMA, and the core mm does not
        /// merge it with a neighbour.
        #[inline]
        pub fn set_dontexpand($self: $receiver) {
            // SAFETY: `VM_DONTEXPAND` only forbids operations, whatever the VMA maps.
            unsafe { $self.update_flags($crate::mm::virt::flags::DONTEXPAND, 0) };
        }

        /// Sets [`flags::DONTCOPY`]: `fork()` does not copy the VMA to the child.
        ///
        /// Userspace can clear the flag with `madvise(MADV_DOFORK)`, unless [`flags::IO`] is set.
        #[inline]
        pub fn set_dontcopy($self: $receiver) {
            // SAFETY: `madvise(MADV_DONTFORK)` sets `VM_DONTCOPY` on any VMA.
            unsafe { $self.update_flags($crate::mm::virt::flags::DONTCOPY, 0) };
        }

        /// Sets [`flags::DONTDUMP`]: core dumps leave the VMA out.
        ///
        /// Userspace can clear the flag with `madvise(MADV_DODUMP)`, unless [`flags::IO`] or
        /// [`flags::DONTEXPAND`] is set.
        #[inline]
        pub fn set_dontdump($self: $receiver) {
            // SAFETY: `madvise(MADV_DONTDUMP)` sets `VM_DONTDUMP` on any VMA.
            unsafe { $self.update_flags($crate::mm::virt::flags::DONTDUMP, 0) };
        }
    };
}
pub(in crate::mm) use impl_set_flags;

/// Implements the methods that read and change the flags of a VMA that a driver sets up.
///
/// The type has `fn flags()` and an `unsafe fn update_flags(set, unset)`.
macro_rules! impl_new_vma_flags {
    ($self:ident, $receiver:ty) => {
        /// Sets [`flags::IO`]: the VMA maps memory with side effects on access, such as MMIO
        /// registers.
        ///
        /// Core dumps leave such a VMA out, and `ptrace()` reaches it through
        /// [`VmOperations::access`](crate::mm::vm_ops::VmOperations::access) only.
        #[inline]
        pub fn set_io($self: $receiver) {
            // SAFETY: A driver may set `VM_IO` on each VMA that it sets up: the flag restricts what
            // the core mm does with the VMA.
            unsafe { $self.update_flags($crate::mm::virt::flags::IO, 0) };
        }

        /// Returns whether userspace may read the VMA ([`flags::READ`]).
        #[inline]
        pub fn readable(&$self) -> bool {
            $self.flags() & $crate::mm::virt::flags::READ != 0
        }

        /// Returns whether userspace may write to the VMA ([`flags::WRITE`]).
        #[inline]
        pub fn writable(&$self) -> bool {
            $self.flags() & $crate::mm::virt::flags::WRITE != 0
        }

        /// Returns whether userspace may execute the VMA ([`flags::EXEC`]).
        #[inline]
        pub fn executable(&$self) -> bool {
            $self.flags() & $crate::mm::virt::flags::EXEC != 0
        }

        /// Clears [`flags::MAYREAD`]: `mprotect()` cannot make the VMA readable.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the VMA is readable.
        #[inline]
        pub fn try_clear_mayread($self: $receiver) -> Result {
            if $self.readable() {
                return Err(EINVAL);
            }
            // SAFETY: `VM_READ` is not set, and a VMA may lack each permission that it does not use.
            unsafe { $self.update_flags(0, $crate::mm::virt::flags::MAYREAD) };
            Ok(())
        }

        /// Clears [`flags::MAYWRITE`]: `mprotect()` cannot make the VMA writable.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the VMA is writable.
        #[inline]
        pub fn try_clear_maywrite($self: $receiver) -> Result {
            if $self.writable() {
                return Err(EINVAL);
            }
            // SAFETY: `VM_WRITE` is not set, and a VMA may lack each permission that it does not
            // use.
            unsafe { $self.update_flags(0, $crate::mm::virt::flags::MAYWRITE) };
            Ok(())
        }

        /// Clears [`flags::MAYEXEC`]: `mprotect()` cannot make the VMA executable.
        ///
        /// # Errors
        ///
        /// - `EINVAL`: the VMA is executable.
        #[inline]
        pub fn try_clear_mayexec($self: $receiver) -> Result {
            if $self.executable() {
                return Err(EINVAL);
            }
            // SAFETY: `VM_EXEC` is not set, and a VMA may lack each permission that it does not use.
            unsafe { $self.update_flags(0, $crate::mm::virt::flags::MAYEXEC) };
            Ok(())
        }
    };
}
pub(in crate::mm) use impl_new_vma_flags;
