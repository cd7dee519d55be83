// SPDX-License-Identifier: GPL-2.0

//! Each open file has one page, which page faults map.

use kernel::{
    c_str,
    fs::File,
    impl_has_vm_ops,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        virt::VmaNew,
        vm_ops::{
            MmapHook,
            VmOperations, //
        },
        UserPage, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    }, //
};

module! {
    type: OnePageModule,
    name: "one_page",
    description: "One page for each open file",
    license: "GPL",
}

struct OnePageModule {
    _device: Pin<KBox<MiscDeviceRegistration<OnePage>>>,
}

impl kernel::Module for OnePageModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("one_page");
        let device = MiscDeviceRegistration::register(MiscDeviceOptions { name });
        let _device = KBox::pin_init(device, GFP_KERNEL)?;
        Ok(Self { _device })
    }
}

struct OnePage {
    page: UserPage,
}

impl_has_vm_ops!(OnePage);

#[vtable]
impl VmOperations for OnePage {
    type Hook = MmapHook;

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        if vmf.pgoff() != 0 {
            return vmf.return_error(EINVAL);
        }
        vmf.return_page(&vmf.data().page)
    }
}

#[vtable]
impl MiscDevice for OnePage {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let page = UserPage::alloc_page(GFP_KERNEL)?;
        Ok(Arc::new(Self { page }, GFP_KERNEL)?)
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        if vma.pgoff() != 0 || vma.vma_pages() != 1 {
            return Err(EINVAL);
        }
        vma.set_ops(Arc::from(me))?;
        Ok(())
    }
}
