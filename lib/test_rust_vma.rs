// SPDX-License-Identifier: GPL-2.0

//! Two misc devices for the selftests: areas that do one thing each. One sets them up when they
//! are there, and the other says before what they are to be.
//!
//! `test_rust_vma_abi.rs` says what.

use core::sync::atomic::{
    AtomicU64,
    Ordering::Relaxed, //
};
use kernel::{
    bindings, c_str,
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
        pfnmap::Caching,
        virt::{
            VmaNew,
            VmaRef, //
        },
        vm_ops::{
            Access,
            DriverVma,
            InactiveVma,
            MmapHook,
            MmapPrepareHook,
            VmOperations, //
        },
        vma_desc::VmaDesc,
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
    uaccess::UserSlice,
    impl_has_vm_ops,
};

#[path = "test_rust_vma_abi.rs"]
mod abi;

module! {
    type: TestModule,
    name: "test_rust_vma",
    description: "Operations of areas, for the selftests",
    license: "GPL",
}

const EVENTS: u32 = ioctl::_IOR::<abi::Events>(abi::MAGIC, abi::EVENTS);
const WHAT: u32 = ioctl::_IOWR::<u64>(abi::MAGIC, abi::WHAT);

/// How often each thing has happened, in the order of [`abi::Events`].
static EVENT: [AtomicU64; 9] = [const { AtomicU64::new(0) }; 9];
const MADE: usize = 0;
const DROPPED: usize = 1;
const OPENED: usize = 2;
const CLOSED: usize = 3;
const FAULTS: usize = 4;
const REPEATED: usize = 5;
const WRITTEN: usize = 6;
const MOVED: usize = 7;
const RELEASED: usize = 8;

fn count(event: usize) {
    EVENT[event].fetch_add(1, Relaxed);
}

struct TestModule {
    _device: Pin<KBox<MiscDeviceRegistration<TestDevice>>>,
    _prepared: Pin<KBox<MiscDeviceRegistration<PreparedDevice>>>,
}

impl kernel::Module for TestModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("test_rust_vma");
        let prepared = c_str!("test_rust_vma_prepare");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
            _prepared: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name: prepared }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The data of an area: each `mmap()` makes one.
struct Piece {
    what: u64,
    page: Page,
}

fn frame_of(page: &Page) -> usize {
    // SAFETY: This only computes.
    unsafe { bindings::page_to_pfn(page.as_ptr()) }
}

impl Piece {
    fn frame(&self) -> usize {
        frame_of(&self.page)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        count(DROPPED);
    }
}

impl_has_vm_ops!(Piece);

#[vtable]
impl VmOperations for Piece {
    type Hook = MmapHook;

    fn open(_vma: &InactiveVma<Self>) {
        count(OPENED);
    }

    fn close(vma: &InactiveVma<Self>) {
        // A piece that had been freed would hardly say this.
        if vma.data().what % 16 == 0 && vma.start() < vma.end() {
            count(CLOSED);
        }
    }

    fn may_split(vma: &DriverVma<Self>, address: usize) -> Result {
        if vma.data().what == abi::NO_SPLIT || !(vma.start()..vma.end()).contains(&address) {
            return Err(EINVAL);
        }
        Ok(())
    }

    fn mremap(vma: &DriverVma<Self>) -> Result {
        if vma.data().what == abi::NO_MOVE {
            return Err(EINVAL);
        }
        count(MOVED);
        Ok(())
    }

    fn fault<'a>(mut vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        count(FAULTS);

        if vmf.data().what == abi::LATER {
            vmf = match vmf.retry_after(|| count(REPEATED)) {
                Ok(result) => return result,
                Err(vmf) => vmf,
            };
        }
        if vmf.data().what == abi::LATE_FRAME {
            // SAFETY: As for the frame in `mmap()`.
            return unsafe { vmf.vmf_insert_pfn(vmf.data().frame()) };
        }
        if vmf.data().what == abi::MIXED {
            if vmf.pgoff() % 2 == 1 {
                return vmf.vmf_insert_page(&vmf.data().page);
            }
            // SAFETY: As for the frame in `mmap()`.
            return unsafe { vmf.vmf_insert_mixed(vmf.data().frame()) };
        }
        // One that is not returned gives back its page.
        drop(vmf.return_page(&vmf.data().page));
        vmf.return_page(&vmf.data().page)
    }

    fn page_mkwrite(vma: &DriverVma<Self>, _pgoff: usize) -> Result {
        if vma.data().what == abi::NO_WRITE {
            return Err(EPERM);
        }
        count(WRITTEN);
        Ok(())
    }

    fn access(vma: &DriverVma<Self>, address: usize, what: Access<'_>) -> Result<usize> {
        // Each page of the area is the same frame.
        let offset = address % PAGE_SIZE;
        let data = vma.data();
        let done = match what {
            Access::Read(to) => {
                let len = to.len().min(PAGE_SIZE - offset);
                // SAFETY: The buffer has so many bytes, and nobody but programs writes the page.
                unsafe { data.page.read_raw(to.as_mut_ptr(), offset, len)? };
                len
            }
            Access::Write(from) => {
                let len = from.len().min(PAGE_SIZE - offset);
                // SAFETY: There are so many bytes, and nobody but programs uses the page.
                unsafe { data.page.write_raw(from.as_ptr(), offset, len)? };
                len
            }
        };
        // No more than was asked for is taken for done.
        Ok(if data.what == abi::LATE_FRAME {
            usize::MAX
        } else {
            done
        })
    }
}

/// An open file.
struct TestDevice;

impl Drop for TestDevice {
    fn drop(&mut self) {
        count(RELEASED);
    }
}

#[vtable]
impl MiscDevice for TestDevice {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Self, GFP_KERNEL)?)
    }

    fn mmap(_me: &Self, file: &File, vma: &VmaNew) -> Result {
        if vma.file().map(|file| file.as_ptr()) != Some(file.as_ptr()) {
            return Err(EIO);
        }
        let what = vma.pgoff() as u64 / 16 * 16;
        let piece = || -> Result<Arc<Piece>> {
            let page = Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?;
            count(MADE);
            Ok(Arc::new(Piece { what, page }, GFP_KERNEL)?)
        };

        let owned = vma.set_ops(piece()?)?;
        if owned.data().what != what || owned.downcast::<Piece>().is_none() {
            return Err(EIO);
        }
        match what {
            abi::FAIL => return Err(ENODEV),
            abi::TWICE => return vma.set_ops(piece()?).map(drop),
            abi::CHANGE => vma.set_dontdump(),
            abi::FRAME | abi::BOTH => {
                if vma.vma_pages() != 1 {
                    return Err(EINVAL);
                }
                if what == abi::BOTH {
                    vma.set_mixedmap();
                }
                let frame = owned.data().frame();
                // SAFETY: The frame is a page with nothing in it but what programs write. The area
                // keeps its data, and so the page. For `BOTH`, this fails.
                let fill = || unsafe { vma.remap_pfn_range(frame, Caching::Normal) };
                fill()?;
                if fill() != Err(EBUSY) {
                    return Err(EIO);
                }
            }
            abi::MIXED => drop(vma.set_mixedmap()),
            // SAFETY: Nothing else is done to the area.
            abi::LATE_FRAME => unsafe { vma.set_pfnmap(Caching::Normal)? },
            _ => (),
        }
        Ok(())
    }

    fn ioctl(_me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));

        match cmd {
            EVENTS => {
                let mut out = user.writer();
                for event in &EVENT {
                    out.write(&event.load(Relaxed))?;
                }
            }
            WHAT => {
                let (mut question, mut out) = user.reader_writer();
                let addr = question.read::<u64>()? as usize;
                let task = current!();
                // Nothing but the type is asked for here.
                let what = |vma: &VmaRef| match vma.downcast::<Piece>() {
                    Some(vma) => Some(vma.data().what),
                    None => vma.downcast::<Kept>().map(|vma| vma.data().what()),
                };
                let what = task.mm().ok_or(ESRCH)?.with_vma(addr, what);
                out.write(&what.flatten().ok_or(ENOENT)?)?;
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

/// The data of all areas of an open file of the other device.
struct Kept {
    pages: KVec<Page>,
}

impl Kept {
    /// What no piece is.
    fn what(&self) -> u64 {
        1
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        count(DROPPED);
    }
}

impl_has_vm_ops!(Kept);

#[vtable]
impl VmOperations for Kept {
    type Hook = MmapPrepareHook;

    fn open(_vma: &InactiveVma<Self>) {
        count(OPENED);
    }

    fn close(vma: &InactiveVma<Self>) {
        if vma.data().what() == 1 && vma.start() < vma.end() {
            count(CLOSED);
        }
    }

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        count(FAULTS);

        let page = &vmf.data().pages[0];
        match vmf.pgoff() as u64 / 16 * 16 {
            // SAFETY: As for the frame in `mmap_prepare()`.
            abi::LATE_FRAME => unsafe { vmf.vmf_insert_pfn(frame_of(page)) },
            abi::MIXED => vmf.vmf_insert_page(page),
            _ => vmf.return_page(page),
        }
    }
}

/// An open file of it.
struct PreparedDevice {
    kept: Arc<Kept>,
}

impl Drop for PreparedDevice {
    fn drop(&mut self) {
        count(RELEASED);
    }
}

#[vtable]
impl MiscDevice for PreparedDevice {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let mut pages = KVec::with_capacity(2, GFP_KERNEL)?;
        for _ in 0..2 {
            pages.push(Page::alloc_page(GFP_KERNEL | __GFP_ZERO)?, GFP_KERNEL)?;
        }
        count(MADE);
        let kept = Arc::new(Kept { pages }, GFP_KERNEL)?;
        Ok(KBox::new(Self { kept }, GFP_KERNEL)?)
    }

    fn mmap_prepare<'a>(me: &'a Self, _file: &'a File, desc: &mut VmaDesc<'a>) -> Result {
        let kept: ArcBorrow<'a, Kept> = me.kept.as_arc_borrow();
        let pages: &'a KVec<Page> = &me.kept.pages;

        match desc.pgoff() as u64 / 16 * 16 {
            abi::FAIL => {
                desc.set_ops(kept)?;
                Err(ENODEV)
            }
            abi::TWICE => {
                desc.set_ops(kept)?;
                desc.set_ops(kept)
            }
            abi::CHANGE => {
                desc.try_clear_maywrite()?;
                desc.set_dontcopy();
                desc.set_dontdump();
                desc.set_io();
                desc.set_ops(kept)
            }
            abi::FRAME => {
                if desc.vma_pages() != 1 || desc.end() - desc.start() != PAGE_SIZE {
                    return Err(EINVAL);
                }
                // SAFETY: The frame is a page with nothing in it but what programs write. The area
                // keeps the file, and so the page.
                let fill = |desc: &mut VmaDesc<'a>| unsafe {
                    desc.remap_pfn_range(frame_of(&pages[0]), Caching::Normal)
                };
                fill(desc)?;
                // Nothing goes with it.
                let others = [
                    fill(desc),
                    desc.set_ops(kept),
                    desc.set_mixedmap(),
                    desc.set_pfnmap(Caching::Normal),
                    desc.map_kernel_pages(pages),
                ];
                if others != [Err(EBUSY); 5] {
                    return Err(EIO);
                }
                Ok(())
            }
            abi::LATE_FRAME => {
                desc.set_pfnmap(Caching::Normal)?;
                desc.set_ops(kept)
            }
            abi::BOTH => {
                desc.set_ops(kept)?;
                desc.map_kernel_pages(pages)
            }
            abi::MIXED => {
                desc.set_mixedmap()?;
                if desc.set_pfnmap(Caching::Normal) != Err(EBUSY) {
                    return Err(EIO);
                }
                desc.set_ops(kept)
            }
            abi::PAGES => desc.map_kernel_pages(pages),
            _ => desc.set_ops(kept),
        }
    }
}
