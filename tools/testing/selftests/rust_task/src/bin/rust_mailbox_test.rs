// SPDX-License-Identifier: GPL-2.0

//! Sends messages by the driver `rust_mailbox`, between processes that come and go.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sched::{unshare, CloneFlags},
    sys::{
        mman::{madvise, mprotect, mremap, munmap, MRemapFlags, MapFlags, MmapAdvise, ProtFlags},
        signal::{kill, pthread_sigmask, SaFlags, SigSet, Signal},
        wait::WaitStatus,
    },
    unistd::{execv, getpid, pause, pipe, setresuid, Pid, Uid},
};
use rust_task::{
    cgroup::{self, Group},
    child::{in_child, in_namespace, install_empty_handler, wait_for, wait_until_asleep, Child},
    ktap::{self, did, left_out, Test},
    mailbox::{abi, wait_until_free, Mailbox, FOREVER},
    memory::{Memory, PAGE},
    procfs::{drop_slab, flags_of},
    remote::pidfd_open,
    seccomp, userfaultfd,
};
use std::{
    ffi::CStr,
    fs::{self, File},
    io::{Read, Write},
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

const TESTS: &[Test] = &[
    ("messages of all sizes between several pairs", pairs),
    ("arguments", arguments),
    ("what a window permits", windows),
    ("poll(), waits and timeouts", waits),
    ("signals during waits", signals),
    ("system calls that are forbidden during waits", seccomp),
    ("the cgroup freezer during waits", frozen),
    ("threads that receive together", threads),
    ("PIDs and UIDs in other namespaces", namespaces),
    ("security contexts", contexts),
    ("pidfds", pidfds),
    ("a window that is full", full),
    ("the quota of a user", quota),
    ("messages that cannot be read", unreadable),
    ("page faults that a program resolves", resolved),
    ("receivers that unmap, execute and die", receivers),
    ("senders that die", senders),
    ("children and several windows", children),
    ("bytes of earlier messages", leftovers),
    ("memory pressure", pressure),
    ("the shrinker's files in debugfs", debugfs),
    ("unloading", unloading),
];

const NAME: &CStr = c"rust_mailbox";
const MODULE: &str = "/modules/rust_mailbox.ko";
/// The argument with which `receivers()` executes this program.
const WAIT: &CStr = c"--wait";
const PORT: u64 = 7;

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == WAIT.to_str().ok() {
        pause();
    }
    ktap::run(TESTS)
}

/// The bytes of a message: its sender, its number, and others that depend on both.
fn content(sender: u64, number: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(&sender.to_ne_bytes());
    bytes.extend_from_slice(&number.to_ne_bytes());
    let mut value = sender.wrapping_mul(31).wrapping_add(number);
    while bytes.len() < len {
        value = value
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.extend_from_slice(&value.to_ne_bytes());
    }
    bytes.truncate(len);
    bytes
}

fn word(bytes: &[u8], at: usize) -> Result<u64> {
    let bytes = bytes.get(at..at + 8).context("too short")?;
    Ok(u64::from_ne_bytes(bytes.try_into()?))
}

/// The length of message `number`, from 16 bytes to 20 pages.
fn len_of(number: u64) -> usize {
    const LENS: [usize; 8] = [16, 64, 4095, 4096, 4097, 8192, 20_000, 20 * PAGE];
    LENS[number as usize % LENS.len()]
}

/// Two receivers, and four senders that send to both.
fn pairs() -> Result<()> {
    const RECEIVERS: u64 = 2;
    const SENDERS: u64 = 4;
    const COUNT: u64 = 160;
    let (ready, tell) = pipe()?;
    let mut receivers = Vec::new();
    for _ in 0..RECEIVERS {
        let tell = tell.try_clone()?;
        receivers.push(Child::start(move || {
            let mailbox = Mailbox::new(64, PORT)?;
            File::from(tell).write_all(b"r")?;
            let mut next = [0u64; SENDERS as usize];
            let mut empty = 0;
            let mut bytes_received = 0;
            while next.iter().any(|next| *next < COUNT) {
                let (message, bytes) = mailbox.take(30_000)?;
                if bytes.is_empty() {
                    empty += 1;
                    continue;
                }
                let (sender, number) = (word(&bytes, 0)?, word(&bytes, 8)?);
                let expected = &mut next[sender as usize];
                ensure!(number == *expected, "{number} instead of {expected}");
                *expected += 1;
                ensure!(bytes == content(sender, number, len_of(number)), "{number}");
                ensure!(message.pid > 1 && message.offset % PAGE as u64 == 0);
                bytes_received += bytes.len();
            }
            ensure!(empty == SENDERS, "{empty} messages without bytes");
            let nothing = mailbox.receive(0);
            ensure!(nothing.is_err_and(|err| err == Errno::EAGAIN));
            did("messages", SENDERS * COUNT);
            did("bytes", bytes_received);
            Ok(())
        })?);
    }
    File::from(ready).read_exact(&mut [0; RECEIVERS as usize])?;
    let to: Vec<Pid> = receivers.iter().map(Child::pid).collect();
    let mut senders = Vec::new();
    for sender in 0..SENDERS {
        let to = to.clone();
        senders.push(Child::start(move || {
            let mailbox = Mailbox::open()?;
            for to in &to {
                mailbox.send(*to, PORT, &[])?;
            }
            for number in 0..COUNT {
                let bytes = content(sender, number, len_of(number));
                for to in &to {
                    loop {
                        match mailbox.send(*to, PORT, &bytes) {
                            // The other senders have as much in their windows.
                            Err(Errno::EDQUOT) => thread::sleep(Duration::from_millis(1)),
                            result => break result?,
                        }
                    }
                }
            }
            Ok(())
        })?);
    }
    for child in senders.into_iter().chain(receivers) {
        child.join()?;
    }
    wait_until_free()
}

fn arguments() -> Result<()> {
    let me = getpid();
    let mut mailbox = Mailbox::open()?;
    let err = |result: Result<(), Errno>, errno: Errno, what: &str| {
        ensure!(result == Err(errno), "{what}: {result:?}");
        Ok(())
    };
    let receive = |mailbox: &Mailbox| mailbox.receive(0).map(drop);
    err(mailbox.bind(PORT), Errno::ENXIO, "not mapped")?;
    err(receive(&mailbox), Errno::ENXIO, "not mapped")?;
    err(mailbox.release(0), Errno::ENXIO, "not mapped")?;
    mailbox.map(4)?;
    err(mailbox.send(me, PORT, b"x"), Errno::ECONNREFUSED, "no port")?;
    mailbox.bind(PORT)?;
    err(mailbox.bind(PORT + 1), Errno::EBUSY, "bound")?;
    let mut second = Mailbox::open()?;
    second.map(1)?;
    err(second.bind(PORT), Errno::EEXIST, "port in use")?;
    second.bind(0)?;

    // Receivers that do not exist, and arguments that make no sense.
    err(
        mailbox.send(me, PORT + 1, b"x"),
        Errno::ECONNREFUSED,
        "port",
    )?;
    err(
        mailbox.send(Pid::from_raw(1), PORT, b"x"),
        Errno::ECONNREFUSED,
        "init",
    )?;
    for pid in [0, -1, i32::MAX] {
        err(
            mailbox.send(Pid::from_raw(pid), PORT, b"x"),
            Errno::ESRCH,
            "PID",
        )?;
    }
    let send = abi::Send {
        port: PORT,
        to: me.as_raw() as u64,
        ..Default::default()
    };
    mailbox.send_raw(send)?;
    err(
        mailbox.send_raw(abi::Send { flags: 2, ..send }),
        Errno::EINVAL,
        "flags",
    )?;
    err(
        mailbox.send_raw(abi::Send {
            to: 1 << 32,
            ..send
        }),
        Errno::ESRCH,
        "long PID",
    )?;
    for len in [1024 * PAGE as u64 + 1, 1 << 40, u64::MAX] {
        err(
            mailbox.send_raw(abi::Send { len, ..send }),
            Errno::EINVAL,
            "length",
        )?;
    }
    let bytes = vec![1; 5 * PAGE];
    err(
        mailbox.send(me, PORT, &bytes[..4 * PAGE + 1]),
        Errno::EINVAL,
        "window",
    )?;
    mailbox.send(me, PORT, &bytes[..4 * PAGE])?;

    // IDs.
    err(mailbox.release(0), Errno::EINVAL, "not received")?;
    let first = mailbox.receive(0)?;
    ensure!((first.id, first.len) == (0, 0), "{first:?}");
    err(mailbox.release(1), Errno::EINVAL, "not received")?;
    let second_message = mailbox.receive(0)?;
    ensure!((second_message.id, second_message.offset) == (1, 0));
    // In any order, and once.
    mailbox.release(1)?;
    mailbox.release(0)?;
    err(mailbox.release(0), Errno::EINVAL, "released")?;
    err(mailbox.release(u64::MAX), Errno::EINVAL, "no ID")?;
    err(receive(&mailbox), Errno::EAGAIN, "no message")?;
    let unknown = rust_task::ioctl::call(mailbox.file(), 0xba77, 0);
    err(unknown, Errno::ENOTTY, "ioctl")?;
    drop((mailbox, second));
    wait_until_free()
}

fn windows() -> Result<()> {
    let (read, shared) = (ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
    let mut mailbox = Mailbox::open()?;
    for (prot, flags) in [
        (read | ProtFlags::PROT_WRITE, shared),
        (read | ProtFlags::PROT_EXEC, shared),
        (read | ProtFlags::PROT_WRITE, MapFlags::MAP_PRIVATE),
    ] {
        let result = mailbox.map_with(2, prot, flags);
        ensure!(result.is_err(), "{prot:?}, {flags:?}");
    }
    ensure!(mailbox.map_with(abi::MAX_PAGES + 1, read, shared) == Err(Errno::EINVAL));
    mailbox.map(4)?;
    let result = mailbox.map_with(4, read, shared);
    ensure!(result == Err(Errno::EBUSY), "a second window: {result:?}");
    mailbox.bind(PORT)?;
    mailbox.send(getpid(), PORT, b"kept")?;
    let at = mailbox.window();
    let flags = flags_of(at.as_ptr() as u64)?;
    for flag in ["dc", "io", "mm", "de"] {
        ensure!(
            flags.split_whitespace().any(|f| f == flag),
            "{flag}: {flags}"
        );
    }

    // SAFETY: None of these calls changes the window.
    unsafe {
        for prot in [read | ProtFlags::PROT_WRITE, read | ProtFlags::PROT_EXEC] {
            ensure!(
                mprotect(at, 4 * PAGE, prot) == Err(Errno::EACCES),
                "{prot:?}"
            );
        }
        ensure!(mprotect(at, PAGE, ProtFlags::PROT_NONE) == Err(Errno::EINVAL));
        ensure!(munmap(at, PAGE) == Err(Errno::EINVAL), "front");
        ensure!(
            munmap(at.byte_add(PAGE), PAGE) == Err(Errno::EINVAL),
            "middle"
        );
        ensure!(
            munmap(at.byte_add(3 * PAGE), PAGE) == Err(Errno::EINVAL),
            "end"
        );
        ensure!(madvise(at, 4 * PAGE, MmapAdvise::MADV_DOFORK) == Err(Errno::EINVAL));
        for (len, flags) in [
            (2 * PAGE, MRemapFlags::empty()),
            (5 * PAGE, MRemapFlags::empty()),
            (5 * PAGE, MRemapFlags::MREMAP_MAYMOVE),
        ] {
            let result = mremap(at, 4 * PAGE, len, flags, None);
            ensure!(result.is_err(), "{len}, {flags:?}: {result:?}");
        }
        // To another address, several times.
        for _ in 0..3 {
            let memory = Memory::new(4)?;
            let fixed = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
            let result = mremap(at, 4 * PAGE, 4 * PAGE, fixed, Some(memory.at(0)));
            ensure!(result == Err(Errno::EINVAL), "{result:?}");
            let _ = munmap(memory.at(0), 4 * PAGE);
        }
    }
    // The window is as before, and new pages can be mapped.
    let (_, bytes) = mailbox.take(0)?;
    ensure!(bytes == b"kept");
    mailbox.send(getpid(), PORT, &[3; 3 * PAGE])?;
    let (_, bytes) = mailbox.take(0)?;
    ensure!(bytes == [3; 3 * PAGE]);

    // A process that discards its pages does not get them back.
    let child = Child::start(|| {
        let mailbox = Mailbox::new(1, PORT)?;
        mailbox.send(getpid(), PORT, b"x")?;
        mailbox.take(0)?;
        // SAFETY: Nothing has a reference to the window.
        unsafe { madvise(mailbox.window(), PAGE, MmapAdvise::MADV_DONTNEED)? };
        mailbox.send(getpid(), PORT, b"y")?;
        bail!("read {:?}", mailbox.take(0)?.1)
    })?;
    let status = child.wait()?;
    let expected = matches!(status, WaitStatus::Signaled(_, Signal::SIGBUS, _));
    ensure!(expected, "{status:?}");
    // SAFETY: Nothing has a reference to the window.
    unsafe { madvise(at, 4 * PAGE, MmapAdvise::MADV_DONTNEED)? };
    mailbox.send(getpid(), PORT, &[4; 4 * PAGE])?;
    mailbox.receive(0)?;
    mailbox.unmap()?;
    let result = mailbox.receive(0).map(drop);
    ensure!(result == Err(Errno::ENXIO), "unmapped: {result:?}");
    let result = mailbox.map(1);
    ensure!(result == Err(Errno::EBUSY), "mapped again: {result:?}");
    ensure!(mailbox.send(getpid(), PORT, b"x") == Err(Errno::ECONNREFUSED));
    // Whole windows that another mapping replaces.
    let mut mailbox = Mailbox::new(3, PORT)?;
    mailbox.send(getpid(), PORT, b"x")?;
    let memory = Memory::new(3)?;
    let fixed = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
    // SAFETY: Nothing has a reference to the window.
    unsafe {
        mremap(
            memory.at(0),
            3 * PAGE,
            3 * PAGE,
            fixed,
            Some(mailbox.window()),
        )?
    };
    ensure!(mailbox.send(getpid(), PORT, b"x") == Err(Errno::ECONNREFUSED));
    mailbox.unmap()?;
    wait_until_free()
}

/// Returns the events of a mailbox.
fn events(mailbox: &Mailbox, timeout: u16) -> Result<PollFlags> {
    let mut fds = [PollFd::new(mailbox.file().as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(timeout))?;
    fds[0].revents().context("unknown events")
}

fn waits() -> Result<()> {
    let mut mailbox = Mailbox::new(8, PORT)?;
    let me = getpid();
    ensure!(events(&mailbox, 0)?.is_empty());
    let begin = Instant::now();
    let result = mailbox.receive(100).map(drop);
    ensure!(result == Err(Errno::ETIME), "{result:?}");
    let waited = begin.elapsed();
    ensure!(waited > Duration::from_millis(95), "{waited:?}");
    ensure!(events(&mailbox, 50)?.is_empty());

    // A child sends while this process waits, by poll() and by RECEIVE.
    let child = Child::start(|| {
        let mailbox = Mailbox::open()?;
        for number in 0..4u8 {
            thread::sleep(Duration::from_millis(60));
            mailbox.send(me, PORT, &[number])?;
        }
        Ok(())
    })?;
    ensure!(events(&mailbox, 30_000)? == PollFlags::POLLIN);
    ensure!(mailbox.take(0)?.1 == [0]);
    ensure!(mailbox.take(30_000)?.1 == [1]);
    ensure!(events(&mailbox, 30_000)? == PollFlags::POLLIN);
    ensure!(mailbox.take(FOREVER)?.1 == [2]);
    let message = mailbox.take(FOREVER)?.0;
    ensure!(message.pid == child.pid().as_raw() as u64, "{message:?}");
    child.join()?;

    mailbox.nonblocking()?;
    let result = mailbox.receive(FOREVER).map(drop);
    ensure!(result == Err(Errno::EAGAIN), "{result:?}");
    mailbox.unmap()?;
    ensure!(events(&mailbox, 0)? == PollFlags::POLLHUP);
    wait_until_free()
}

fn signals() -> Result<()> {
    for timeout in [FOREVER, 30_000] {
        let child = Child::start(|| {
            install_empty_handler(Signal::SIGUSR1, SaFlags::empty())?;
            let result = Mailbox::new(1, PORT)?.receive(timeout).map(drop);
            ensure!(result == Err(Errno::EINTR), "{result:?}");
            Ok(())
        })?;
        wait_until_asleep(child.pid())?;
        kill(child.pid(), Signal::SIGUSR1)?;
        child.join()?;
    }
    // A wait without a limit goes on after a signal with `SA_RESTART`.
    let child = Child::start(|| {
        install_empty_handler(Signal::SIGUSR1, SaFlags::SA_RESTART)?;
        let bytes = Mailbox::new(1, PORT)?.take(FOREVER)?.1;
        ensure!(bytes == b"after", "{bytes:?}");
        Ok(())
    })?;
    wait_until_asleep(child.pid())?;
    kill(child.pid(), Signal::SIGUSR1)?;
    thread::sleep(Duration::from_millis(50));
    Mailbox::open()?.send(child.pid(), PORT, b"after")?;
    child.join()?;

    // Killed while it waits for a message.
    let child = Child::start(|| Ok(Mailbox::new(1, PORT)?.receive(FOREVER).map(drop)?))?;
    wait_until_asleep(child.pid())?;
    child.kill()?;
    // Killed while it waits for room, after which the receiver gets what was sent before.
    let mailbox = Mailbox::new(2, PORT)?;
    let me = getpid();
    let child = Child::start(|| {
        let sender = Mailbox::open()?;
        sender.send(me, PORT, &[1; 2 * PAGE])?;
        sender.send(me, PORT, &[2; PAGE])?;
        bail!("there was room")
    })?;
    wait_until_asleep(child.pid())?;
    child.kill()?;
    ensure!(mailbox.take(0)?.1 == [1; 2 * PAGE]);
    let result = mailbox.receive(50).map(drop);
    ensure!(result == Err(Errno::ETIME), "{result:?}");
    drop(mailbox);
    // Blocked signals do not matter to one that kills.
    let child = Child::start(|| {
        pthread_sigmask(
            nix::sys::signal::SigmaskHow::SIG_BLOCK,
            Some(&SigSet::all()),
            None,
        )?;
        Ok(Mailbox::new(1, PORT)?.receive(FOREVER).map(drop)?)
    })?;
    wait_until_asleep(child.pid())?;
    child.kill()?;
    wait_until_free()
}

/// Waits until the process has a filter of system calls.
fn wait_for_filter(pid: Pid) -> Result<()> {
    wait_for("the process has no filter", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        Ok(status.lines().any(|line| line == "Seccomp:\t2"))
    })
}

/// A filter does not end a call that waits, and the next call kills the process.
fn seccomp() -> Result<()> {
    if !seccomp::is_there() {
        return left_out("seccomp");
    }
    let killed = |status: WaitStatus| matches!(status, WaitStatus::Signaled(_, Signal::SIGSYS, _));
    let mailbox = Mailbox::new(1, PORT)?;
    let me = getpid();
    // Waits for room in one thread, and then sends in another one.
    let child = Child::start(|| {
        let sender = Mailbox::open()?;
        sender.send(me, PORT, &[1; 8])?;
        thread::scope(|scope| {
            let waiting = scope.spawn(|| sender.send(me, PORT, &[2; 8]));
            wait_for("the thread does not wait", || {
                let mut all = fs::read_dir("/proc/self/task")?;
                all.try_fold(false, |found, task| {
                    let call = fs::read_to_string(task?.path().join("syscall"))?;
                    Ok(found || call.starts_with(&format!("{} ", libc::SYS_ioctl)))
                })
            })?;
            seccomp::forbid_ioctl()?;
            let sent = waiting.join();
            ensure!(matches!(sent, Ok(Ok(()))), "{sent:?}");
            let result = sender.send(me, PORT, &[3; 8]);
            bail!("not killed: {result:?}")
        })
    })?;
    wait_for_filter(child.pid())?;
    ensure!(mailbox.take(30_000)?.1 == [1; 8]);
    ensure!(mailbox.take(30_000)?.1 == [2; 8]);
    let status = child.wait()?;
    ensure!(killed(status), "{status:?}");
    let none = mailbox.receive(0).map(drop);
    ensure!(none == Err(Errno::EAGAIN), "{none:?}");

    // A receiver with a message. Its death frees the page of its window.
    let child = Child::start(|| {
        let mailbox = Mailbox::new(1, PORT)?;
        mailbox.send(getpid(), PORT, &[4; 8])?;
        seccomp::forbid_ioctl()?;
        let result = mailbox.receive(FOREVER).map(drop);
        bail!("not killed: {result:?}")
    })?;
    let receiver = child.pid();
    let status = child.wait()?;
    ensure!(killed(status), "{status:?}");
    let result = mailbox.send(receiver, PORT, &[4; 8]);
    ensure!(result == Err(Errno::ESRCH), "{result:?}");
    drop(mailbox);
    wait_until_free()
}

/// A process that is frozen while it waits goes on when it is thawed.
fn frozen() -> Result<()> {
    if !cgroup::is_there()? {
        return left_out("cgroups");
    }
    let group = Group::new("mailbox", "")?;
    let mailbox = Mailbox::new(1, PORT)?;
    let me = getpid();
    mailbox.send(me, PORT, &[1; 8])?;
    // A sender that waits for room. The room is there before it is thawed.
    let child = Child::start(|| {
        group.join()?;
        Ok(Mailbox::open()?.send(me, PORT, &[2; 8])?)
    })?;
    wait_for("the message is not charged", || {
        Ok(mailbox.stats()?.messages == 2)
    })?;
    wait_until_asleep(child.pid())?;
    group.freeze()?;
    ensure!(mailbox.take(0)?.1 == [1; 8]);
    let none = mailbox.receive(100).map(drop);
    ensure!(none == Err(Errno::ETIME), "{none:?}");
    group.thaw()?;
    ensure!(mailbox.take(30_000)?.1 == [2; 8]);
    child.join()?;

    // A receiver gets what was sent while it was frozen. One can also be killed while it is frozen.
    for is_killed in [false, true] {
        let (ready, tell) = pipe()?;
        let child = Child::start(|| {
            group.join()?;
            let mailbox = Mailbox::new(1, PORT)?;
            drop(tell);
            let bytes = mailbox.take(FOREVER)?.1;
            ensure!(bytes == [3; 8], "{bytes:?}");
            Ok(())
        })?;
        // The end of file means that there is a mailbox.
        File::from(ready).read_to_end(&mut Vec::new())?;
        wait_until_asleep(child.pid())?;
        group.freeze()?;
        mailbox.send(child.pid(), PORT, &[3; 8])?;
        if is_killed {
            child.kill()?;
            group.thaw()?;
        } else {
            group.thaw()?;
            child.join()?;
        }
    }
    group.remove()?;
    drop(mailbox);
    wait_until_free()
}

/// The receiver learns the label that the sender had when it sent.
fn contexts() -> Result<()> {
    const LABEL: &str = "/proc/self/attr/smack/current";
    if !Path::new(LABEL).exists() {
        return left_out("Smack");
    }
    let mailbox = Mailbox::new(3, PORT)?;
    let me = getpid();
    for label in ["Sender", "Another-label"] {
        let rooms = [64, 3, 0];
        in_child(|| {
            fs::write(LABEL, label).context(LABEL)?;
            let sender = Mailbox::open()?;
            for _ in rooms {
                sender.send(me, PORT, &[1; 8])?;
            }
            Ok(fs::write(LABEL, "Later")?)
        })?;
        for room in rooms {
            let mut bytes = [0; 64];
            let message = mailbox.receive_raw(abi::Received {
                context: bytes.as_mut_ptr() as u64,
                room,
                ..Default::default()
            })?;
            ensure!(message.context_len == label.len() as u64, "{message:?}");
            let (stored, rest) = bytes.split_at(label.len().min(room as usize));
            ensure!(stored == &label.as_bytes()[..stored.len()], "{bytes:?}");
            ensure!(rest.iter().all(|byte| *byte == 0), "{bytes:?}");
            mailbox.release(message.id)?;
        }
    }
    drop(mailbox);
    wait_until_free()
}

/// Each message is received by one thread.
fn threads() -> Result<()> {
    const COUNT: u64 = 2000;
    const THREADS: usize = 4;
    let mailbox = Mailbox::new(64, PORT)?;
    let me = getpid();
    let child = Child::start(|| {
        let sender = Mailbox::open()?;
        for number in 0..COUNT + THREADS as u64 {
            let bytes = match number < COUNT {
                true => content(0, number, 16 + number as usize % 5000),
                false => Vec::new(),
            };
            sender.send(me, PORT, &bytes)?;
        }
        Ok(())
    })?;
    let receive = || -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        loop {
            let (_, bytes) = mailbox.take(30_000)?;
            if bytes.is_empty() {
                return Ok(numbers);
            }
            let number = word(&bytes, 8)?;
            ensure!(bytes == content(0, number, bytes.len()), "{number}");
            numbers.push(number);
        }
    };
    // Shared by the threads: the window only has a pointer.
    struct Shared<F>(F);
    // SAFETY: The methods of a mailbox only make system calls and read the window.
    unsafe impl<F> Sync for Shared<F> {}
    impl<F: Fn() -> R, R> Shared<F> {
        fn call(&self) -> R {
            (self.0)()
        }
    }
    let receive = Shared(receive);
    let mut all = Vec::new();
    thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| receive.call()))
            .collect();
        for thread in threads {
            let numbers = thread.join().expect("a thread panicked")?;
            ensure!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "order");
            all.extend(numbers);
        }
        Ok(())
    })?;
    child.join()?;
    all.sort_unstable();
    ensure!(all.into_iter().eq(0..COUNT), "lost or received twice");
    drop(mailbox);
    wait_until_free()
}

fn namespaces() -> Result<()> {
    let me = getpid();
    let mailbox = Mailbox::new(8, PORT)?;
    let overflow: u64 = fs::read_to_string("/proc/sys/kernel/overflowuid")?
        .trim()
        .parse()?;

    // A child in a PID namespace below: it cannot name this process by a number, but by a pidfd.
    // This process sees the number that the child has here.
    let pidfd = pidfd_open(me)?;
    in_namespace(|| {
        let sender = Mailbox::open()?;
        ensure!(getpid().as_raw() == 1);
        ensure!(sender.send(me, PORT, b"x") == Err(Errno::ESRCH));
        Ok(sender.send_to_pidfd(pidfd.as_raw_fd(), PORT, b"below")?)
    })?;
    let (message, bytes) = mailbox.take(0)?;
    ensure!(bytes == b"below" && message.euid == 0, "{message:?}");
    ensure!(
        message.pid > 1 && message.pid != me.as_raw() as u64,
        "{message:?}"
    );

    // The receiver is in the namespace below: it sees those in it, and no number for others.
    let child = Child::start(|| {
        in_namespace(|| {
            let receiver = Mailbox::new(8, PORT)?;
            in_child(|| {
                ensure!(getpid().as_raw() == 2);
                Ok(Mailbox::open()?.send(Pid::from_raw(1), PORT, b"inside")?)
            })?;
            let (message, bytes) = receiver.take(30_000)?;
            ensure!(bytes == b"inside" && message.pid == 2, "{message:?}");
            receiver.send_to_pidfd(pidfd.as_raw_fd(), PORT, b"ready")?;
            let (message, bytes) = receiver.take(30_000)?;
            ensure!(bytes == b"above" && message.pid == 0, "{message:?}");
            Ok(())
        })
    })?;
    let (message, bytes) = mailbox.take(30_000)?;
    ensure!(bytes == b"ready", "{bytes:?}");
    mailbox.send(Pid::from_raw(message.pid as i32), PORT, b"above")?;
    child.join()?;

    // User namespaces: the sender is UID 0 of its own one, and UID 1000 here.
    in_child(|| {
        let sender = Mailbox::open()?;
        let user = Uid::from_raw(1000);
        setresuid(user, user, user)?;
        nix::sys::prctl::set_dumpable(true)?;
        unshare(CloneFlags::CLONE_NEWUSER)?;
        sender.send(me, PORT, b"user")?;
        fs::write("/proc/self/uid_map", "0 1000 1")?;
        ensure!(Uid::effective().is_root());
        Ok(sender.send(me, PORT, b"root")?)
    })?;
    for expected in [b"user", b"root"] {
        let (message, bytes) = mailbox.take(0)?;
        ensure!(bytes == expected && message.euid == 1000, "{message:?}");
    }
    // The receiver is in a user namespace without a UID for root, and with one for itself.
    let (ready, tell) = pipe()?;
    let child = Child::start(move || {
        let receiver = Mailbox::new(4, PORT)?;
        let own = Mailbox::open()?;
        let user = Uid::from_raw(1000);
        setresuid(user, user, user)?;
        nix::sys::prctl::set_dumpable(true)?;
        unshare(CloneFlags::CLONE_NEWUSER)?;
        fs::write("/proc/self/uid_map", "55 1000 1")?;
        own.send(getpid(), PORT, b"own")?;
        File::from(tell).write_all(b"r")?;
        let message = receiver.take(30_000)?.0;
        ensure!(message.euid == 55, "{message:?}");
        let message = receiver.take(30_000)?.0;
        ensure!(
            message.euid == overflow && message.pid == me.as_raw() as u64,
            "{message:?}"
        );
        // This fails without a security module.
        if fs::read("/proc/self/attr/current").is_err() {
            ensure!(message.context_len == 0, "{message:?}");
        }
        Ok(())
    })?;
    File::from(ready).read_exact(&mut [0])?;
    mailbox.send(child.pid(), PORT, b"root")?;
    child.join()?;
    drop(mailbox);
    wait_until_free()
}

fn pidfds() -> Result<()> {
    let mailbox = Mailbox::new(2, PORT)?;
    let own = pidfd_open(getpid())?;
    mailbox.send_to_pidfd(own.as_raw_fd(), PORT, b"self")?;
    ensure!(mailbox.take(0)?.1 == b"self");
    for (fd, expected) in [
        (-1, Errno::ESRCH),
        (1_000_000, Errno::EBADF),
        (mailbox.file().as_raw_fd(), Errno::EBADF),
    ] {
        let result = mailbox.send_raw(abi::Send {
            to: fd as u32 as u64,
            port: PORT,
            flags: abi::PIDFD,
            ..Default::default()
        });
        ensure!(result == Err(expected), "{fd}: {result:?}");
    }
    // A process that has been reaped.
    let child = Child::start(|| Ok(()))?;
    let pidfd = pidfd_open(child.pid())?;
    child.join()?;
    let result = mailbox.send_to_pidfd(pidfd.as_raw_fd(), PORT, b"x");
    ensure!(result == Err(Errno::ESRCH), "{result:?}");
    drop(mailbox);
    wait_until_free()
}

fn full() -> Result<()> {
    let mailbox = Mailbox::new(4, PORT)?;
    let me = getpid();
    let sender = Mailbox::open()?;
    sender.nonblocking()?;
    let send = |pages: usize, byte: u8| sender.send(me, PORT, &vec![byte; pages * PAGE]);
    for byte in 0..4 {
        send(1, byte)?;
    }
    ensure!(send(1, 9) == Err(Errno::EAGAIN));
    // A message without pages needs no room.
    send(0, 9)?;
    let messages: Vec<_> = (0..4)
        .map(|_| mailbox.receive(0))
        .collect::<Result<_, _>>()?;
    // Two slots that are not consecutive.
    mailbox.release(messages[1].id)?;
    mailbox.release(messages[3].id)?;
    ensure!(send(2, 9) == Err(Errno::EAGAIN));
    mailbox.release(messages[2].id)?;
    send(2, 5)?;
    send(1, 6)?;
    ensure!(mailbox
        .bytes(messages[0].offset, messages[0].len)
        .iter()
        .all(|byte| *byte == 0));
    mailbox.release(messages[0].id)?;
    for (len, byte) in [(0, 9), (2 * PAGE, 5), (PAGE, 6)] {
        ensure!(mailbox.take(0)?.1 == vec![byte; len], "{byte}");
    }

    // A sender waits for room.
    let child = Child::start(|| {
        let sender = Mailbox::open()?;
        for byte in 0..200 {
            sender.send(me, PORT, &vec![byte; (1 + byte as usize % 4) * PAGE - 1])?;
        }
        Ok(())
    })?;
    for byte in 0..200 {
        let (_, bytes) = mailbox.take(30_000)?;
        ensure!(
            bytes == vec![byte; (1 + byte as usize % 4) * PAGE - 1],
            "{byte}"
        );
    }
    child.join()?;
    // A sender waits, and the window is unmapped.
    send(4, 1)?;
    let child = Child::start(|| {
        let result = Mailbox::open()?.send(me, PORT, b"x");
        ensure!(result == Err(Errno::EPIPE), "{result:?}");
        Ok(())
    })?;
    wait_until_asleep(child.pid())?;
    drop(mailbox);
    child.join()?;
    wait_until_free()
}

fn quota() -> Result<()> {
    let (first, second) = (Mailbox::new(1024, PORT)?, Mailbox::new(1024, PORT + 1)?);
    let me = getpid();
    let each = 100 * PAGE + abi::OVERHEAD;
    let bytes = vec![1; 100 * PAGE];
    let fill = |sender: &Mailbox| -> Result<usize> {
        let mut sent = 0;
        loop {
            // The windows together have room for twice the quota.
            let port = PORT + sent as u64 % 2;
            match sender.send(me, port, &bytes) {
                Ok(()) => sent += 1,
                Err(Errno::EDQUOT) => return Ok(sent),
                Err(err) => return Err(err.into()),
            }
        }
    };
    let sender = Mailbox::open()?;
    let sent = fill(&sender)?;
    ensure!(sent == abi::QUOTA / each, "{sent} messages");
    let stats = first.stats()?;
    ensure!(
        stats.charged == (sent * each) as u64 && stats.messages == sent as u64,
        "{stats:?}"
    );
    // A smaller one fits, to the byte.
    let rest = (abi::QUOTA - sent * each - abi::OVERHEAD) / PAGE * PAGE;
    ensure!(sender.send(me, PORT, &vec![2; rest + 1]) == Err(Errno::EDQUOT));
    sender.send(me, PORT, &vec![2; rest])?;
    // Another user has a quota of its own, and root in a user namespace is the same user.
    in_child(|| {
        let sender = Mailbox::open()?;
        let user = Uid::from_raw(1234);
        setresuid(user, user, user)?;
        nix::sys::prctl::set_dumpable(true)?;
        sender.send(me, PORT, &bytes)?;
        unshare(CloneFlags::CLONE_NEWUSER)?;
        fs::write("/proc/self/uid_map", "0 1234 1")?;
        let before = sender.stats()?.charged;
        sender.send(me, PORT + 1, &bytes)?;
        ensure!(sender.stats()?.charged == before + each as u64);
        Ok(())
    })?;
    // Released message by message, and then as a whole.
    let (message, _) = first.take(0)?;
    ensure!(message.len == bytes.len() as u64);
    sender.send(me, PORT, &bytes[..99 * PAGE])?;
    drop(first);
    let stats = second.stats()?;
    ensure!(
        stats.charged > 0 && stats.charged < abi::QUOTA as u64,
        "{stats:?}"
    );
    drop(second);
    ensure!(sender.stats()? == abi::Stats::default());
    wait_until_free()
}

/// Messages of which a part is not mapped.
fn unreadable() -> Result<()> {
    let mailbox = Mailbox::new(16, PORT)?;
    let me = getpid();
    let memory = Memory::new(8)?;
    memory.fill(0x61);
    memory.unmap(6, 2)?;
    let send = |at: usize, len: usize| {
        mailbox.send_raw(abi::Send {
            addr: at as u64,
            len: len as u64,
            port: PORT,
            to: me.as_raw() as u64,
            flags: 0,
        })
    };
    let before = mailbox.stats()?;
    for (at, len) in [
        (memory.addr(4), 4 * PAGE),
        (memory.addr(5), PAGE + 1),
        (memory.addr(6), 1),
        (memory.addr(6) - 1, 2),
        (0, 1),
        (usize::MAX - PAGE + 1, PAGE),
        (usize::MAX, 1),
        (1 << 63, 5),
    ] {
        let result = send(at, len);
        ensure!(result == Err(Errno::EFAULT), "{at:#x}, {len}: {result:?}");
    }
    let stats = mailbox.stats()?;
    ensure!(stats.messages == before.messages && stats.charged == before.charged);
    ensure!(stats.free == stats.pages && stats.pages == 4, "{stats:?}");
    // What had been copied of them is not there any more.
    let clear = mailbox
        .bytes(0, 4 * PAGE as u64)
        .iter()
        .all(|byte| *byte == 0);
    ensure!(clear, "a part of a message that was not sent");
    // The result of RECEIVE cannot be written: the message stays.
    send(memory.addr(0), 10)?;
    let command = rust_task::ioctl::iowr::<abi::Received>(abi::MAGIC, abi::RECEIVE);
    memory.protect(0, 1, ProtFlags::PROT_READ)?;
    let result = rust_task::ioctl::call(mailbox.file(), command, memory.addr(0) + 2048);
    ensure!(result == Err(Errno::EFAULT), "{result:?}");
    ensure!(mailbox.take(0)?.1 == [0x61; 10]);
    // A window is the source: of itself, and of another one.
    send(memory.addr(1), 2 * PAGE)?;
    let message = mailbox.receive(0)?;
    let at = mailbox.window().as_ptr() as usize + message.offset as usize;
    send(at, 2 * PAGE)?;
    mailbox.release(message.id)?;
    let (_, bytes) = mailbox.take(0)?;
    ensure!(bytes[..PAGE] == [0x62; PAGE] && bytes[PAGE..] == [0x63; PAGE]);
    // Pages of a window that are not mapped.
    let result = send(mailbox.window().as_ptr() as usize + 12 * PAGE, 1);
    ensure!(result == Err(Errno::EFAULT), "{result:?}");
    drop(mailbox);
    wait_until_free()
}

/// The copy waits for a thread of the sender. The mailbox can be used meanwhile.
fn resolved() -> Result<()> {
    const PAGES: usize = 4;
    // There is room for all messages, as this process must not wait for itself.
    let mailbox = Mailbox::new(256, PORT)?;
    let me = getpid();
    let child = Child::start(|| {
        let (sender, memory) = (Mailbox::open()?, Memory::new(PAGES)?);
        for round in 0..20u8 {
            memory.advise(0, PAGES, MmapAdvise::MADV_DONTNEED)?;
            let server = userfaultfd::serve(memory.addr(0), PAGES * PAGE, PAGE, PAGES, round)?;
            sender.send_raw(abi::Send {
                addr: memory.addr(0) as u64,
                len: (PAGES * PAGE) as u64,
                port: PORT,
                to: me.as_raw() as u64,
                flags: 0,
            })?;
            server.join().expect("the thread panicked")?;
        }
        Ok(())
    })?;
    let (mut round, mut sent, mut received) = (0, 0, 0);
    while round < 20 || received < sent {
        let (message, bytes) = mailbox.take(30_000)?;
        if message.pid == me.as_raw() as u64 {
            let is_right = bytes == content(0, received, PAGE);
            ensure!(is_right, "the message {received} to itself");
            received += 1;
        } else {
            let is_right = bytes == [round; PAGES * PAGE];
            ensure!(is_right, "the message {round} of the child");
            round += 1;
            mailbox.send(me, PORT, &content(0, sent, PAGE))?;
            sent += 1;
        }
    }
    child.join()?;
    did("messages in between", received);
    drop(mailbox);
    wait_until_free()
}

fn receivers() -> Result<()> {
    let sender = Mailbox::open()?;
    let bytes = vec![7; 5 * PAGE];
    let (mut sent, mut refused) = (0, 0);
    for round in 0..60u64 {
        let (ready, tell) = pipe()?;
        let child = Child::start(move || {
            let mut mailbox = Mailbox::new(64, PORT)?;
            File::from(tell).write_all(b"r")?;
            // It receives some, and keeps them.
            for _ in 0..round % 3 {
                mailbox.receive(30_000)?;
            }
            thread::sleep(Duration::from_micros(round * 40));
            match round % 4 {
                0 => mailbox.unmap()?,
                1 => {
                    execv(c"/proc/self/exe", &[c"rust_mailbox_test", WAIT])?;
                }
                2 => return Ok(()),
                _ => kill(getpid(), Signal::SIGKILL)?,
            }
            pause();
            Ok(())
        })?;
        File::from(ready).read_exact(&mut [0])?;
        sender.nonblocking()?;
        let begin = Instant::now();
        loop {
            ensure!(begin.elapsed() < Duration::from_secs(30), "round {round}");
            match sender.send(child.pid(), PORT, &bytes) {
                Ok(()) => sent += 1,
                Err(Errno::EAGAIN) => thread::yield_now(),
                Err(Errno::ECONNREFUSED | Errno::EPIPE) => {
                    refused += 1;
                    break;
                }
                Err(err) => bail!("round {round}: {err}"),
            }
        }
        if round % 4 < 2 {
            // It pauses, and is killed.
            drop(child);
            continue;
        }
        match child.wait()? {
            WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGKILL, _) => {}
            other => bail!("{other:?}"),
        }
    }
    did("messages", sent);
    did("receivers that ended", refused);
    wait_until_free()
}

/// Senders are killed at any moment. What is received is whole.
fn senders() -> Result<()> {
    let mailbox = Mailbox::new(64, PORT)?;
    let me = getpid();
    let mut received = 0;
    for round in 0..60u64 {
        let child = Child::start(|| {
            let sender = Mailbox::open()?;
            for number in 0.. {
                sender.send(me, PORT, &content(round, number, 30_000))?;
            }
            Ok(())
        })?;
        let pid = child.pid();
        let killer = thread::spawn(move || {
            thread::sleep(Duration::from_micros(500 + round * 50));
            child.kill()
        });
        let mut next = 0;
        loop {
            match mailbox.take(100) {
                Ok((message, bytes)) => {
                    ensure!(message.pid == pid.as_raw() as u64);
                    ensure!(bytes == content(round, next, 30_000), "{round}, {next}");
                    next += 1;
                }
                Err(Errno::ETIME) if killer.is_finished() => break,
                Err(Errno::ETIME) => {}
                Err(err) => return Err(err.into()),
            }
        }
        received += next;
        killer.join().expect("the thread panicked")?;
        let stats = mailbox.stats()?;
        ensure!(
            stats.messages == 0 && stats.free == stats.pages,
            "{stats:?}"
        );
    }
    ensure!(received > 0);
    did("messages", received);
    drop(mailbox);
    wait_until_free()
}

fn children() -> Result<()> {
    let first = Mailbox::new(4, PORT)?;
    let second = Mailbox::new(4, PORT + 1)?;
    let me = getpid();
    first.send(me, PORT, b"for the parent")?;
    let window = first.window().as_ptr() as usize;
    // A child has the file, but not the window.
    in_child(|| {
        for result in [first.receive(0).map(drop), first.release(0), first.bind(99)] {
            ensure!(result == Err(Errno::EPERM), "{result:?}");
        }
        let result = first.map_with(4, ProtFlags::PROT_READ, MapFlags::MAP_SHARED);
        ensure!(result == Err(Errno::EBUSY), "{result:?}");
        // It may send, and is the sender.
        first.send(me, PORT + 1, b"from the child")?;
        let reader = Child::start(|| {
            // SAFETY: The access raises SIGSEGV, as nothing is mapped there.
            let byte = unsafe { (window as *const u8).read_volatile() };
            bail!("read {byte}")
        })?;
        match reader.wait()? {
            WaitStatus::Signaled(_, Signal::SIGSEGV, _) => Ok(()),
            other => bail!("{other:?}"),
        }
    })?;
    let (message, bytes) = second.take(0)?;
    ensure!(bytes == b"from the child" && message.pid != me.as_raw() as u64);
    ensure!(first.take(0)?.1 == b"for the parent");

    // The parent ends, and a child keeps the file.
    let (ready, tell) = pipe()?;
    let (told, go) = pipe()?;
    let parent = Child::start(move || {
        let mailbox = Mailbox::new(4, PORT)?;
        let sender = Mailbox::open()?;
        sender.send(getpid(), PORT, &[1; 4 * PAGE])?;
        // SAFETY: This process has one thread.
        if let nix::unistd::ForkResult::Child = unsafe { nix::unistd::fork()? } {
            drop(go);
            let _ = File::from(told).read(&mut [0]);
            let result = mailbox.receive(0).map(drop);
            ensure!(result == Err(Errno::ENXIO), "{result:?}");
            File::from(tell).write_all(b"r")?;
            std::process::exit(0);
        }
        Ok(())
    })?;
    parent.join()?;
    // The copy of `go` in this process was moved to the child, and is closed here.
    let mut byte = [0];
    File::from(ready).read_exact(&mut byte)?;
    drop((first, second));
    wait_until_free()
}

/// A shorter message follows a longer one in the same pages.
fn leftovers() -> Result<()> {
    let mailbox = Mailbox::new(4, PORT)?;
    let me = getpid();
    for len in [0, 1, 5, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 9] {
        mailbox.send(me, PORT, &[0xff; 4 * PAGE])?;
        mailbox.take(0)?;
        mailbox.send(me, PORT, &vec![0x11; len])?;
        let message = mailbox.receive(0)?;
        let pages = len.div_ceil(PAGE) * PAGE;
        let bytes = mailbox.bytes(message.offset, pages as u64);
        ensure!(bytes[..len].iter().all(|byte| *byte == 0x11), "{len}");
        ensure!(
            bytes[len..].iter().all(|byte| *byte == 0),
            "{len}: the rest"
        );
        mailbox.release(message.id)?;
    }
    drop(mailbox);
    wait_until_free()
}

/// `count` prints the pages that hold no message, and `scan` frees as many as it is told.
fn debugfs() -> Result<()> {
    let Ok(mut all) = fs::read_dir("/sys/kernel/debug/shrinker") else {
        return left_out("SHRINKER_DEBUG");
    };
    let is_ours = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name.starts_with("rust_mailbox-"))
    };
    let shrinker = all
        .find_map(|entry| Some(entry.ok()?.path()).filter(|path| is_ours(path)))
        .context("the shrinker has no files")?;
    let mailbox = Mailbox::new(8, PORT)?;
    let me = getpid();
    mailbox.send(me, PORT, &[1; 2 * PAGE])?;
    mailbox.send(me, PORT, &[2; 5 * PAGE])?;
    let first = mailbox.receive(0)?;
    mailbox.take(0)?;
    // Of the control group 0, node 0.
    for (scanned, left) in [(0, 5), (3, 2), (100, 0)] {
        fs::write(shrinker.join("scan"), format!("0 0 {scanned}"))?;
        ensure!(mailbox.stats()?.free == left, "{:?}", mailbox.stats()?);
        // A line that only has zeros is left out.
        let text = fs::read_to_string(shrinker.join("count"))?;
        let mut words = text.split_whitespace();
        let counted = words.nth(1).unwrap_or("0");
        ensure!(counted == left.to_string(), "{text}");
    }
    let bytes = mailbox.bytes(first.offset, first.len);
    ensure!(bytes.iter().all(|byte| *byte == 1));
    drop(mailbox);
    wait_until_free()
}

/// The kernel takes pages that hold no message, and others stay.
fn pressure() -> Result<()> {
    let mailbox = Mailbox::new(600, PORT)?;
    let me = getpid();
    mailbox.send(me, PORT, &[1; 100 * PAGE])?;
    mailbox.send(me, PORT, &[2; 200 * PAGE])?;
    mailbox.send(me, PORT, &[3; 50 * PAGE])?;
    let first = mailbox.receive(0)?;
    let second = mailbox.receive(0)?;
    mailbox.release(second.id)?;
    let stats = mailbox.stats()?;
    ensure!((stats.pages, stats.free) == (350, 200), "{stats:?}");
    // The message of a sender that waits for slots does not count as one that holds pages.
    let waiting = Child::start(|| Ok(Mailbox::open()?.send(me, PORT, &[5; 460 * PAGE])?))?;
    wait_for("the message is not charged", || {
        Ok(mailbox.stats()?.messages == 3)
    })?;
    wait_until_asleep(waiting.pid())?;
    let stats = mailbox.stats()?;
    ensure!(
        (stats.pages, stats.free, stats.messages) == (350, 200, 3),
        "{stats:?}"
    );
    waiting.kill()?;
    wait_for("the pages have not been freed", || {
        drop_slab()?;
        Ok(mailbox.stats()?.free == 0)
    })?;
    let stats = mailbox.stats()?;
    ensure!(
        (stats.pages, stats.free, stats.messages) == (150, 0, 2),
        "{stats:?}"
    );
    ensure!(mailbox
        .bytes(first.offset, first.len)
        .iter()
        .all(|byte| *byte == 1));
    let third = mailbox.receive(0)?;
    ensure!(mailbox
        .bytes(third.offset, third.len)
        .iter()
        .all(|byte| *byte == 3));
    // New pages are mapped where the others were.
    mailbox.send(me, PORT, &[4; 200 * PAGE])?;
    ensure!(mailbox.take(0)?.1 == [4; 200 * PAGE]);
    mailbox.release(first.id)?;
    mailbox.release(third.id)?;

    // While messages are sent.
    static STOP: AtomicBool = AtomicBool::new(false);
    let (mut freed, before) = (0, mailbox.stats()?);
    ensure!(before.free == before.pages);
    let child = Child::start(|| {
        let sender = Mailbox::open()?;
        for number in 0..600 {
            sender.send(
                me,
                PORT,
                &content(0, number, 16 + number as usize * 97 % 60_000),
            )?;
        }
        Ok(())
    })?;
    let dropper = thread::spawn(|| -> Result<u32> {
        let mut count = 0;
        while !STOP.load(Ordering::Relaxed) {
            drop_slab()?;
            count += 1;
            thread::sleep(Duration::from_micros(200));
        }
        Ok(count)
    });
    for number in 0..600u64 {
        let (_, bytes) = mailbox.take(30_000)?;
        let expected = content(0, number, 16 + number as usize * 97 % 60_000);
        ensure!(bytes == expected, "message {number}");
        freed += usize::from(mailbox.stats()?.pages < 10);
    }
    STOP.store(true, Ordering::Relaxed);
    did(
        "calls of each shrinker",
        dropper.join().expect("the thread panicked")?,
    );
    did("times that few pages were left", freed);
    child.join()?;
    drop(mailbox);
    wait_until_free()
}

fn unloading() -> Result<()> {
    if !Path::new(MODULE).exists() {
        did("left out, as the driver is no module", 1);
        return Ok(());
    }
    let unload = || delete_module(NAME, DeleteModuleFlags::O_NONBLOCK);
    let mailbox = Mailbox::open()?;
    ensure!(unload() == Err(Errno::EAGAIN), "with an open file");
    drop(mailbox);
    // The window keeps the file, and the file the module.
    let mailbox = Mailbox::open()?;
    let at = mailbox.map_with(4, ProtFlags::PROT_READ, MapFlags::MAP_SHARED)?;
    drop(mailbox);
    ensure!(unload() == Err(Errno::EAGAIN), "with a window");
    // SAFETY: Nothing has a reference to the window.
    unsafe { munmap(at, 4 * PAGE)? };
    // A process that has exited with messages in its window.
    in_child(|| {
        let mailbox = Mailbox::new(4, PORT)?;
        Ok(mailbox.send(getpid(), PORT, &[1; 3 * PAGE])?)
    })?;
    wait_until_free()?;
    wait_for("the module cannot be unloaded", || match unload() {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(err) => Err(err.into()),
    })?;
    ensure!(!Path::new("/dev/rust_mailbox").exists());
    let file = File::open(MODULE).context(MODULE)?;
    finit_module(&file, c"", ModuleInitFlags::empty()).context("finit_module()")?;
    wait_until_free()
}
