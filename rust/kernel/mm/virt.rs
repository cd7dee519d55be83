// SPDX-License-Identifier: GPL-2.0

//! VMAs: the mappings of an address space.
//!
//! Each type here wraps a C `struct vm_area_struct`. The types differ in what the holder of a
//! reference may do, which depends on the locks that are held:
//!
//! - [`VmaRef`]: the mmap lock or the VMA lock is held, at least for reading. Other tasks do not
//!   change the bounds, the file and most flags.
//! - [`VmaMixedMap`]: the same, for a driver's own VMA with [`flags::MIXEDMAP`], so the driver may
//!   map its pages.
//! - [`VmaWriteLocked`]: the mmap lock is held for writing, so some flags may be set.
//! - [`VmaNew`]: an `->mmap()` hook sets up the VMA, which no other task can find yet.
//!
//! Addresses and sizes are in bytes, page offsets (`pgoff`) in pages.
//!
//! Guide: [the life of a VMA](srctree/Documentation/rust/task-mm/guide/life.rst),
//! [choosing a lock](srctree/Documentation/rust/task-mm/guide/choosing-a-lock.rst)
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)

pub mod flags;

mod driver_vma;

mod mixedmap;
pub use mixedmap::VmaMixedMap;

mod new;
pub use new::VmaNew;

mod vma_ref;
pub use vma_ref::VmaRef;

mod write_locked;
pub use write_locked::VmaWriteLocked;

/// The type of VMA flags. The flags are the constants of [`flags`].
#[doc(inline)]
pub use crate::bindings::vm_flags_t;
