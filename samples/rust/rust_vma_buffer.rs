// SPDX-License-Identifier: GPL-2.0

//! A misc device with a buffer that userspace maps.
//!
//! Each open file has a buffer, whose pages are mapped by page faults. A VMA of the file holds a
//! reference to the buffer as its `vm_private_data`, so the driver can check whether a VMA belongs
//! to a buffer. An address alone does not tell, as userspace may have mapped something else there.
//! The driver can take the pages back from all processes that have mapped them.
//! `rust_vma_buffer_abi.rs` has the ioctls.

use kernel::{
    c_str,
    fs::File,
    impl_has_vm_ops, ioctl,
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
        virt::{
            VmaNew,
            VmaRef, //
        },
        vm_ops::{
            DriverVma,
            InactiveVma,
            MmapHook,
            VmOperations,
            VmaOrigin, //
        },
        UserPage,
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow, //
    },
    uaccess::{
        UserSlice,
        UserSliceReader,
        UserSliceWriter, //
    },
};

#[path = "rust_vma_buffer_abi.rs"]
mod abi;

module! {
    type: BufferModule,
    name: "rust_vma_buffer",
    description: "A buffer that userspace maps",
    license: "GPL",
}

const STATE: u32 = ioctl::_IOR::<abi::State>(abi::MAGIC, abi::STATE);
const VMAS: u32 = ioctl::_IOWR::<abi::Vmas>(abi::MAGIC, abi::VMAS);
const INSERT: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::INSERT);
const REVOKE: u32 = ioctl::_IO(abi::MAGIC, abi::REVOKE);
const WITHHOLD: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::WITHHOLD);

/// The number of buffers.
static BUFFERS: Atomic<u64> = Atomic::new(0);

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

/// The pages, and whether userspace may reach them.
struct Pages {
    pages: KVec<UserPage>,
    withheld: bool,
}

impl Pages {
    /// Returns the page to map at a page offset.
    fn get(&self, pgoff: usize) -> Result<&UserPage> {
        if self.withheld {
            return Err(EPERM);
        }
        // `mmap()` has checked the range, so there is a page.
        self.pages.get(pgoff).ok_or(EINVAL)
    }
}

/// The data of an open file, and the `vm_private_data` of its VMAs.
#[pin_data(PinnedDrop)]
struct Buffer {
    #[pin]
    pages: RevocableMapping<Pages>,
    /// The number of VMAs.
    vmas: Atomic<u64>,
    /// The number of pages that these VMAs map.
    mapped: Atomic<u64>,
}

#[pinned_drop]
impl PinnedDrop for Buffer {
    fn drop(self: Pin<&mut Self>) {
        BUFFERS.fetch_sub(1, Relaxed);
    }
}

impl_has_vm_ops!(Buffer);

#[vtable]
impl VmOperations for Buffer {
    type Hook = MmapHook;

    fn open(vma: &InactiveVma<Self>, origin: VmaOrigin) {
        vma.data().vmas.fetch_add(1, Relaxed);
        // A split makes two VMAs of one, which map the same pages as before.
        if origin != VmaOrigin::Split {
            vma.data().mapped.fetch_add(vma.vma_pages() as u64, Relaxed);
        }
    }

    fn close(vma: &InactiveVma<Self>) {
        vma.data().vmas.fetch_sub(1, Relaxed);
        vma.data().mapped.fetch_sub(vma.vma_pages() as u64, Relaxed);
    }

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        vmf.data().pages.fault(vmf, |pages| pages.get(vmf.pgoff()))
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

        let (vmas, mapped) = (Atomic::new(0), Atomic::new(0));
        let pages = Pages {
            pages,
            withheld: false,
        };
        let buffer = try_pin_init!(Self {
            pages <- RevocableMapping::new(c_str!("rust_vma_buffer"), pages),
            vmas,
            mapped,
        });
        let buffer = Arc::pin_init(buffer, GFP_KERNEL)?;
        // `drop()` is not called for a buffer whose initialization failed.
        BUFFERS.fetch_add(1, Relaxed);
        Ok(buffer)
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &VmaNew) -> Result {
        let end = vma.pgoff().checked_add(vma.vma_pages());
        if end.ok_or(EINVAL)? > abi::PAGES {
            return Err(EINVAL);
        }

        // This calls `open()`.
        vma.set_revocable_ops(Arc::from(me), &me.pages)?;
        Ok(())
    }

    fn ioctl(me: ArcBorrow<'_, Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            STATE => {
                let mut out = user.writer();
                out.write(&me.vmas.load(Relaxed))?;
                out.write(&me.mapped.load(Relaxed))?;
                out.write(&BUFFERS.load(Relaxed))?;
            }
            VMAS => {
                let (reader, writer) = user.reader_writer();
                me.list_vmas(reader, writer)?;
            }
            INSERT => me.insert(user.reader().read::<u64>()? as usize)?,
            REVOKE => me.pages.revoke(|_| ()),
            WITHHOLD => {
                let withheld = user.reader().read::<u64>()? != 0;
                me.pages.revoke(|pages| pages.withheld = withheld);
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

impl Buffer {
    /// Returns `vma` as a VMA of this buffer, or `None` if it is another VMA.
    fn own_vma<'a>(&self, vma: &'a VmaRef) -> Option<&'a DriverVma<Self>> {
        vma.downcast::<Self>()
            .filter(|vma| core::ptr::eq(&*vma.data(), self))
    }

    /// Implements [`abi::INSERT`].
    fn insert(&self, addr: usize) -> Result {
        let task = current!();
        let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock_killable()?;
        let vma = guard.vma_lookup(addr).ok_or(EINVAL)?;
        let vma = self.own_vma(vma).ok_or(EINVAL)?;

        let page = vma.pgoff() + (addr - vma.start()) / PAGE_SIZE;
        let vma = vma.as_mixedmap_vma().ok_or(EINVAL)?;
        self.pages
            .insert(vma, addr & !(PAGE_SIZE - 1), |pages| pages.get(page))
    }

    /// Implements [`abi::VMAS`].
    fn list_vmas(&self, mut input: UserSliceReader, mut out: UserSliceWriter) -> Result {
        let from = input.read::<u64>()?;
        let mut vmas = [(0usize, 0usize, 0usize); abi::MAX_VMAS];
        let mut found = 0;
        {
            let task = current!();
            let guard = task.mm().ok_or(ESRCH)?.mmap_read_lock_killable()?;
            let own = guard
                .vmas(from as usize..usize::MAX)
                .filter_map(|vma| self.own_vma(vma));
            for (entry, vma) in vmas.iter_mut().zip(own) {
                *entry = (vma.start(), vma.end(), vma.pgoff());
                found += 1;
            }
        }

        // The mmap lock has been released, as a write to userspace may fault, and a page fault
        // takes the lock.
        out.write(&from)?;
        out.write(&(found as u64))?;
        for (start, end, pgoff) in vmas {
            out.write(&(start as u64))?;
            out.write(&(end as u64))?;
            out.write(&(pgoff as u64))?;
        }
        Ok(())
    }
}

/// Allocates page `i` of the buffer.
fn new_page(i: usize) -> Result<UserPage> {
    let head = (abi::PAGE_MAGIC + i as u64).to_ne_bytes();

    UserPage::with_bytes(&head, GFP_KERNEL)
}
