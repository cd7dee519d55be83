// SPDX-License-Identifier: GPL-2.0

//! Areas of an address space (VMAs).
//!
//! Each type here is C's `struct vm_area_struct`, seen by somebody with certain rights:
//!
//! - [`VmaRef`]: somebody who holds a lock for reading. The area stays as it is.
//! - [`VmaMixedMap`]: the same, and the area takes single pages ([`flags::MIXEDMAP`]).
//! - [`VmaWriteLocked`]: somebody who holds the mmap lock for writing, and may change the area.
//! - [`VmaNew`]: an `mmap` hook, which sets up an area that nobody else can see yet.
//!
//! Addresses and sizes are in bytes.
//!
//! C header: [`include/linux/mm.h`](srctree/include/linux/mm.h)


pub mod flags;

mod mixedmap;
pub(in crate::mm) use mixedmap::as_page_array;
pub use mixedmap::VmaMixedMap;

mod new;
pub use new::VmaNew;

mod vma_ref;
pub use vma_ref::VmaRef;

mod write_locked;
pub use write_locked::VmaWriteLocked;

/// The type of VMA flags: see [`flags`].
#[doc(inline)]
pub use crate::bindings::vm_flags_t;
