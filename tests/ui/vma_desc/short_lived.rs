// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! An area takes its count after the hook, so the data has to live longer than that.

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
        let mine = data.clone();
        desc.set_ops(mine.as_arc_borrow())
        //~[bad]^ ERROR: E0597: `mine` does not live long enough
    }
}
