// SPDX-License-Identifier: GPL-2.0

//! Copies memory between processes by the driver `rust_remote`, and compares each answer with that
//! of `process_vm_readv()` and `process_vm_writev()`.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{unshare, CloneFlags},
    sys::{
        mman::{mmap_anonymous, mremap, munmap, MRemapFlags, MapFlags, ProtFlags},
        prctl,
        uio::{process_vm_readv, process_vm_writev, RemoteIoVec},
    },
    unistd::{close, execv, pause, pipe, setresgid, setresuid, Gid, Pid, Uid},
};
use rust_task::{
    child::{wait_for, Child},
    ktap::{self, did, Test},
    memory::{Memory, PAGE},
    remote::{pidfd_open, Remote},
};
use std::{
    ffi::CStr,
    fs::{self, File},
    io::{IoSlice, IoSliceMut, Read, Write},
    num::NonZeroUsize,
    os::fd::{AsRawFd, OwnedFd},
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("bytes that are read and written", contents),
    ("ranges that are mapped in part", holes),
    ("memory that must not be accessed", protected),
    ("strings", strings),
    ("a shared page and a private copy of it", copies),
    ("credentials, dumpable, user namespaces", permissions),
    ("pidfds that refer to no address space", gone),
    ("targets that unmap, fork, execute and die", restless),
    ("targets that die while their memory is read", dying),
];

/// The argument with which `restless()` executes this program.
const WAIT: &CStr = c"--wait";

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == WAIT.to_str().ok() {
        pause();
    }
    ktap::run(TESTS)
}

/// The byte at a position of memory that has been filled.
fn byte(seed: u8, at: usize) -> u8 {
    seed.wrapping_add((at / 7) as u8).wrapping_add(at as u8)
}

/// Fills memory with bytes that depend on the position.
fn fill(memory: &Memory, seed: u8) {
    let bytes: Vec<u8> = (0..memory.pages * PAGE).map(|at| byte(seed, at)).collect();
    memory.put(0, &bytes);
}

/// The target of copies: a child that waits, and its pidfd.
struct Target {
    child: Child,
    pidfd: OwnedFd,
    /// Tells the child to end.
    end: File,
}

impl Target {
    /// Starts a child, which calls `inner` before this returns, and then waits.
    fn start(inner: impl FnOnce() -> Result<()>) -> Result<Self> {
        let (ready, is_ready) = pipe()?;
        let (is_end, end) = pipe()?;
        let parents = end.as_raw_fd();
        let child = Child::start(move || {
            // The parent has the only writer, so its end is the end of the file.
            close(parents)?;
            inner()?;
            File::from(is_ready).write_all(b"r")?;
            let _ = File::from(is_end).read(&mut [0]);
            Ok(())
        })?;
        let pidfd = pidfd_open(child.pid())?;
        let mut bytes = [0];
        File::from(ready)
            .read_exact(&mut bytes)
            .context("the child is not ready")?;
        Ok(Self {
            child,
            pidfd,
            end: end.into(),
        })
    }

    fn fd(&self) -> i32 {
        self.pidfd.as_raw_fd()
    }

    fn end(self) -> Result<()> {
        drop(self.end);
        self.child.join()
    }
}

/// Reads by the driver and by `process_vm_readv()`, and checks that both give the same. Returns the
/// bytes.
fn compare(remote: &Remote, target: &Target, addr: usize, len: usize) -> Result<Vec<u8>> {
    let mut expected = vec![0; len];
    let range = RemoteIoVec { base: addr, len };
    let slices = &mut [IoSliceMut::new(&mut expected)];
    let c = process_vm_readv(target.child.pid(), slices, &[range]);
    let mut bytes = vec![0; len];
    let (result, copied) = remote.read(target.fd(), addr, &mut bytes);

    // C returns how many bytes it has copied, if there are any.
    let expected_copied = c.unwrap_or(0);
    ensure!(
        copied == expected_copied,
        "{addr:#x}, {len}: {copied} instead of {expected_copied} bytes"
    );
    let expected_result = match c {
        Ok(copied) if copied == len => Ok(()),
        Ok(_) => Err(Errno::EFAULT),
        Err(Errno::EPERM) => Err(Errno::EACCES),
        Err(errno) => Err(errno),
    };
    ensure!(
        result == expected_result,
        "{addr:#x}, {len}: {result:?} instead of {expected_result:?}"
    );
    ensure!(
        bytes[..copied] == expected[..copied],
        "{addr:#x}, {len}: other bytes"
    );
    bytes.truncate(copied);
    did("reads compared", 1);
    Ok(bytes)
}

fn contents() -> Result<()> {
    const PAGES: usize = 5;
    let (remote, memory) = (Remote::open()?, Memory::new(PAGES)?);
    fill(&memory, 1);
    // The child has pages of its own.
    let target = Target::start(|| {
        fill(&memory, 2);
        Ok(())
    })?;
    for (at, len) in [
        (0, 1),
        (1, 7),
        (PAGE - 1, 2),
        (0, PAGE),
        (17, 3 * PAGE),
        (0, PAGES * PAGE),
    ] {
        let bytes = compare(&remote, &target, memory.addr(0) + at, len)?;
        let right = (0..len).all(|i| bytes[i] == byte(2, at + i));
        ensure!(right, "bytes of another process at {at}");
    }
    ensure!(memory.byte(9) == byte(1, 9), "our page has changed");

    // Written by the driver, read by C, and the reverse.
    let addr = memory.addr(0) + 3 * PAGE - 20;
    let text: Vec<u8> = (0..100).collect();
    ensure!(remote.write(target.fd(), addr, &text) == (Ok(()), 100));
    ensure!(compare(&remote, &target, addr, 100)? == text);
    let ends = compare(&remote, &target, addr - 1, 102)?;
    let outside = (byte(2, 3 * PAGE - 21), byte(2, 3 * PAGE + 80));
    ensure!((ends[0], ends[101]) == outside, "written beside the range");
    let range = RemoteIoVec {
        base: addr,
        len: 50,
    };
    let slices = &[IoSlice::new(&[9; 50])];
    ensure!(process_vm_writev(target.child.pid(), slices, &[range])? == 50);
    ensure!(compare(&remote, &target, addr, 100)?[49..51] == [9, 50]);

    // Each length around that of the buffer on the stack.
    for len in [0, 1, 255, 256, 257, PAGE + 1] {
        fill(&memory, 2);
        ensure!(
            remote.fill(target.fd(), memory.addr(0) + 100, len, 0xab) == (Ok(()), len),
            "{len}"
        );
        let bytes = compare(&remote, &target, memory.addr(0) + 99, len + 2)?;
        let filled = bytes[1..=len].iter().all(|byte| *byte == 0xab);
        ensure!(filled && bytes[0] == byte(2, 99), "{len}: not filled");
    }
    // The caller itself.
    let own = pidfd_open(Pid::this())?;
    ensure!(remote.write(own.as_raw_fd(), memory.addr(0) + 5, b"self") == (Ok(()), 4));
    ensure!(memory.byte(5) == b's' && memory.byte(8) == b'f');
    target.end()
}

fn holes() -> Result<()> {
    const PAGES: usize = 8;
    let (remote, memory) = (Remote::open()?, Memory::new(PAGES)?);
    let target = Target::start(|| {
        fill(&memory, 3);
        memory.unmap(5, 1)
    })?;
    let hole = memory.addr(0) + 5 * PAGE;
    for (before, len) in [(1, 2), (PAGE, 2 * PAGE), (3 * PAGE + 1, 4 * PAGE), (0, 1)] {
        let bytes = compare(&remote, &target, hole - before, len)?;
        ensure!(bytes.len() == before, "{} bytes", bytes.len());
        let written = remote.write(target.fd(), hole - before, &vec![1; len]);
        ensure!(written == (Err(Errno::EFAULT), before), "{written:?}");
        let filled = remote.fill(target.fd(), hole - before, len, 0);
        ensure!(filled == (Err(Errno::EFAULT), before), "{filled:?}");
    }
    // Addresses that no process has.
    for addr in [0, 1 << 47, 1 << 63, usize::MAX, usize::MAX - PAGE + 1] {
        ensure!(compare(&remote, &target, addr, 8)?.is_empty());
        let written = remote.write(target.fd(), addr, b"x");
        ensure!(written == (Err(Errno::EFAULT), 0), "{written:?}");
    }
    // The address of the caller is wrong.
    // SAFETY: Nothing is mapped at address 0 of this process.
    let result = unsafe { remote.read_to(target.fd(), memory.addr(0), 0, 8) };
    ensure!(result == (Err(Errno::EFAULT), 0), "{result:?}");
    let result = remote.write_from(target.fd(), memory.addr(0), 0, 8);
    ensure!(result == (Err(Errno::EFAULT), 0), "{result:?}");
    target.end()
}

fn protected() -> Result<()> {
    let (remote, memory) = (Remote::open()?, Memory::new(3)?);
    let target = Target::start(|| {
        fill(&memory, 4);
        memory.protect(1, 1, ProtFlags::PROT_READ)?;
        memory.protect(2, 1, ProtFlags::PROT_NONE)
    })?;
    let addr = memory.addr(0);
    let bytes = compare(&remote, &target, addr + PAGE, PAGE + 1)?;
    ensure!(bytes.len() == PAGE, "a page without access has been read");
    let written = remote.write(target.fd(), addr + PAGE - 4, b"12345678");
    ensure!(
        written == (Err(Errno::EFAULT), 4),
        "read-only page: {written:?}"
    );
    let bytes = compare(&remote, &target, addr + PAGE - 4, 8)?;
    ensure!(bytes[..4] == *b"1234" && bytes[4] == byte(4, PAGE));
    target.end()
}

fn strings() -> Result<()> {
    let (remote, memory) = (Remote::open()?, Memory::new(2)?);
    let target = Target::start(|| {
        fill(&memory, 5);
        memory.put(0, b"first\0");
        memory.put(PAGE - 3, b"second\0");
        memory.put(2 * PAGE - 4, b"end\0");
        Ok(())
    })?;
    let string = |at: usize, len: usize| {
        let mut out = vec![0xee; 300];
        let (result, copied) = remote.string(target.fd(), memory.addr(0) + at, &mut out[..len]);
        let rest = out.split_off(copied);
        let clean = rest.iter().all(|byte| *byte == 0xee);
        (result, out, clean)
    };
    for (at, len, expected) in [
        (0, 300, "first\0"),
        (0, 6, "first\0"),
        (0, 5, "firs\0"),
        (0, 1, "\0"),
        (PAGE - 3, 300, "second\0"),
        (PAGE - 3, 7, "second\0"),
        (PAGE - 3, 4, "sec\0"),
        (PAGE - 3, 3, "se\0"),
        (2 * PAGE - 4, 300, "end\0"),
        (2 * PAGE - 1, 300, "\0"),
    ] {
        let found = string(at, len);
        let expected = (Ok(()), expected.as_bytes().to_vec(), true);
        ensure!(found == expected, "{at}, {len}: {found:?}");
        did("strings", 1);
    }
    // Not terminated before the end of the mapping, or longer than the maximum.
    ensure!(string(2 * PAGE, 8).0 == Err(Errno::EFAULT));
    ensure!(string(0, 0).0 == Err(Errno::EINVAL));
    let (result, bytes, _) = string(10, 300);
    ensure!(result == Ok(()) && bytes.len() <= 256 && bytes.last() == Some(&0));
    target.end()
}

fn copies() -> Result<()> {
    let (remote, memory) = (Remote::open()?, Memory::new(1)?);
    fill(&memory, 6);
    // The child shares the page with this process, until one of them writes.
    let target = Target::start(|| Ok(()))?;
    ensure!(compare(&remote, &target, memory.addr(0), 64)?[3] == byte(6, 3));
    ensure!(remote.write(target.fd(), memory.addr(0) + 3, &[99]) == (Ok(()), 1));
    ensure!(compare(&remote, &target, memory.addr(0), 64)?[3] == 99);
    ensure!(
        memory.byte(3) == byte(6, 3),
        "a page of this process has been written"
    );
    target.end()
}

/// Changes all UIDs and GIDs of this process.
fn become_user(id: u32) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
    setresgid(gid, gid, gid)?;
    Ok(setresuid(uid, uid, uid)?)
}

fn permissions() -> Result<()> {
    type Setup = fn() -> Result<()>;
    let root: Setup = || Ok(());
    let user: Setup = || {
        become_user(1000)?;
        Ok(prctl::set_dumpable(true)?)
    };
    let other: Setup = || {
        become_user(2000)?;
        Ok(prctl::set_dumpable(true)?)
    };
    let not_dumpable: Setup = || {
        become_user(1000)?;
        Ok(prctl::set_dumpable(false)?)
    };
    let in_namespace: Setup = || {
        become_user(1000)?;
        prctl::set_dumpable(true)?;
        Ok(unshare(CloneFlags::CLONE_NEWUSER)?)
    };
    let setups = [
        ("root", root),
        ("user", user),
        ("other user", other),
        ("user, not dumpable", not_dumpable),
        ("user in a namespace", in_namespace),
    ];
    let (mut granted, mut refused) = (0, 0);
    let memory = Memory::new(1)?;
    fill(&memory, 7);
    for (_, target_setup) in setups {
        for (name, caller_setup) in setups {
            let remote = Remote::open()?;
            let target = Target::start(target_setup)?;
            // compare() has the rights of the caller for both.
            let allowed = Child::start(|| {
                caller_setup()?;
                let read = compare(&remote, &target, memory.addr(0), 16)?;
                std::process::exit(if read.is_empty() { 3 } else { 0 })
            })?;
            match allowed.wait()? {
                nix::sys::wait::WaitStatus::Exited(_, 0) => granted += 1,
                nix::sys::wait::WaitStatus::Exited(_, 3) => refused += 1,
                status => anyhow::bail!("{name}: {status:?}"),
            }
            target.end()?;
        }
    }
    ensure!(granted >= 5 && refused >= 5, "{granted} and {refused}");
    did("pairs that may access", granted);
    did("pairs that must not", refused);
    Ok(())
}

fn gone() -> Result<()> {
    let (remote, memory) = (Remote::open()?, Memory::new(1)?);
    fill(&memory, 8);
    let mut out = [0; 4];
    // A zombie, and one that has been reaped.
    let target = Target::start(|| Ok(()))?;
    let Target { child, pidfd, end } = target;
    drop(end);
    let stat = format!("/proc/{}/stat", child.pid());
    wait_for("the child is no zombie", || {
        Ok(fs::read_to_string(&stat)?.contains(") Z "))
    })?;
    let zombie = remote.read(pidfd.as_raw_fd(), memory.addr(0), &mut out);
    ensure!(zombie == (Err(Errno::ESRCH), 0), "zombie: {zombie:?}");
    child.join()?;
    let reaped = remote.read(pidfd.as_raw_fd(), memory.addr(0), &mut out);
    ensure!(reaped == (Err(Errno::ESRCH), 0), "reaped: {reaped:?}");

    // kthreadd has no address space.
    let kthread = pidfd_open(Pid::from_raw(2))?;
    let kthread = remote.read(kthread.as_raw_fd(), memory.addr(0), &mut out);
    ensure!(kthread == (Err(Errno::ESRCH), 0), "kthread: {kthread:?}");

    // No pidfd, and no descriptor.
    for fd in [remote.file().as_raw_fd(), -1, 1_000_000] {
        let result = remote.read(fd, memory.addr(0), &mut out);
        ensure!(result == (Err(Errno::EBADF), 0), "{fd}: {result:?}");
    }
    Ok(())
}

/// Reads and writes memory of a child that changes its mappings all the time.
fn restless() -> Result<()> {
    const PAGES: usize = 4;
    let (remote, memory) = (Remote::open()?, Memory::new(PAGES)?);
    let child = Child::start(|| {
        let mut round = 0u64;
        loop {
            fill(&memory, round as u8);
            // The pages move away, and new ones are mapped there.
            // SAFETY: Nothing has a reference to the pages.
            let moved = unsafe {
                mremap(
                    memory.at(0),
                    PAGES * PAGE,
                    PAGES * PAGE + PAGE,
                    MRemapFlags::MREMAP_MAYMOVE,
                    None,
                )?
            };
            // SAFETY: As above. The range of `memory` has been unmapped, or is the same.
            unsafe { munmap(moved, PAGES * PAGE + PAGE)? };
            let len = NonZeroUsize::new(PAGES * PAGE).context("no page")?;
            let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
            let flags = MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED;
            let at = NonZeroUsize::new(memory.addr(0));
            // SAFETY: What was mapped there has been unmapped.
            unsafe { mmap_anonymous(at, len, prot, flags)? };
            if round % 16 == 0 {
                Child::start(|| Ok(()))?.join()?;
            }
            round += 1;
        }
    })?;
    let pidfd = pidfd_open(child.pid())?;
    let begin = Instant::now();
    let (mut whole, mut none) = (0, 0);
    let mut out = vec![0; PAGES * PAGE];
    while begin.elapsed() < Duration::from_millis(1500) {
        match remote.read(pidfd.as_raw_fd(), memory.addr(0), &mut out) {
            (Ok(()), len) => {
                ensure!(len == out.len());
                whole += 1;
            }
            (Err(Errno::EFAULT), len) => {
                ensure!(len % PAGE == 0 && len < out.len(), "{len}");
                none += 1;
            }
            other => anyhow::bail!("{other:?}"),
        }
        let _ = remote.write(pidfd.as_raw_fd(), memory.addr(0), &out[..PAGE]);
    }
    ensure!(whole > 0, "nothing has been read");
    did("reads", whole);
    did("reads of what was not mapped", none);
    child.kill()?;

    // After execve(), the address space is another one, in which the bytes are not.
    fill(&memory, 8);
    let target = Child::start(|| {
        let program = c"/proc/self/exe";
        execv(program, &[c"rust_remote_test", WAIT])?;
        Ok(())
    })?;
    let pidfd = pidfd_open(target.pid())?;
    wait_for("the child has not called execve()", || {
        let mut bytes = [0; 32];
        let (result, _) = remote.read(pidfd.as_raw_fd(), memory.addr(0), &mut bytes);
        match result {
            Ok(()) => Ok((0..32).any(|at| bytes[at] != byte(8, at))),
            Err(Errno::EFAULT) => Ok(true),
            Err(errno) => Err(errno.into()),
        }
    })?;
    target.kill()
}

fn dying() -> Result<()> {
    const PAGES: usize = 64;
    let (remote, memory) = (Remote::open()?, Memory::new(PAGES)?);
    fill(&memory, 9);
    let mut out = vec![0; PAGES * PAGE];
    let (mut whole, mut gone) = (0, 0);
    for round in 0..40 {
        let target = Target::start(|| Ok(()))?;
        let Target { child, pidfd, end } = target;
        let killer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_micros(round * 20));
            let result = child.kill();
            drop(end);
            result
        });
        loop {
            match remote.read(pidfd.as_raw_fd(), memory.addr(0), &mut out) {
                (Ok(()), _) => {
                    let right = out.iter().enumerate().all(|(at, b)| *b == byte(9, at));
                    ensure!(right, "other bytes");
                    whole += 1;
                }
                (Err(Errno::ESRCH), 0) => break,
                other => anyhow::bail!("{other:?}"),
            }
        }
        gone += 1;
        killer.join().expect("the thread panicked")?;
    }
    ensure!(gone == 40);
    did("reads", whole);
    Ok(())
}
