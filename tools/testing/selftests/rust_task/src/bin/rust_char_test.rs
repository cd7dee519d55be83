// SPDX-License-Identifier: GPL-2.0

//! Uses the nodes of the character device `/dev/rust_char_memory*`, opens them while its module is
//! loaded and unloaded, and uses files that a driver creates without a node.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    fcntl::{open, OFlag},
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags},
        mman::{MapFlags, ProtFlags},
        stat::{major, makedev, minor, mknod, stat, Mode, SFlag},
        uio::{pread, pwrite},
    },
    unistd::{close, dup2, lseek, read, unlink, write, Whence},
};
use rust_task::{
    child::{in_child, Child},
    device::map_file,
    ioctl::{call, call_for, io},
    ktap::{self, did, fact, Test},
};
use std::{
    ffi::CStr,
    fs::{File, OpenOptions},
    os::fd::{AsFd, AsRawFd, FromRawFd, IntoRawFd},
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

#[path = "../../../../../../samples/rust/rust_char_memory_abi.rs"]
mod abi;
#[path = "../../../../../../lib/test_rust_vma_abi.rs"]
mod vma_abi;

const TESTS: &[Test] = &[
    ("nodes and device numbers", nodes),
    ("read and write at a position", positions),
    ("end of the memory", end),
    ("each node has its own memory", separate),
    ("bad user addresses", bad_addresses),
    ("ioctl", ioctls),
    ("poll() until another file is written", poll_file),
    ("epoll on a file that is closed", epoll_file),
    ("epoll on a file that owns the queue", epoll_own),
    ("epoll on a misc device that owns the queue", epoll_misc),
    ("epoll that waits for one event", epoll_event),
    ("results of a driver that are wrong", wrong_results),
    ("lseek() that does nothing", noop_llseek),
    ("anonymous inode file", anon_file),
    ("data of an anonymous inode file", anon_data),
    ("epoll on an anonymous inode file", anon_poll),
    ("anonymous inode file, mapped and closed", anon_mapped),
    ("anonymous inode file, released by exit()", anon_exit),
    ("open() that fails", failing_open),
    ("pages that ->mmap_prepare() maps", prepared),
    ("registers of a device, mapped and released", region),
    ("page that is mapped", mapping),
    ("page that a child has mapped", child),
    ("node that mknod() creates", by_mknod),
    ("module that is in use", in_use),
    ("nodes opened while the module goes and comes", race),
];

const MODULE: &str = "/modules/rust_char_memory.ko";
const NAME: &CStr = c"rust_char_memory";
const PAGE: usize = 4096;
const CLEAR: u32 = io(abi::MAGIC, abi::CLEAR);

fn main() -> Result<()> {
    ktap::run(TESTS)
}

fn path(node: u32) -> String {
    format!("/dev/rust_char_memory{node}")
}

/// Opens a node, whose memory is then zero.
fn node(node: u32) -> Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path(node));
    let file = file.with_context(|| path(node))?;
    call(&file, CLEAR, 0)?;
    Ok(file)
}

fn nodes() -> Result<()> {
    let first = stat(path(0).as_str())?.st_rdev;
    for node in 0..abi::NODES {
        let status = stat(path(node).as_str())?;
        let kind = SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits());
        ensure!(kind == SFlag::S_IFCHR, "{} is no device", path(node));
        fact(&path(node), "major", major(status.st_rdev), major(first));
        fact(&path(node), "minor", minor(status.st_rdev), node);
    }
    ensure!(!Path::new(&path(abi::NODES)).exists());
    let devices = std::fs::read_to_string("/proc/devices")?;
    let line = format!("{:3} rust_char_memory", major(first));
    ensure!(devices.contains(&line), "/proc/devices lacks {line:?}");
    Ok(())
}

fn positions() -> Result<()> {
    let file = node(0)?;
    ensure!(write(&file, b"abcd")? == 4);
    ensure!(write(&file, b"ef")? == 2);
    let other = OpenOptions::new().read(true).open(path(0))?;
    let mut bytes = [0; 3];
    ensure!(read(other.as_raw_fd(), &mut bytes)? == 3 && &bytes == b"abc");
    ensure!(read(other.as_raw_fd(), &mut bytes)? == 3 && &bytes == b"def");
    ensure!(pwrite(&file, b"XY", 100)? == 2);
    ensure!(pread(&other, &mut bytes, 99)? == 3 && &bytes == b"\0XY");
    // The driver has no lseek().
    let result = lseek(file.as_raw_fd(), 0, Whence::SeekSet);
    ensure!(result == Err(Errno::ESPIPE), "lseek(): {result:?}");
    let result = write(&other, b"a");
    ensure!(
        result == Err(Errno::EBADF),
        "not open for writing: {result:?}"
    );
    Ok(())
}

fn end() -> Result<()> {
    let file = node(0)?;
    let size = i64::try_from(abi::SIZE)?;
    let bytes = vec![7; abi::SIZE + 1];
    ensure!(pwrite(&file, &bytes, 0)? == abi::SIZE);
    ensure!(pwrite(&file, &bytes, size - 3)? == 3);
    let result = pwrite(&file, &bytes, size);
    ensure!(result == Err(Errno::ENOSPC), "at the end: {result:?}");
    let mut read = vec![0; abi::SIZE + 1];
    ensure!(pread(&file, &mut read, 0)? == abi::SIZE);
    ensure!(read[..abi::SIZE] == bytes[..abi::SIZE]);
    ensure!(pread(&file, &mut read, size)? == 0);
    ensure!(pread(&file, &mut read, 1 << 62)? == 0);
    // The end of the range would be negative, so the driver is not called.
    let result = pread(&file, &mut read, i64::MAX);
    ensure!(result == Err(Errno::EINVAL), "2^63 - 1: {result:?}");
    ensure!(pread(&file, &mut [], 0)? == 0);
    Ok(())
}

fn separate() -> Result<()> {
    let files: Vec<File> = (0..abi::NODES).map(node).collect::<Result<_>>()?;
    for (file, byte) in files.iter().zip(1..) {
        ensure!(pwrite(file, &[byte], 0)? == 1);
    }
    for (file, byte) in files.iter().zip(1..) {
        let mut read = [0];
        ensure!(pread(file, &mut read, 0)? == 1 && read == [byte]);
    }
    Ok(())
}

fn bad_addresses() -> Result<()> {
    let file = node(0)?;
    let fd = file.as_raw_fd();
    for bad in [1usize, usize::MAX - 8, 1 << 63] {
        // SAFETY: The kernel must refuse the address.
        let read = Errno::result(unsafe { libc::read(fd, bad as *mut _, 4) });
        ensure!(read == Err(Errno::EFAULT), "read() to {bad:#x}: {read:?}");
        // SAFETY: As above.
        let written = Errno::result(unsafe { libc::write(fd, bad as *const _, 4) });
        ensure!(
            written == Err(Errno::EFAULT),
            "write() from {bad:#x}: {written:?}"
        );
    }
    // No byte was read or written, so the position is still 0.
    let mut byte = [1];
    ensure!(read(fd, &mut byte)? == 1 && byte == [0]);
    Ok(())
}

fn ioctls() -> Result<()> {
    let file = node(0)?;
    ensure!(pwrite(&file, b"a", 5)? == 1);
    call(&file, CLEAR, 0)?;
    let mut byte = [1];
    ensure!(pread(&file, &mut byte, 5)? == 1 && byte == [0]);
    let result = call(&file, io(abi::MAGIC, abi::CLEAR + 1), 0);
    ensure!(result == Err(Errno::ENOTTY), "unknown ioctl: {result:?}");
    Ok(())
}

/// Returns the events of a file, after at most `timeout` milliseconds.
fn events(file: &File, timeout: u16) -> Result<PollFlags> {
    let mut files = [PollFd::new(
        file.as_fd(),
        PollFlags::POLLIN | PollFlags::POLLPRI,
    )];
    poll(&mut files, PollTimeout::from(timeout))?;
    files[0].revents().context("unknown events")
}

fn poll_file() -> Result<()> {
    let file = node(0)?;
    let mut byte = [0];
    ensure!(pread(&file, &mut byte, 0)? == 1);
    ensure!(events(&file, 0)?.is_empty(), "it was not written");
    ensure!(events(&file, 50)?.is_empty(), "it was not written");
    let other = node(1)?;
    ensure!(events(&file, 0)?.is_empty(), "another node");

    for round in 0..20u8 {
        let events = thread::scope(|scope| {
            let waiter = scope.spawn(|| events(&file, 20_000));
            thread::sleep(Duration::from_millis(round.into()));
            OpenOptions::new()
                .write(true)
                .open(path(0))
                .map(|mut file| std::io::Write::write(&mut file, &[round]))
                .and_then(|written| written)
                .expect("cannot write");
            waiter.join().expect("a thread panicked")
        })?;
        ensure!(events == PollFlags::POLLIN, "round {round}: {events:?}");
        ensure!(pread(&file, &mut byte, 0)? == 1 && byte == [round]);
        ensure!(self::events(&file, 0)?.is_empty(), "it was read");
    }
    drop(other);
    Ok(())
}

/// A file that is closed is removed from the queue of its memory, which stays.
fn epoll_file() -> Result<()> {
    const ROUNDS: u32 = 2000;
    let writer = node(2)?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    for round in 0..ROUNDS {
        let file = OpenOptions::new().read(true).open(path(2))?;
        ensure!(pread(&file, &mut [0], 0)? == 1);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, round.into());
        epoll.add(&file, event)?;
        let mut found = [EpollEvent::empty(); 2];
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "it was not written");
        ensure!(pwrite(&writer, b"a", 0)? == 1);
        ensure!(epoll.wait(&mut found, 0u16)? == 1, "no event");
        ensure!(found[0].data() == round.into());
        drop(file);
        // This wakes the queue, on which the file is not any more.
        ensure!(pwrite(&writer, b"b", 0)? == 1);
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "the file is closed");
    }
    did("files closed while epoll waits", ROUNDS);
    Ok(())
}

/// The character device of the module test_rust_vma.
fn test_file() -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open("/dev/test_rust_char0");
    file.context("/dev/test_rust_char0")
}

/// The queue is freed when the file is released.
fn epoll_own() -> Result<()> {
    const ROUNDS: u32 = 500;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    for _ in 0..ROUNDS {
        let file = test_file()?;
        epoll.add(&file, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let mut found = [EpollEvent::empty()];
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "it was not written");
        ensure!(write(&file, b"a")? == 1);
        ensure!(epoll.wait(&mut found, 0u16)? == 1, "no event");
        ensure!(found[0].events() == EpollFlags::EPOLLIN, "{found:?}");
        drop(file);
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "the file is closed");
    }
    Ok(())
}

/// The queue of a misc device is freed when the file is released.
fn epoll_misc() -> Result<()> {
    const ROUNDS: u32 = 500;
    const IN: usize = 0x1;
    const DEVICE: &str = "/dev/test_rust_vma_prepare";

    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut found = [EpollEvent::empty()];
    for round in 0..ROUNDS {
        let file = File::open(DEVICE).context(DEVICE)?;
        let waiter = file.try_clone()?;
        // The driver also returns the bit of EPOLLONESHOT, which is no event.
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLONESHOT;
        epoll.add(&file, EpollEvent::new(flags, round.into()))?;
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "nothing has woken it");
        ensure!(events(&file, 0)?.is_empty(), "nothing has woken it");

        let events = thread::scope(|scope| {
            let waiter = scope.spawn(|| events(&waiter, 20_000));
            call(&file, io(vma_abi::MAGIC, vma_abi::WAKE), IN).expect("cannot wake");
            waiter.join().expect("a thread panicked")
        })?;
        ensure!(events == PollFlags::POLLIN, "round {round}: {events:?}");
        ensure!(epoll.wait(&mut found, 0u16)? == 1, "no event");
        ensure!(found[0].data() == round.into() && found[0].events() == EpollFlags::EPOLLIN);

        drop((file, waiter));
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "the file is closed");
    }
    did("misc devices closed while epoll waits", ROUNDS);
    Ok(())
}

/// Returns a new file of `AnonTest`.
fn anon(device: &File, number: u32) -> Result<File> {
    let fd = call_for(
        device,
        io(vma_abi::MAGIC, vma_abi::ANON_FILE),
        number as usize,
    )?;
    // SAFETY: The driver has just created the descriptor, and nothing else uses it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

fn anon_file() -> Result<()> {
    let device = test_file()?;
    let file = anon(&device, 7)?;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    fact(
        "file of anon_inode_getfile()",
        "name",
        link.display(),
        "anon_inode:[test_rust]",
    );
    let number = call_for(&file, io(vma_abi::MAGIC, 0), 0)?;
    ensure!(number == 7, "{number}");

    ensure!(write(&file, &9u32.to_ne_bytes())? == 4);
    let mut bytes = [0; 4];
    ensure!(read(file.as_raw_fd(), &mut bytes)? == 4 && bytes == 9u32.to_ne_bytes());
    // read() waits until another thread has written.
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut bytes = [0; 4];
            read(file.as_raw_fd(), &mut bytes).map(|_| u32::from_ne_bytes(bytes))
        });
        thread::sleep(Duration::from_millis(20));
        write(&file, &10u32.to_ne_bytes())?;
        let number = reader.join().expect("a thread panicked")?;
        ensure!(number == 10, "{number}");
        Ok(())
    })?;

    ensure!(pread(&file, &mut bytes, 0) == Err(Errno::ESPIPE), "pread()");
    let again = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let error = again.err().and_then(|err| err.raw_os_error());
    ensure!(error == Some(libc::ENXIO), "opened by /proc: {error:?}");

    let file = anon(&device, vma_abi::READ_ONLY)?;
    let written = write(&file, &bytes);
    ensure!(written == Err(Errno::EBADF), "{written:?}");
    Ok(())
}

fn anon_data() -> Result<()> {
    let device = test_file()?;
    let number_of =
        |fd: i32| call_for(&device, io(vma_abi::MAGIC, vma_abi::NUMBER_OF), fd as usize);
    let (first, second) = (anon(&device, 1)?, anon(&device, 2)?);
    for (file, number) in [(&first, 1), (&second, 2)] {
        let answer = number_of(file.as_raw_fd())?;
        ensure!(answer == number, "{answer} instead of {number}");
    }
    // A file of the same driver, one of another, and one of C.
    let (other, epoll) = (node(0)?, Epoll::new(EpollCreateFlags::empty())?);
    for fd in [device.as_raw_fd(), other.as_raw_fd(), epoll.0.as_raw_fd()] {
        let answer = number_of(fd);
        ensure!(answer == Err(Errno::EINVAL), "{answer:?}");
    }
    let closed = first.as_raw_fd();
    drop(first);
    for fd in [closed, -1, i32::MAX] {
        let answer = number_of(fd);
        ensure!(answer == Err(Errno::EBADF), "{answer:?}");
    }

    // The descriptor is closed and becomes another file while the driver looks it up.
    const ROUNDS: u32 = 2000;
    let changing = anon(&device, 3)?.into_raw_fd();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let looking = scope.spawn(|| -> Result<()> {
            while !done.load(Relaxed) {
                match number_of(changing) {
                    Ok(3) | Err(Errno::EINVAL | Errno::EBADF) => (),
                    answer => bail!("{answer:?}"),
                }
            }
            Ok(())
        });
        let changed = (0..ROUNDS).try_for_each(|round| -> Result<()> {
            let file = match round % 2 {
                0 => node(0)?,
                _ => anon(&device, 3)?,
            };
            dup2(file.as_raw_fd(), changing)?;
            Ok(())
        });
        done.store(true, Relaxed);
        looking.join().expect("a thread panicked")?;
        changed
    })?;
    close(changing)?;
    did("files replaced while a driver looks them up", ROUNDS);
    Ok(())
}

fn anon_poll() -> Result<()> {
    const ROUNDS: u32 = 500;
    let device = test_file()?;
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let mut found = [EpollEvent::empty()];
    for number in 1..=ROUNDS {
        let file = anon(&device, number)?;
        epoll.add(&file, EpollEvent::new(EpollFlags::EPOLLIN, number.into()))?;
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "it was not written");
        ensure!(write(&file, &number.to_ne_bytes())? == 4);
        ensure!(epoll.wait(&mut found, 0u16)? == 1, "no event");
        ensure!(found[0].data() == number.into());
        drop(file);
        ensure!(epoll.wait(&mut found, 0u16)? == 0, "the file is closed");
    }
    Ok(())
}

/// The page stays mapped when the file is closed.
fn anon_mapped() -> Result<()> {
    let file = anon(&test_file()?, 1)?;
    let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let page = map_file(&file, 0, PAGE, prot, MapFlags::MAP_SHARED)?;
    let again = map_file(&file, 0, PAGE, prot, MapFlags::MAP_SHARED)?;
    drop(file);
    let (page_u64, again_u64) = (page.as_ptr().cast::<u64>(), again.as_ptr().cast::<u64>());
    // SAFETY: The page is mapped twice, and nothing else points to it.
    unsafe {
        page_u64.write_volatile(0x5a5a);
        ensure!(again_u64.read_volatile() == 0x5a5a, "another page");
        nix::sys::mman::munmap(page, PAGE)?;
        nix::sys::mman::munmap(again, PAGE)?;
    }
    Ok(())
}

/// The data is dropped when the task has no files any more. It looks for one.
fn anon_exit() -> Result<()> {
    const ROUNDS: u32 = 20;
    let device = test_file()?;
    let dropped = || call_for(&device, io(vma_abi::MAGIC, vma_abi::DROPPED_BY_EXIT), 0);
    let before = dropped()?;
    for _ in 0..ROUNDS {
        in_child(|| {
            // The process exits with the file.
            let _ = anon(&device, 1)?.into_raw_fd();
            Ok(())
        })?;
    }
    let after = dropped()?;
    ensure!(after - before == ROUNDS as i32, "{after} - {before}");
    Ok(())
}

/// With `EPOLLET`, each wake-up of the file is an event.
fn epoll_event() -> Result<()> {
    /// Makes the functions of `poll()` remove their entries from the queue.
    const POLLFREE: usize = 0x4000;
    const IN: usize = 0x1;
    const OUT: usize = 0x4;
    const EVENTS: [(usize, usize); 6] = [
        (OUT, 0),
        (IN, 1),
        (0, 1),
        (OUT | IN, 1),
        (POLLFREE | IN, 1),
        (IN, 1),
    ];

    let file = test_file()?;
    ensure!(write(&file, b"a")? == 1);
    let epoll = Epoll::new(EpollCreateFlags::empty())?;
    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
    epoll.add(&file, EpollEvent::new(flags, 0))?;
    let mut found = [EpollEvent::empty()];
    ensure!(epoll.wait(&mut found, 0u16)? == 1, "it was written");
    for (events, count) in EVENTS {
        call(&file, io(vma_abi::MAGIC, vma_abi::WAKE), events)?;
        let waited = epoll.wait(&mut found, 0u16)?;
        ensure!(waited == count, "{waited} after a wake-up for {events:#x}");
    }
    Ok(())
}

fn noop_llseek() -> Result<()> {
    let file = test_file()?;
    for (offset, whence) in [
        (5, Whence::SeekSet),
        (-5, Whence::SeekCur),
        (0, Whence::SeekEnd),
    ] {
        let result = lseek(file.as_raw_fd(), offset, whence);
        ensure!(result == Ok(0), "lseek({offset}, {whence:?}): {result:?}");
    }
    Ok(())
}

fn wrong_results() -> Result<()> {
    let file = test_file()?;
    let mut bytes = [0; 4];
    ensure!(pread(&file, &mut bytes, 0)? == 4, "more than asked for");
    ensure!(pread(&file, &mut bytes, 1)? == 4, "usize::MAX");
    let result = pread(&file, &mut bytes, 2);
    ensure!(result == Err(Errno::EIO), "EIOCBQUEUED: {result:?}");
    Ok(())
}

/// A file that is not opened does not keep the module.
fn failing_open() -> Result<()> {
    let refcount = || std::fs::read_to_string("/sys/module/test_rust_vma/refcnt");
    let before = refcount()?;
    for _ in 0..100 {
        let result = File::open("/dev/test_rust_char1").map(drop);
        let error = result.map_err(|err| err.raw_os_error());
        ensure!(error == Err(Some(libc::EBUSY)), "{error:?}");
    }
    fact("test_rust_vma", "refcnt", refcount()?.trim(), before.trim());
    Ok(())
}

fn prepared() -> Result<()> {
    let file = test_file()?;
    let rights = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let pages = map_file(&file, 0, 2 * PAGE, rights, MapFlags::MAP_SHARED)?;
    let other = map_file(&file, 0, 2 * PAGE, rights, MapFlags::MAP_SHARED)?;
    drop(file);
    for page in 0..2 {
        // SAFETY: Both ranges have two pages, and are mapped for reading and writing.
        let (pages, other) = unsafe {
            (
                pages.byte_add(page * PAGE).cast::<u64>().as_ptr(),
                other.byte_add(page * PAGE).cast::<u64>().as_ptr(),
            )
        };
        // SAFETY: As above.
        unsafe {
            ensure!(pages.read_volatile() == 0, "the page was not zeroed");
            pages.write_volatile(7);
            ensure!(other.read_volatile() == 7, "another page");
        }
    }
    Ok(())
}

/// Maps the page of a node and reads what it begins with.
fn label(file: &File) -> Result<u64> {
    let page = map_file(file, 0, PAGE, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    // SAFETY: The page is mapped for reading.
    Ok(unsafe { page.cast::<u64>().as_ptr().read_volatile() })
}

fn mapping() -> Result<()> {
    for minor in 0..abi::NODES {
        let label = label(&node(minor)?)?;
        fact("mmap", "label", label, abi::LABEL + u64::from(minor));
    }
    let file = node(0)?;
    let (prot, flags) = (ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
    for (offset, len) in [(0, 2 * PAGE), (4096, PAGE)] {
        let result = map_file(&file, offset, len, prot, flags);
        ensure!(result == Err(Errno::EINVAL), "{offset}, {len}: {result:?}");
    }
    let result = map_file(&file, 0, PAGE, prot | ProtFlags::PROT_WRITE, flags);
    ensure!(result == Err(Errno::EINVAL), "writable: {result:?}");
    let page = map_file(&file, 0, PAGE, prot, flags)?;
    // SAFETY: No reference points to the page.
    let result = unsafe { nix::sys::mman::mprotect(page, PAGE, ProtFlags::PROT_WRITE) };
    ensure!(result == Err(Errno::EACCES), "mprotect(): {result:?}");
    Ok(())
}

/// The region is not released before the file is closed and each VMA is unmapped.
fn region() -> Result<()> {
    const DEVICE: &str = "/dev/test_rust_char2";
    let open = || OpenOptions::new().read(true).write(true).open(DEVICE);
    let is_busy = || open().err().and_then(|err| err.raw_os_error()) == Some(libc::EBUSY);
    let listed = || -> Result<bool> {
        let start = format!("{:08x}-", vma_abi::REGION);
        let list = std::fs::read_to_string("/proc/iomem")?;
        Ok(list
            .lines()
            .any(|line| line.trim_start().starts_with(&start) && line.ends_with("test_rust_char")))
    };
    ensure!(!listed()?, "reserved before open()");
    let file = open().context(DEVICE)?;
    ensure!(listed()? && is_busy(), "not reserved");

    let (rw, shared) = (
        ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        MapFlags::MAP_SHARED,
    );
    let page = PAGE as i64;
    for (offset, pages, prot, flags) in [
        (0, 5, rw, shared),
        (3, 2, rw, shared),
        (4, 1, rw, shared),
        (1 << 40, 1, rw, shared),
        (0, 1, rw, MapFlags::MAP_PRIVATE),
    ] {
        let mapped = map_file(&file, offset * page, pages * PAGE, prot, flags);
        ensure!(
            mapped == Err(Errno::EINVAL),
            "{pages} pages at {offset}: {mapped:?}"
        );
    }
    let first = map_file(&file, 0, PAGE, rw, shared)?;
    let rest = map_file(&file, page, 3 * PAGE, rw, shared)?;
    // On arm64, an access to an address without a device is an error.
    if cfg!(target_arch = "x86_64") {
        // SAFETY: The page is mapped, and no device has its address.
        unsafe { first.as_ptr().cast::<u32>().read_volatile() };
    }
    drop(file);
    ensure!(listed()? && is_busy(), "released while it is mapped");
    // SAFETY: Nothing points to the pages.
    unsafe { nix::sys::mman::munmap(first, PAGE)? };
    ensure!(is_busy(), "released while a part of it is mapped");

    // A child has its own VMA, which it splits.
    let (ready, tell) = nix::unistd::pipe()?;
    let middle = rest.as_ptr() as usize + PAGE;
    let child = Child::start(move || {
        let middle = std::ptr::NonNull::new(middle as *mut libc::c_void).context("address 0")?;
        // SAFETY: Nothing points to the page.
        unsafe { nix::sys::mman::munmap(middle, PAGE)? };
        ensure!(write(&tell, b"a")? == 1);
        loop {
            nix::unistd::pause();
        }
    })?;
    ensure!(read(ready.as_raw_fd(), &mut [0])? == 1);
    // SAFETY: As above.
    unsafe { nix::sys::mman::munmap(rest, 3 * PAGE)? };
    ensure!(
        listed()? && is_busy(),
        "released while a child has mapped it"
    );
    child.kill()?;
    ensure!(!listed()?, "not released");
    drop(open().context(DEVICE)?);
    ensure!(!listed()?, "not released after it was not mapped");
    Ok(())
}

/// The page stays mapped when the file is closed, and keeps the module.
fn child() -> Result<()> {
    let file = node(1)?;
    let page = map_file(&file, 0, PAGE, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    drop(file);
    let result = delete_module(NAME, DeleteModuleFlags::O_NONBLOCK);
    ensure!(result == Err(Errno::EAGAIN), "delete_module(): {result:?}");
    let address = page.as_ptr() as usize;
    in_child(move || {
        // SAFETY: The page is mapped in the child as well.
        let label = unsafe { (address as *const u64).read_volatile() };
        ensure!(label == abi::LABEL + 1, "{label:#x}");
        Ok(())
    })?;
    // SAFETY: No reference points to the page.
    unsafe { nix::sys::mman::munmap(page, PAGE)? };
    Ok(())
}

fn by_mknod() -> Result<()> {
    const NODE: &str = "/dev/test_node";
    let number = stat(path(0).as_str())?.st_rdev;
    for minor in [2, abi::NODES] {
        let number = makedev(major(number), minor.into());
        mknod(NODE, SFlag::S_IFCHR, Mode::S_IRUSR, number)?;
        let file = File::open(NODE);
        unlink(NODE)?;
        match file {
            Ok(file) => {
                let label = label(&file)?;
                fact("mknod", "label", label, abi::LABEL + u64::from(minor));
                ensure!(minor < abi::NODES, "minor {minor} exists");
            }
            Err(err) => ensure!(
                minor == abi::NODES && err.raw_os_error() == Some(libc::ENXIO),
                "{err}"
            ),
        }
    }
    Ok(())
}

fn load() -> Result<()> {
    let file = File::open(MODULE).context(MODULE)?;
    finit_module(&file, c"", ModuleInitFlags::empty()).context("finit_module()")
}

fn unload() -> nix::Result<()> {
    delete_module(NAME, DeleteModuleFlags::O_NONBLOCK)
}

fn in_use() -> Result<()> {
    let file = node(0)?;
    let result = unload();
    ensure!(result == Err(Errno::EAGAIN), "delete_module(): {result:?}");
    drop(file);
    unload()?;
    ensure!(!Path::new(&path(0)).exists(), "{} remains", path(0));
    load()?;
    node(0).map(drop)
}

/// Opens nodes all the time, also one that is always there, while the module goes and comes.
fn race() -> Result<()> {
    const NODE: &str = "/dev/test_node";
    const ROUNDS: u32 = 25;
    // Under the kernel's checkers, a round takes seconds.
    const LIMIT: Duration = Duration::from_secs(60);
    let stop = AtomicBool::new(false);
    let opened = [const { AtomicU64::new(0) }; 2];
    let opens = |path: String, opened: &AtomicU64| {
        while !stop.load(Relaxed) {
            match open(path.as_str(), OFlag::O_RDONLY, Mode::empty()) {
                Ok(file) => {
                    let mut byte = [0];
                    ensure!(read(file, &mut byte)? == 1);
                    close(file)?;
                    opened.fetch_add(1, Relaxed);
                }
                Err(Errno::ENOENT | Errno::ENXIO | Errno::ENODEV) => (),
                Err(err) => bail!("open({path}): {err}"),
            }
        }
        Ok(())
    };
    let number = stat(path(0).as_str())?.st_rdev;
    mknod(NODE, SFlag::S_IFCHR, Mode::S_IRUSR, number)?;
    let unloaded = thread::scope(|scope| {
        let openers = [
            scope.spawn(|| opens(path(1), &opened[0])),
            scope.spawn(|| opens(NODE.to_owned(), &opened[1])),
        ];
        let mut unloaded = 0;
        let mut result = Ok(());
        let begin = Instant::now();
        while unloaded < ROUNDS && begin.elapsed() < LIMIT && result.is_ok() {
            match unload() {
                Ok(()) => {
                    unloaded += 1;
                    result = load().and_then(|()| {
                        let now = stat(path(0).as_str())?.st_rdev;
                        ensure!(now == number, "another major number");
                        Ok(())
                    });
                }
                Err(Errno::EAGAIN) => thread::yield_now(),
                Err(err) => result = Err(err).context("delete_module()"),
            }
        }
        stop.store(true, Relaxed);
        for opener in openers {
            result = result.and(opener.join().expect("a thread panicked"));
        }
        result.map(|()| unloaded)
    });
    unlink(NODE)?;
    let unloaded = unloaded?;
    ensure!(unloaded > 0, "the module was always in use");
    did("unloaded and loaded again", unloaded);
    for opened in opened {
        let opened = opened.into_inner();
        ensure!(opened > 0, "a node was never opened");
        did("files opened meanwhile", opened);
    }
    Ok(())
}
