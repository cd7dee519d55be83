// SPDX-License-Identifier: GPL-2.0

//! How the fixtures run an `->mmap_prepare()` hook.
//!
//! This kernel has only `->mmap()` hooks, in which [`VmaDesc::compat_vma_mmap`] runs it.

use super::{
    map_file,
    MMAP, //
};
use crate::{
    bindings,
    mm::vma_desc::VmaDesc,
    prelude::*, //
};

/// Maps a file whose `->mmap_prepare()` hook runs `setup`, and then runs `f` with the address.
pub(super) fn map_by_mmap_prepare<'a, R: Send>(
    setup: impl FnOnce(&mut VmaDesc<'a>) -> Result + Send,
    f: impl FnOnce(usize) -> Result<R> + Send,
) -> Result<R> {
    let mut setup = Some(setup);
    let mut hook = |vma: *mut bindings::vm_area_struct| {
        let body = |desc: &mut VmaDesc<'a>| setup.take().ok_or(EINVAL)?(desc);
        // SAFETY: `mmap_region()` has called `mmap()` with `vma`, and `mmap()` returns what this
        // returns. `mmap_region()` does not set `VM_PFNMAP` before it calls the hook. `'a` is
        // longer than the call of this function, which maps the file and unmaps it. The hook is
        // that of `vm_file`.
        unsafe { VmaDesc::compat_vma_mmap((*vma).vm_file, vma, body) }
    };

    // SAFETY: `mmap()` calls `call_hook()` only, with a `vm_area_struct`.
    unsafe { map_file(&MMAP, &mut hook, f) }
}
