// SPDX-License-Identifier: GPL-2.0

//! An address space for the examples of this module, which KUnit runs in a kernel thread.

use crate::{
    bindings,
    error::{
        from_err_ptr,
        Result, //
    },
    page::PAGE_SIZE,
};
use core::{
    ffi::c_void,
    ptr, //
};

/// Maps a private, writable page for the running test and returns its address.
///
/// KUnit first gives its thread an address space, if it has none. It lasts until the thread exits.
///
/// # Safety
///
/// To be called by a KUnit test, in the test's own thread, at a moment at which no
/// [`CurrentTask`](crate::task::CurrentTask) reference is in use: the thread's `mm` may change.
pub unsafe fn user_page() -> Result<usize> {
    // SAFETY: The caller is a KUnit test, so there is one to be returned.
    let test = unsafe { bindings::kunit_get_current_test() };

    // SAFETY: `test` is the running one and this is its thread. A null file and anonymous memory
    // go together. `kunit_vm_mmap()` unmaps the page when the test ends.
    let addr = unsafe {
        bindings::kunit_vm_mmap(
            test,
            ptr::null_mut(),
            0,
            PAGE_SIZE,
            (bindings::PROT_READ | bindings::PROT_WRITE) as usize,
            (bindings::MAP_PRIVATE | bindings::MAP_ANONYMOUS) as usize,
            0,
        )
    };

    // `vm_mmap()` returns an address, or an errno in the place of one.
    from_err_ptr(addr as *mut c_void).map(|addr| addr as usize)
}
