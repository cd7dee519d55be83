// SPDX-License-Identifier: GPL-2.0

//! How the fixtures run an `->mmap_prepare()` hook.

use super::{
    call_hook,
    map_file,
    FileOps, //
};
use crate::{
    bindings,
    mm::vma_desc::VmaDesc,
    prelude::*, //
};

static MMAP_PREPARE: FileOps = FileOps(bindings::file_operations {
    mmap_prepare: Some(mmap_prepare),
    ..FileOps::zeroed()
});

/// # Safety
///
/// Must be called by `vm_mmap()` of `map_file::<vm_area_desc>`.
unsafe extern "C" fn mmap_prepare(desc: *mut bindings::vm_area_desc) -> c_int {
    // SAFETY: The caller describes the file that has this hook. The rest is guaranteed by it.
    unsafe { call_hook((*desc).file, desc) }
}

/// Maps a file whose `->mmap_prepare()` hook runs `setup`, and then runs `f` with the address.
pub(super) fn map_by_mmap_prepare<'a, R: Send>(
    setup: impl FnOnce(&mut VmaDesc<'a>) -> Result + Send,
    f: impl FnOnce(usize) -> Result<R> + Send,
) -> Result<R> {
    let mut setup = Some(setup);
    let mut hook = |desc: *mut bindings::vm_area_desc| {
        // SAFETY: `mmap_region()` has called `mmap_prepare()` with `desc`, which nothing else uses
        // until the hook returns. It sets neither data nor an action, and neither `VM_PFNMAP` nor
        // `VM_MIXEDMAP`. `'a` is longer than the call of this function, which maps the file and
        // unmaps it.
        let desc = unsafe { VmaDesc::<'a>::from_raw(desc) };

        match setup.take().ok_or(EINVAL).and_then(|setup| setup(desc)) {
            Ok(()) => 0,
            Err(err) => err.to_errno(),
        }
    };

    // SAFETY: `mmap_prepare()` calls `call_hook()` only, with a `vm_area_desc`.
    unsafe { map_file(&MMAP_PREPARE, &mut hook, f) }
}
