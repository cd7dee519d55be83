// SPDX-License-Identifier: GPL-2.0

// What `module!` declares, and `#[vtable]` names. The cases of ui/ are no modules.
pub struct LocalModule;

impl kernel::ModuleMetadata for LocalModule {
    const NAME: &'static kernel::str::CStr = kernel::c_str!("none");
    const THIS_MODULE: kernel::ThisModule =
        // SAFETY: Null stands for the kernel itself.
        unsafe { kernel::ThisModule::from_ptr(core::ptr::null_mut()) };
}
