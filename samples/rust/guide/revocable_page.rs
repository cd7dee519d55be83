// SPDX-License-Identifier: GPL-2.0

//! Each open file has one page, which the driver takes back from all processes.

use kernel::{
    c_str,
    fs::File,
    impl_has_vm_ops,
    ioctl,
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
        revoke::RevocableMapping,
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
    type: RevocablePageModule,
    name: "revocable_page",
    description: "A page that can be taken back",
    license: "GPL",
}

const REVOKE: u32 = ioctl::_IO(b'g' as u32, 0);
const LEND: u32 = ioctl::_IO(b'g' as u32, 1);

struct RevocablePageModule {
    _device: Pin<KBox<MiscDeviceRegistration<RevocablePage>>>,
}

impl kernel::Module for RevocablePageModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("revocable_page");
        let device = MiscDeviceRegistration::register(MiscDeviceOptions { name });
        let _device = KBox::pin_init(device, GFP_KERNEL)?;
        Ok(Self { _device })
    }
}

#[pin_data]
struct RevocablePage {
    #[pin]
    page: RevocableMapping<Option<UserPage>>,
}

impl_has_vm_ops!(RevocablePage);

#[vtable]
impl VmOperations for RevocablePage {
    type Hook = MmapHook;

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        if vmf.pgoff() != 0 {
            return vmf.return_error(EINVAL);
        }
        vmf.data().page.fault(vmf, |page| page.as_ref().ok_or(EIO))
    }
}

#[vtable]
impl MiscDevice for RevocablePage {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let page = Some(UserPage::alloc_page(GFP_KERNEL)?);
        let page = RevocableMapping::new(c_str!("revocable_page"), page);
        Arc::pin_init(try_pin_init!(Self { page <- page }? Error), GFP_KERNEL)
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        if vma.pgoff() != 0 || vma.vma_pages() != 1 {
            return Err(EINVAL);
        }
        vma.set_revocable_ops(Arc::from(me), &me.page)?;
        Ok(())
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        match cmd {
            REVOKE => {
                let page = me.page.revoke(Option::take);
                Ok(page.is_some().into())
            }
            LEND => {
                let new = UserPage::alloc_page(GFP_KERNEL)?;
                let old = me.page.revoke(|page| page.replace(new));
                Ok(old.is_some().into())
            }
            _ => Err(ENOTTY),
        }
    }
}
