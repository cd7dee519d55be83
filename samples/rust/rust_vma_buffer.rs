// SPDX-License-Identifier: GPL-2.0

//! A misc device with a buffer that programs map, and that knows who has.
//!
//! Each open file has a buffer, whose pages are mapped when they are touched. An area that a
//! program maps from the file holds a count on the buffer, so the driver may ask any area whether
//! it is one of this buffer: an address alone says nothing, as the program may have mapped
//! something else there. `rust_vma_buffer_abi.rs` has its ioctls.

use core::sync::atomic::{
    AtomicU64,
    Ordering::Relaxed, //
};
use kernel::{
    c_str,
    fs::File,
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
        virt::{
            flags,
            VmaNew,
            VmaRef, //
        },
        vm_ops::{
            DriverVma,
            InactiveVma,
            MmapHook,
            VmOperations, //
        },
    },
    page::{
        Page,
        PAGE_SIZE, //
    },
    prelude::*,
    sync::{
        Arc,
        ArcBorrow, //
    },
    uaccess::{
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
    impl_has_vm_ops,
};

#[path = "rust_vma_buffer_abi.rs"]
mod abi;

module! {
    type: BufferModule,
    name: "rust_vma_buffer",
    description: "A buffer that programs map",
    license: "GPL",
}

const STATE: u32 = ioctl::_IOR::<abi::State>(abi::MAGIC, abi::STATE);
const AREAS: u32 = ioctl::_IOWR::<abi::Areas>(abi::MAGIC, abi::AREAS);
const INSERT: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::INSERT);
const REVOKE: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::REVOKE);

/// How many buffers there are.
static BUFFERS: AtomicU64 = AtomicU64::new(0);

struct BufferModule {
    _device: Pin<KBox<MiscDeviceRegistration<Buffer>>>,
}

impl kernel::Module for BufferModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("rust_vma_buffer");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The data of an open file and of each area that is mapped from it.
struct Buffer {
    pages: KVec<Page>,
    /// How many areas there are.
    areas: AtomicU64,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        BUFFERS.fetch_sub(1, Relaxed);
    }
}

impl_has_vm_ops!(Buffer);

#[vtable]
impl VmOperations for Buffer {
    type Hook = MmapHook;

    fn open(vma: &InactiveVma<Self>) {
        vma.data().areas.fetch_add(1, Relaxed);
    }

    fn close(vma: &InactiveVma<Self>) {
        vma.data().areas.fetch_sub(1, Relaxed);
    }

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        let buffer = vmf.data();
        // There is one, as `mmap()` has looked.
        let Some(page) = buffer.pages.get(vmf.pgoff()) else {
            return vmf.return_error(EINVAL);
        };

        if vmf.vma().as_mixedmap_vma().is_some() {
            vmf.vmf_insert_page(page)
        } else {
            vmf.return_page(page)
        }
    }
}

#[vtable]
impl MiscDevice for Buffer {
    type Ptr = Arc<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Arc<Self>> {
        let mut pages = KVec::with_capacity(abi::PAGES, GFP_KERNEL)?;
        for i in 0..abi::PAGES {
            pages.push(new_page(i)?, GFP_KERNEL)?;
        }

        let areas = AtomicU64::new(0);
        BUFFERS.fetch_add(1, Relaxed);
        Ok(Arc::new(Self { pages, areas }, GFP_KERNEL)?)
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        let end = vma.pgoff().checked_add(vma.vma_pages());
        if end.ok_or(EINVAL)? > abi::PAGES {
            return Err(EINVAL);
        }

        // A private area may get copies of the pages, which `set_mixedmap()` would not allow for.
        if vma.flags() & flags::SHARED != 0 {
            vma.set_mixedmap();
        }
        vma.set_ops(Arc::from(me))?;
        me.areas.fetch_add(1, Relaxed);
        Ok(())
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            STATE => {
                let mut out = user.writer();
                out.write(&me.areas.load(Relaxed))?;
                out.write(&BUFFERS.load(Relaxed))?;
            }
            AREAS => {
                let (reader, writer) = user.reader_writer();
                me.tell_areas(reader, writer)?;
            }
            INSERT => me.insert(user.reader().read::<u64>()? as usize)?,
            REVOKE => me.with_area(user.reader().read::<u64>()? as usize, |vma| {
                vma.zap_vma_range(vma.start(), vma.end() - vma.start());
                Ok(())
            })?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Buffer {
    /// Returns an area as one of this buffer, if it is one.
    fn area_of<'a>(&self, vma: &'a VmaRef) -> Option<&'a DriverVma<Self>> {
        vma.downcast::<Self>()
            .filter(|vma| core::ptr::eq(&*vma.data(), self))
    }

    /// Does something to the caller's area at `addr`, which has to be one of this buffer.
    fn with_area(&self, addr: usize, what: impl FnOnce(&DriverVma<Self>) -> Result) -> Result {
        let task = current!();
        let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock_killable()?;
        let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;

        what(self.area_of(vma).ok_or(EINVAL)?)
    }

    /// Answers [`abi::INSERT`].
    fn insert(&self, addr: usize) -> Result {
        self.with_area(addr, |vma| {
            let page = vma.pgoff() + (addr - vma.start()) / PAGE_SIZE;
            let page = self.pages.get(page).ok_or(EINVAL)?;
            let vma = vma.as_mixedmap_vma().ok_or(EPERM)?;
            vma.vm_insert_page(addr & !(PAGE_SIZE - 1), page)
        })
    }

    /// Answers [`abi::AREAS`].
    fn tell_areas(&self, mut question: UserSliceReader, mut out: UserSliceWriter) -> Result {
        let from = question.read::<u64>()?;
        let mut areas = [(0usize, 0usize, 0usize); abi::AT_A_TIME];
        let mut found = 0;
        {
            let task = current!();
            let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock_killable()?;
            let ours = guard
                .vmas(from as usize..usize::MAX)
                .filter_map(|vma| self.area_of(vma));
            for (at, vma) in areas.iter_mut().zip(ours) {
                *at = (vma.start(), vma.end(), vma.pgoff());
                found += 1;
            }
        }

        // The lock is dropped: writing to user space may fault, and a fault takes it.
        out.write(&from)?;
        out.write(&(found as u64))?;
        for (start, end, pgoff) in areas {
            out.write(&(start as u64))?;
            out.write(&(end as u64))?;
            out.write(&(pgoff as u64))?;
        }
        Ok(())
    }
}

/// Makes the page of number `i`.
fn new_page(i: usize) -> Result<Page> {
    let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
    let head = (abi::PAGE_MAGIC + i as u64).to_ne_bytes();

    // SAFETY: The bytes are there to be read, and nobody else has seen the page yet.
    unsafe { page.write_raw(head.as_ptr(), 0, head.len())? };
    Ok(page)
}
