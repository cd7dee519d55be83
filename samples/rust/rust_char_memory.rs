// SPDX-License-Identifier: GPL-2.0

//! A character device with several nodes, each of which is a memory.
//!
//! Programs read and write the bytes of a memory at a position, wait by `poll()` until another one
//! has written, and map a page that says which node it is. `rust_char_memory_abi.rs` has the ioctl.

use kernel::{
    c_str,
    cdev::{
        CharDevice,
        CharDeviceOptions,
        CharDeviceRegistration, //
    },
    fs::File,
    ioctl,
    mm::{
        virt::VmaNew,
        UserPage, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex, //
    },
    task::{
        poll_events,
        FilePollTable,
        WaitQueue, //
    },
    uaccess::{
        UserSliceReader,
        UserSliceWriter, //
    },
};

#[path = "rust_char_memory_abi.rs"]
mod abi;

module! {
    type: MemoryModule,
    name: "rust_char_memory",
    description: "A character device with several memories",
    license: "GPL",
}

const CLEAR: u32 = ioctl::_IO(abi::MAGIC, abi::CLEAR);

struct MemoryModule {
    _device: Pin<KBox<CharDeviceRegistration<Opened>>>,
}

impl kernel::Module for MemoryModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let options = CharDeviceOptions {
            name: c_str!("rust_char_memory"),
            class: None,
            minors: abi::NODES,
        };
        let mut memories = KVec::with_capacity(abi::NODES as usize, GFP_KERNEL)?;
        for minor in 0..abi::NODES {
            memories.push(Memory::new(minor)?, GFP_KERNEL)?;
        }

        Ok(Self {
            _device: KBox::pin_init(
                CharDeviceRegistration::register(options, memories),
                GFP_KERNEL,
            )?,
        })
    }
}

/// The memory of a node.
#[pin_data]
struct Memory {
    #[pin]
    bytes: Mutex<KVec<u8>>,
    /// How often the memory has been written.
    version: Atomic<u64>,
    /// The programs that wait for the next version.
    #[pin]
    readers: WaitQueue,
    label: UserPage,
}

impl Memory {
    fn new(minor: u32) -> Result<Arc<Self>> {
        let mut bytes = KVec::with_capacity(abi::SIZE, GFP_KERNEL)?;
        for _ in 0..abi::SIZE {
            bytes.push(0, GFP_KERNEL)?;
        }
        let label = (abi::LABEL + u64::from(minor)).to_ne_bytes();
        let label = UserPage::with_bytes(&label, GFP_KERNEL)?;
        let memory = try_pin_init!(Self {
            bytes <- new_mutex!(bytes),
            version: Atomic::new(0),
            readers <- WaitQueue::new(),
            label,
        });
        Arc::pin_init(memory, GFP_KERNEL)
    }

    /// Announces a new version.
    fn changed(&self) {
        self.version.fetch_add(1, Release);
        self.readers.wake_up();
    }
}

/// Returns the bytes of a memory from `offset` on, at most `len`.
fn part(bytes: &mut [u8], offset: i64, len: usize) -> Result<&mut [u8]> {
    let begin = usize::try_from(offset).map_err(|_| EINVAL)?;
    let rest = bytes.get_mut(begin..).unwrap_or_default();
    let end = len.min(rest.len());

    Ok(&mut rest[..end])
}

/// An open file.
struct Opened {
    memory: Arc<Memory>,
    /// The version that was there at the last read.
    seen: Atomic<u64>,
}

#[vtable]
impl CharDevice for Opened {
    type Ptr = KBox<Self>;
    type Data = KVec<Arc<Memory>>;

    fn open(_file: &File, device: &CharDeviceRegistration<Self>, minor: u32) -> Result<KBox<Self>> {
        let memory = device.data().get(minor as usize).ok_or(ENXIO)?.clone();
        let seen = Atomic::new(0);

        Ok(KBox::new(Self { memory, seen }, GFP_KERNEL)?)
    }

    fn read(me: &Self, _file: &File, out: &mut UserSliceWriter, offset: &mut i64) -> Result<usize> {
        // A version that comes after this is announced again.
        me.seen.store(me.memory.version.load(Acquire), Relaxed);
        // A page fault during the copy may wait, as for a file of a network file system. The mutex
        // is held meanwhile, so `mmap()`, which is called with the mmap lock held, must not take
        // it.
        let mut bytes = me.memory.bytes.lock();
        let part = part(&mut bytes, *offset, out.len())?;
        out.write_slice(part)?;
        *offset += part.len() as i64;
        Ok(part.len())
    }

    fn write(
        me: &Self,
        _file: &File,
        input: &mut UserSliceReader,
        offset: &mut i64,
    ) -> Result<usize> {
        if input.is_empty() {
            return Ok(0);
        }
        let mut bytes = me.memory.bytes.lock();
        let part = part(&mut bytes, *offset, input.len())?;
        if part.is_empty() {
            return Err(ENOSPC);
        }
        let result = input.read_slice(part);
        let written = part.len();
        drop(bytes);
        // A part may have been written before an error.
        me.memory.changed();
        result?;
        *offset += written as i64;
        Ok(written)
    }

    fn poll<'a>(me: &'a Self, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        table.poll_wait(&me.memory.readers);
        // It can always be written.
        let mut ready = poll_events::EPOLLOUT | poll_events::EPOLLWRNORM;
        if me.seen.load(Relaxed) != me.memory.version.load(Acquire) {
            ready |= poll_events::EPOLLIN | poll_events::EPOLLRDNORM;
        }
        ready
    }

    fn mmap(me: &Self, _file: &File, vma: &VmaNew) -> Result {
        if vma.pgoff() != 0 || vma.vma_pages() != 1 {
            return Err(EINVAL);
        }
        // No process may change the label. This fails if the VMA is writable.
        vma.try_clear_maywrite()?;
        let label = &me.memory.label;
        vma.set_mixedmap().vm_insert_page(vma.start(), label)
    }

    fn ioctl(me: &Self, _file: &File, cmd: u32, _arg: usize) -> Result<isize> {
        match cmd {
            CLEAR => {
                me.memory.bytes.lock().fill(0);
                me.memory.changed();
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}
