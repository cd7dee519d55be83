// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The VMA takes its reference after `->mmap_prepare()`, so the data must be valid for longer.

use kernel::mm::{vm_ops::{MmapPrepareHook, VmOperations}, vma_desc::VmaDesc};
use kernel::{prelude::*, sync::Arc};

pub fn mmap_prepare<'a, T: VmOperations<Hook = MmapPrepareHook>>(
    data: &'a Arc<T>,
    desc: &mut VmaDesc<'a>,
) -> Result {
    #[cfg(good)]
    return desc.set_ops(data.as_arc_borrow());

    #[cfg(bad)]
    {
        let local = data.clone();
        desc.set_ops(local.as_arc_borrow())
        //~[bad]^ ERROR: E0597: `local` does not live long enough
    }
}
