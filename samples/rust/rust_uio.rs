// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_uio`: a userspace I/O device.
//!
//! A userspace driver maps the registers of the device, and memory that it shares with others. This
//! is what drivers/uio/uio.c does for a device that has no interrupt; see
//! Documentation/driver-api/uio-howto.rst. The page offset of `mmap()` selects the map, and each
//! VMA begins at the start of its map. `rust_uio_abi.rs` has the offsets.

use kernel::{
    c_str,
    cdev::{
        CharDevice,
        CharDeviceOptions,
        CharDeviceRegistration, //
    },
    fs::File,
    impl_has_vm_ops,
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        pfnmap::Caching,
        vm_ops::{
            MmapPrepareHook,
            VmOperations, //
        },
        vma_desc::VmaDesc,
        MemRegion,
        UserPage, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    task::{
        poll_events,
        FilePollTable, //
    },
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    },
};

#[path = "rust_uio_abi.rs"]
mod abi;

module! {
    type: UioModule,
    name: "rust_uio",
    description: "A userspace I/O device",
    license: "GPL",
}

struct UioModule {
    _device: Pin<KBox<CharDeviceRegistration<Device>>>,
}

impl kernel::Module for UioModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let options = CharDeviceOptions {
            name: c_str!("rust_uio"),
            class: None,
            minors: 1,
        };
        let device = Arc::new(Device::new()?, GFP_KERNEL)?;

        Ok(Self {
            _device: KBox::pin_init(
                CharDeviceRegistration::register(options, device),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The device. Each open file and each VMA of the memory has a reference, so that neither the
/// registers nor the pages are released while userspace maps them.
struct Device {
    registers: MemRegion,
    memory: KVec<UserPage>,
}

impl Device {
    fn new() -> Result<Self> {
        let size = abi::REGISTER_PAGES * PAGE_SIZE;
        // SAFETY: The test machine has no RAM there, and nothing that could access memory. A driver
        // of a real device gets the address from a bus. What it must know is that the device cannot
        // be made to access memory of the kernel, which no type can say.
        let registers = unsafe { MemRegion::request(abi::ADDRESS, size, c_str!("rust_uio"))? };
        let mut memory = KVec::with_capacity(abi::MEMORY_PAGES, GFP_KERNEL)?;
        for _ in 0..abi::MEMORY_PAGES {
            memory.push(UserPage::alloc_page(GFP_KERNEL)?, GFP_KERNEL)?;
        }

        Ok(Self { registers, memory })
    }
}

impl_has_vm_ops!(Device);

#[vtable]
impl VmOperations for Device {
    type Hook = MmapPrepareHook;

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        // `pgoff()` is the page offset in the file, and this map starts at `MEMORY`.
        let page = vmf.pgoff().checked_sub(abi::MEMORY);
        match page.and_then(|page| vmf.data().get_ref().memory.get(page)) {
            Some(page) => vmf.return_page(page),
            None => vmf.return_error(EFAULT),
        }
    }
}

#[vtable]
impl CharDevice for Device {
    type Ptr = Arc<Self>;
    type Data = Arc<Self>;

    fn open(_file: &File, device: &CharDeviceRegistration<Self>, _minor: u32) -> Result<Arc<Self>> {
        Ok(device.data().clone())
    }

    fn mmap_prepare<'a>(
        me: ArcBorrow<'a, Self>,
        _file: &'a File,
        desc: &mut VmaDesc<'a>,
    ) -> Result {
        match desc.pgoff() {
            abi::REGISTERS => desc.io_remap_region(&me.get_ref().registers, 0, Caching::Noncached),
            abi::MEMORY if desc.vma_pages() <= me.memory.len() => {
                desc.set_dontdump();
                desc.set_ops(me)
            }
            _ => Err(EINVAL),
        }
    }

    // In UIO, `read()` waits for an interrupt and returns how many there were, and `write()`
    // enables or disables the interrupt. Without one, these functions report an error, as in C.

    fn read(
        _me: ArcBorrow<'_, Self>,
        _file: &File,
        out: &mut UserSliceWriter,
        _offset: &mut i64,
    ) -> Result<usize> {
        match out.len() {
            4 => Err(EIO),
            _ => Err(EINVAL),
        }
    }

    fn write(
        _me: ArcBorrow<'_, Self>,
        _file: &File,
        input: &mut UserSliceReader,
        _offset: &mut i64,
    ) -> Result<usize> {
        if input.len() != 4 {
            return Err(EINVAL);
        }
        input.read::<i32>()?;
        Err(EIO)
    }

    fn poll<'a>(_me: ArcBorrow<'a, Self>, _file: &'a File, _table: &mut FilePollTable<'a>) -> u32 {
        poll_events::EPOLLERR
    }
}
