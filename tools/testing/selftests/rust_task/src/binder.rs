// SPDX-License-Identifier: GPL-2.0

//! A minimal Binder client and server.

use crate::{ioctl, ktap, memory::PAGE};
use anyhow::{bail, ensure, Context as _, Result};
use nix::{
    errno::Errno,
    mount::{mount, MsFlags},
    sys::mman::{mmap, munmap, MapFlags, ProtFlags},
};
use std::{
    collections::VecDeque,
    ffi::{c_int, c_void},
    fmt,
    fs::{self, File},
    mem::offset_of,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    ptr::NonNull,
    sync::Arc,
    thread,
};

/// Bindings of the UAPI headers, which the tool in scripts/ generates.
#[allow(
    dead_code,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals
)]
mod uapi {
    include!(env!(
        "BINDER_BINDINGS",
        "build the programs with make LLVM=1 selftest"
    ));
}
use uapi::*;

pub use uapi::TF_ONE_WAY;

/// Where binderfs is mounted.
pub const MOUNT: &str = "/dev/binderfs";
/// Handle 0 is the context manager.
pub const MANAGER: u32 = 0;

pub fn is_mounted() -> bool {
    Path::new(MOUNT).join("binder-control").exists()
}

/// Mounts binderfs if it is not mounted.
pub fn mount_binderfs() -> Result<()> {
    if is_mounted() {
        return Ok(());
    }
    fs::create_dir_all(MOUNT)?;
    let none = MsFlags::empty();
    mount(
        Some("binder"),
        MOUNT,
        Some("binder"),
        none,
        Some("stats=global"),
    )
    .context("binderfs")
}

/// Adds a device, which is a new Binder context.
pub fn add_device(name: &str) -> Result<PathBuf> {
    let mut device = binderfs_device {
        name: [0; 256],
        major: 0,
        minor: 0,
    };
    for (to, from) in device.name.iter_mut().zip(name.bytes()) {
        *to = from as _;
    }
    let control = File::open(Path::new(MOUNT).join("binder-control"))?;
    let add = ioctl::iowr::<binderfs_device>(u32::from(b'b'), 1);
    ioctl::exchange(&control, add, &mut device)?;
    Ok(Path::new(MOUNT).join(name))
}

/// An open device, with the mapped buffer of incoming transactions.
pub struct Binder {
    file: File,
    mapping: NonNull<c_void>,
    size: usize,
}

impl Drop for Binder {
    fn drop(&mut self) {
        // SAFETY: No reference to the mapping exists: data is copied out of it.
        let _ = unsafe { munmap(self.mapping, self.size) };
    }
}

// SAFETY: The mapping is only read, and exists as long as `self`.
unsafe impl Send for Binder {}
// SAFETY: The mapping is only read, and exists as long as `self`.
unsafe impl Sync for Binder {}

impl Binder {
    /// Opens a device and maps `size` bytes of it.
    pub fn open(path: &Path, size: usize) -> Result<Arc<Self>> {
        let file = File::options()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| path.display().to_string())?;
        let mut version = binder_version {
            protocol_version: 0,
        };
        ioctl::exchange(&file, BINDER_VERSION, &mut version)?;
        ensure!(
            version.protocol_version == BINDER_CURRENT_PROTOCOL_VERSION as c_int,
            "the protocol has version {}",
            version.protocol_version
        );
        let length = NonZeroUsize::new(size).context("size is 0")?;
        // SAFETY: The kernel chooses the address, so no existing mapping is replaced.
        let mapping = unsafe {
            mmap(
                None,
                length,
                ProtFlags::PROT_READ,
                MapFlags::MAP_PRIVATE,
                &file,
                0,
            )
        }
        .context("mmap")?;
        Ok(Arc::new(Self {
            file,
            mapping,
            size,
        }))
    }

    /// Returns the address of the mapping.
    pub fn mapping(&self) -> u64 {
        self.mapping.as_ptr() as u64
    }

    /// Makes this process the context manager, which has handle 0.
    pub fn become_manager(&self) -> Result<(), Errno> {
        ioctl::exchange(&self.file, BINDER_SET_CONTEXT_MGR, &mut 0)
    }

    /// Sets the maximum number of threads that the driver requests.
    pub fn set_max_threads(&self, mut count: u32) -> Result<()> {
        ioctl::exchange(&self.file, BINDER_SET_MAX_THREADS, &mut count)?;
        Ok(())
    }

    /// Copies data out of the mapping.
    fn copy(&self, address: u64, size: u64) -> Result<Vec<u8>> {
        Ok(self.bytes(address, size)?.to_vec())
    }

    /// Returns data in the mapping, which must not be freed meanwhile.
    fn bytes(&self, address: u64, size: u64) -> Result<&[u8]> {
        if size == 0 {
            return Ok(&[]);
        }
        let offset = address.wrapping_sub(self.mapping()) as usize;
        let size = size as usize;
        ensure!(
            offset <= self.size && size <= self.size - offset,
            "a transaction is outside of the mapping"
        );
        // SAFETY: The range is within the mapping, and the driver does not write to a buffer that
        // has not been freed.
        Ok(unsafe {
            std::slice::from_raw_parts(self.mapping.as_ptr().cast::<u8>().add(offset), size)
        })
    }
}

/// The reason why a transaction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The target process has died.
    Dead,
    /// The transaction could not be delivered.
    Failed,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dead => "the target process is dead",
            Self::Failed => "the transaction could not be delivered",
        })
    }
}

impl std::error::Error for Failure {}

/// A transaction or a reply that has arrived.
pub struct Message {
    pub code: u32,
    pub flags: u32,
    /// 0 for a one-way transaction.
    pub sender_pid: i32,
    pub sender_euid: u32,
    /// The cookie of the target object, or 0 for the context manager.
    pub object: u64,
    pub data: Vec<u8>,
    /// The handles in the transaction.
    pub handles: Vec<u32>,
    /// The file descriptors in the transaction, which are closed when it is freed.
    pub files: Vec<i32>,
    buffer: u64,
}

/// Reads an object of a transaction.
fn object_at<T>(bytes: &[u8], offset: usize) -> Result<T> {
    let object = bytes
        .get(offset..offset + size_of::<T>())
        .context("an object is outside of its transaction")?;
    // SAFETY: The length was checked, and all bit patterns are valid for structures of the UAPI.
    Ok(unsafe { object.as_ptr().cast::<T>().read_unaligned() })
}

/// An event that the driver returns to a thread.
pub enum Event {
    Transaction(Message),
    Reply(Message),
    /// The driver has accepted a transaction or reply.
    Complete,
    Failed(Failure),
    /// The driver requests another thread.
    Spawn,
    /// The object of the death notification with this cookie is dead.
    Death(u64),
}

/// The command and event queues of a thread.
pub struct Talk {
    binder: Arc<Binder>,
    out: Vec<u8>,
    events: VecDeque<Event>,
    /// A message keeps each `step`-th byte.
    step: usize,
}

impl Talk {
    pub fn new(binder: &Arc<Binder>) -> Self {
        Self {
            binder: binder.clone(),
            out: Vec::new(),
            events: VecDeque::new(),
            step: 1,
        }
    }

    /// Makes messages keep the first byte of each page only, for a measurement without copies.
    pub fn first_bytes_only(mut self) -> Self {
        self.step = PAGE;
        self
    }

    fn put<T>(&mut self, command: u32, argument: T) {
        self.out.extend(command.to_ne_bytes());
        let from = (&raw const argument).cast::<u8>();
        // SAFETY: The arguments of commands have no padding.
        self.out
            .extend(unsafe { std::slice::from_raw_parts(from, size_of::<T>()) });
    }

    /// Sends the queued commands, and reads events if `wait` is set.
    fn exchange(&mut self, wait: bool) -> Result<()> {
        let mut input = [0; 512];
        let mut exchange = binder_write_read {
            write_size: self.out.len() as u64,
            write_consumed: 0,
            write_buffer: self.out.as_ptr() as u64,
            read_size: if wait { input.len() as u64 } else { 0 },
            read_consumed: 0,
            read_buffer: input.as_mut_ptr() as u64,
        };
        loop {
            match ioctl::exchange(&self.binder.file, BINDER_WRITE_READ, &mut exchange) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        }
        ensure!(
            exchange.write_consumed == exchange.write_size,
            "the driver consumed {} of {} bytes",
            exchange.write_consumed,
            exchange.write_size
        );
        self.out.clear();
        self.parse(&input[..exchange.read_consumed as usize])
    }

    fn parse(&mut self, mut input: &[u8]) -> Result<()> {
        fn take<T>(input: &mut &[u8]) -> Result<T> {
            let (head, rest) = input
                .split_at_checked(size_of::<T>())
                .context("a command of the driver is truncated")?;
            *input = rest;
            // SAFETY: The length was checked, and all bit patterns are valid for structures of the
            // UAPI.
            Ok(unsafe { head.as_ptr().cast::<T>().read_unaligned() })
        }

        while !input.is_empty() {
            let word: u32 = take(&mut input)?;
            let event = match word {
                BR_NOOP => continue,
                BR_TRANSACTION => {
                    let data = take(&mut input)?;
                    Event::Transaction(self.message(&data)?)
                }
                BR_REPLY => {
                    let data = take(&mut input)?;
                    Event::Reply(self.message(&data)?)
                }
                BR_TRANSACTION_COMPLETE => Event::Complete,
                BR_DEAD_REPLY => Event::Failed(Failure::Dead),
                BR_FAILED_REPLY => Event::Failed(Failure::Failed),
                BR_SPAWN_LOOPER => Event::Spawn,
                // Objects of this process are never freed, so references need not be tracked.
                BR_INCREFS | BR_ACQUIRE => {
                    let object: binder_ptr_cookie = take(&mut input)?;
                    let done = match word {
                        BR_INCREFS => BC_INCREFS_DONE,
                        _ => BC_ACQUIRE_DONE,
                    };
                    self.put(done, object);
                    continue;
                }
                BR_RELEASE | BR_DECREFS => {
                    let _: binder_ptr_cookie = take(&mut input)?;
                    continue;
                }
                BR_DEAD_BINDER => {
                    let cookie = take(&mut input)?;
                    self.put::<u64>(BC_DEAD_BINDER_DONE, cookie);
                    Event::Death(cookie)
                }
                other => bail!("unknown command {other:#x} from the driver"),
            };
            self.events.push_back(event);
        }
        Ok(())
    }

    fn message(&mut self, data: &binder_transaction_data) -> Result<Message> {
        // SAFETY: The driver always returns the pointer variant of this union.
        let at = unsafe { data.data.ptr };
        let bytes = match self.step {
            1 => self.binder.copy(at.buffer, data.data_size)?,
            step => {
                let all = self.binder.bytes(at.buffer, data.data_size)?;
                all.iter().step_by(step).copied().collect()
            }
        };
        let (mut handles, mut files) = (Vec::new(), Vec::new());
        for offset in self.binder.copy(at.offsets, data.offsets_size)?.chunks(8) {
            let offset = u64::from_ne_bytes(offset.try_into()?) as usize;
            let kind: binder_object_header = object_at(&bytes, offset)?;
            match kind.type_ {
                BINDER_TYPE_HANDLE => {
                    let object: flat_binder_object = object_at(&bytes, offset)?;
                    // SAFETY: The type of the object determines the member of the union.
                    let handle = unsafe { object.__bindgen_anon_1.handle };
                    // Take a reference, so that the handle outlives the transaction.
                    self.put(BC_ACQUIRE, handle);
                    handles.push(handle);
                }
                BINDER_TYPE_PTR => {
                    // The tests only send file descriptors in buffers; the next object is their
                    // array.
                    let memory: binder_buffer_object = object_at(&bytes, offset)?;
                    let numbers = self.binder.copy(memory.buffer, memory.length)?;
                    files.extend(numbers.chunks_exact(4).map(|bytes| {
                        i32::from_ne_bytes(bytes.try_into().expect("four bytes are an i32"))
                    }));
                }
                BINDER_TYPE_FDA => {}
                other => bail!("an object of type {other:#x}"),
            }
        }
        Ok(Message {
            code: data.code,
            flags: data.flags,
            sender_pid: data.sender_pid,
            sender_euid: data.sender_euid,
            object: data.cookie,
            data: bytes,
            handles,
            files,
            buffer: at.buffer,
        })
    }

    /// Waits for the next event.
    pub fn event(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.exchange(true)?;
        }
    }

    /// Frees the buffer of a transaction, with the next exchange.
    pub fn free(&mut self, message: Message) {
        self.put(BC_FREE_BUFFER, message.buffer);
    }

    fn transaction(&mut self, command: u32, handle: u32, code: u32, flags: u32, data: &[u8]) {
        self.transaction_with(command, handle, code, flags, data, &[]);
    }

    fn transaction_with(
        &mut self,
        command: u32,
        handle: u32,
        code: u32,
        flags: u32,
        data: &[u8],
        offsets: &[u64],
    ) {
        // SAFETY: This structure may be zeroed.
        let mut arguments: binder_transaction_data = unsafe { std::mem::zeroed() };
        arguments.target.handle = handle;
        arguments.code = code;
        arguments.flags = flags;
        arguments.data_size = data.len() as u64;
        arguments.offsets_size = size_of_val(offsets) as u64;
        arguments.data.ptr = binder_transaction_data__bindgen_ty_2__bindgen_ty_1 {
            buffer: data.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
        };
        self.put(command, arguments);
    }

    fn wait_for_reply(&mut self) -> Result<Message> {
        loop {
            match self.event()? {
                Event::Reply(message) => return Ok(message),
                Event::Failed(failure) => return Err(failure.into()),
                Event::Complete | Event::Spawn | Event::Death(_) => {}
                Event::Transaction(_) => bail!("called while waiting for a reply"),
            }
        }
    }

    /// Sends `data` and waits for the reply.
    pub fn call(&mut self, handle: u32, code: u32, data: &[u8]) -> Result<Message> {
        self.transaction(BC_TRANSACTION, handle, code, 0, data);
        self.wait_for_reply()
    }

    /// Sends `data`. The reply is one of the next events.
    pub fn start_call(&mut self, handle: u32, code: u32, data: &[u8]) -> Result<()> {
        self.transaction(BC_TRANSACTION, handle, code, 0, data);
        self.exchange(false)
    }

    /// Sends `data` with an object of this process, which is identified by `cookie`.
    pub fn call_with_object(&mut self, handle: u32, code: u32, cookie: u64) -> Result<Message> {
        // SAFETY: This structure may be zeroed.
        let mut object: flat_binder_object = unsafe { std::mem::zeroed() };
        object.hdr.type_ = BINDER_TYPE_BINDER;
        object.__bindgen_anon_1.binder = cookie;
        object.cookie = cookie;
        let from = (&raw const object).cast::<u8>();
        // SAFETY: The structure has no padding.
        let data = unsafe { std::slice::from_raw_parts(from, size_of_val(&object)) };
        self.transaction_with(BC_TRANSACTION, handle, code, 0, data, &[0]);
        self.wait_for_reply()
    }

    /// Sends `data` one-way and waits until the driver has accepted it.
    pub fn send(&mut self, handle: u32, code: u32, data: &[u8]) -> Result<()> {
        self.transaction(BC_TRANSACTION, handle, code, TF_ONE_WAY, data);
        loop {
            match self.event()? {
                Event::Complete => return Ok(()),
                Event::Failed(failure) => return Err(failure.into()),
                Event::Spawn | Event::Death(_) => {}
                Event::Transaction(_) | Event::Reply(_) => bail!("unexpected event"),
            }
        }
    }

    /// Sends `data` as the reply to `message`.
    ///
    /// The result of the delivery is one of the next events.
    pub fn reply(&mut self, message: Message, data: &[u8]) -> Result<()> {
        let flags = message.flags;
        self.free(message);
        if flags & TF_ONE_WAY == 0 {
            self.transaction(BC_REPLY, 0, 0, 0, data);
        }
        self.exchange(false)
    }

    /// Sends `data`, and waits for a reply with file descriptors.
    pub fn call_for_files(&mut self, handle: u32, code: u32) -> Result<Message> {
        self.transaction(BC_TRANSACTION, handle, code, TF_ACCEPT_FDS, &[]);
        self.wait_for_reply()
    }

    /// Replies to `message` with files. The receiver frees the reply, which closes them.
    pub fn reply_with_files(&mut self, message: Message, files: &[i32]) -> Result<()> {
        #[repr(C)]
        struct Objects {
            numbers: binder_buffer_object,
            array: binder_fd_array_object,
        }

        self.free(message);
        // SAFETY: These structures may be zeroed.
        let (mut objects, mut reply) = unsafe {
            (
                std::mem::zeroed::<Objects>(),
                std::mem::zeroed::<binder_transaction_data_sg>(),
            )
        };
        objects.numbers.hdr.type_ = BINDER_TYPE_PTR;
        objects.numbers.buffer = files.as_ptr() as u64;
        objects.numbers.length = size_of_val(files) as u64;
        // The parent is the first object.
        objects.array.hdr.type_ = BINDER_TYPE_FDA;
        objects.array.num_fds = files.len() as u64;
        let offsets = [0, offset_of!(Objects, array) as u64];

        reply.transaction_data.data_size = size_of::<Objects>() as u64;
        reply.transaction_data.offsets_size = size_of_val(&offsets) as u64;
        reply.transaction_data.data.ptr = binder_transaction_data__bindgen_ty_2__bindgen_ty_1 {
            buffer: (&raw const objects) as u64,
            offsets: offsets.as_ptr() as u64,
        };
        // The size of buffers is rounded up to 8 bytes.
        reply.buffers_size = (size_of_val(files) as u64).next_multiple_of(8);
        self.put(BC_REPLY_SG, reply);
        self.exchange(false)
    }

    /// Requests a death notification for `handle`.
    pub fn watch(&mut self, handle: u32, cookie: u64) -> Result<()> {
        self.put(
            BC_REQUEST_DEATH_NOTIFICATION,
            binder_handle_cookie { handle, cookie },
        );
        self.exchange(false)
    }

    /// Sends the queued commands.
    pub fn flush(&mut self) -> Result<()> {
        self.exchange(false)
    }

    /// Registers this thread as a looper.
    pub fn enter(&mut self) -> Result<()> {
        self.out.extend(BC_ENTER_LOOPER.to_ne_bytes());
        self.exchange(false)
    }
}

/// The function that computes the reply to a transaction.
pub type Answer = dyn Fn(&Message) -> Vec<u8> + Send + Sync;

/// Serves transactions permanently, with as many threads as the driver requests.
pub fn serve(binder: &Arc<Binder>, answer: Arc<Answer>) -> Result<()> {
    let mut talk = Talk::new(binder);
    talk.out.extend(BC_ENTER_LOOPER.to_ne_bytes());
    serve_on(talk, answer)
}

fn serve_on(mut talk: Talk, answer: Arc<Answer>) -> Result<()> {
    loop {
        match talk.event()? {
            Event::Transaction(message) => {
                let data = answer(&message);
                talk.reply(message, &data)?;
            }
            Event::Spawn => {
                let mut talk = Talk::new(&talk.binder);
                let answer = answer.clone();
                thread::spawn(move || {
                    talk.out.extend(BC_REGISTER_LOOPER.to_ne_bytes());
                    // `serve()` only returns errors.
                    ktap::exit(serve_on(talk, answer))
                });
            }
            // Clients may die before they receive the reply.
            Event::Complete | Event::Failed(_) | Event::Death(_) => {}
            Event::Reply(_) => bail!("a reply without a call"),
        }
    }
}
