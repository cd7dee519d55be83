// SPDX-License-Identifier: GPL-2.0

//! Executes the calls of a case, and checks their results.

use crate::case::{Driver, Op, Pages, ARENA, FILES, PAGE, PAGES};
use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::{
        signal::Signal,
        uio::pread,
        wait::{wait, WaitStatus},
    },
    unistd::{fork, getpid, pipe, ForkResult, Pid},
};
use rust_task::{
    device::{abi, test_abi, Device, Tester},
    ioctl,
    mailbox::{self, Mailbox},
    mirror::Mirror,
    procfs::{MapsEntry, Status},
    remote::{pidfd_open, Gup, Remote},
    vma,
};
use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
    thread,
};

/// The errors of a message to a process that exists.
const SEND_ERRORS: &[Errno] = &[
    // There are too few free slots now.
    Errno::EAGAIN,
    Errno::ECONNREFUSED,
    Errno::EDQUOT,
    Errno::EFAULT,
    // The message is longer than the window.
    Errno::EINVAL,
    // The window has been unmapped.
    Errno::EPIPE,
    // In a thread of a process that has changed its PID namespace.
    Errno::ESRCH,
];

const MEMORY: &str = "/dev/rust_char_memory3";

/// The content of a page.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    /// Unknown.
    Any,
    /// Not mapped: an access fails with `EFAULT`.
    Unmapped,
    /// A value in anonymous memory. If `shared`, the value survives a zap.
    Value { value: u64, shared: bool },
    /// A page of `/dev/rust_task_info`.
    Device(usize),
    /// A page of `/dev/rust_vma_buffer`, or a private copy.
    Buffer(usize),
}

#[derive(Clone, Copy, Debug)]
struct Page {
    content: Content,
    /// Whether a read surely succeeds, if there is a page.
    readable: bool,
}

const UNMAPPED: Page = Page {
    content: Content::Unmapped,
    readable: true,
};
const UNKNOWN: Page = Page {
    content: Content::Any,
    readable: false,
};

#[derive(Clone)]
enum OpenFile {
    Info(Arc<Device>),
    TestTask(Arc<Tester>),
    Buffer(Arc<vma::Buffer>),
    TestVma(Arc<vma::Tester>),
    Prepare(Arc<vma::Prepared>),
    Memory(Arc<File>),
    Gup(Arc<Gup>),
    Remote(Arc<Remote>),
    /// The mirror of the process with this PID.
    Hmm(Arc<Mirror>, Pid),
    Mailbox(Arc<Mailbox>),
}

impl OpenFile {
    fn of(driver: Driver) -> Result<Self> {
        Ok(match driver {
            Driver::Info => Self::Info(Arc::new(Device::open()?)),
            Driver::TestTask => Self::TestTask(Arc::new(Tester::open()?)),
            Driver::Buffer => Self::Buffer(Arc::new(vma::Buffer::open()?)),
            Driver::TestVma => Self::TestVma(Arc::new(vma::Tester::open()?)),
            Driver::Prepare => Self::Prepare(Arc::new(vma::Prepared::open()?)),
            Driver::Memory => {
                let file = File::options().read(true).write(true).open(MEMORY)?;
                Self::Memory(Arc::new(file))
            }
            Driver::Gup => Self::Gup(Arc::new(Gup::open()?)),
            Driver::Remote => Self::Remote(Arc::new(Remote::open()?)),
            Driver::Hmm => Self::Hmm(Arc::new(Mirror::open()?), getpid()),
            Driver::Mailbox => {
                let mailbox = Mailbox::open()?;
                mailbox.nonblocking()?;
                Self::Mailbox(Arc::new(mailbox))
            }
        })
    }

    fn raw(&self) -> &File {
        match self {
            Self::Info(device) => device.file(),
            Self::TestTask(tester) => tester.file(),
            Self::Buffer(buffer) => buffer.file(),
            Self::TestVma(tester) => tester.file(),
            Self::Prepare(file) => file.file(),
            Self::Memory(file) => file,
            Self::Gup(gup) => gup.file(),
            Self::Remote(remote) => remote.file(),
            Self::Hmm(mirror, _) => mirror.file(),
            Self::Mailbox(mailbox) => mailbox.file(),
        }
    }
}

/// The state of a process or thread.
#[derive(Clone)]
pub struct Machine {
    files: [Option<OpenFile>; FILES],
    pages: [Page; PAGES],
    /// Whether no other thread may change anything.
    alone: bool,
    /// Whether there may be a VMA that cannot be split, so that mappings over it fail.
    split_may_fail: bool,
    /// Whether children may be forked.
    forks: bool,
    children: u32,
    /// Whether children are in a new PID namespace, and killed when its init process exits.
    namespace: bool,
    /// A pipe through which the kernel reads and writes memory of this process.
    pipe: Arc<(OwnedFd, OwnedFd)>,
}

impl Machine {
    pub fn new() -> Result<Self> {
        Ok(Self {
            files: [const { None }; FILES],
            pages: [UNMAPPED; PAGES],
            alone: true,
            split_may_fail: false,
            forks: true,
            children: 0,
            namespace: false,
            pipe: Arc::new(pipe()?),
        })
    }

    pub fn run(&mut self, ops: &[Op]) -> Result<()> {
        for (i, op) in ops.iter().enumerate() {
            if matches!(op, Op::Fork) && self.forks {
                self.fork(&ops[i + 1..])?;
            }
            self.step(op)
                .with_context(|| format!("call {i}, {op:x?}"))?;
        }
        if self.alone {
            // Check all pages at the end.
            (0..PAGES).try_for_each(|page| self.read(page))?;
        }
        // Wait for any child: the init process of a namespace exits after all others.
        while self.children > 0 {
            let status = wait()?;
            self.children -= 1;
            let killed = matches!(status, WaitStatus::Signaled(_, Signal::SIGKILL, _));
            ensure!(
                matches!(status, WaitStatus::Exited(_, 0)) || (killed && self.namespace),
                "child: {status:?}"
            );
        }
        Ok(())
    }

    /// Forks a child that executes the remaining calls as well.
    fn fork(&mut self, rest: &[Op]) -> Result<()> {
        for page in &mut self.pages {
            // Both processes may write to the page from now on.
            if matches!(page.content, Content::Value { shared: true, .. }) {
                page.content = Content::Any;
            }
        }
        // SAFETY: This process has one thread now.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                let mut child = self.clone();
                child.forks = false;
                child.children = 0;
                child.namespace = false;
                // The effects of madvise() on fork() are not tracked.
                child.pages = [UNKNOWN; PAGES];
                // The child must not share the pipe with the parent.
                let result = pipe().map_err(Into::into).and_then(|pipe| {
                    child.pipe = Arc::new(pipe);
                    child.run(rest)
                });
                rust_task::ktap::exit(result)
            }
            Ok(ForkResult::Parent { .. }) => self.children += 1,
            // The init process of the PID namespace has exited.
            Err(Errno::ENOMEM) => {}
            Err(err) => bail!("fork: {err}"),
        }
        Ok(())
    }

    /// Returns the result of `pick` for the first suitable file, starting at `file`. Otherwise,
    /// most calls would do nothing.
    fn pick<T>(&self, file: usize, pick: impl Fn(&OpenFile) -> Option<T>) -> Option<T> {
        let (before, from) = self.files.split_at(file);
        from.iter().chain(before).flatten().find_map(pick)
    }

    fn device(&self, file: usize) -> Option<Arc<Device>> {
        self.pick(file, |file| match file {
            OpenFile::Info(device) => Some(device.clone()),
            _ => None,
        })
    }

    fn tester(&self, file: usize) -> Option<Arc<Tester>> {
        self.pick(file, |file| match file {
            OpenFile::TestTask(tester) => Some(tester.clone()),
            _ => None,
        })
    }

    fn gup(&self, file: usize) -> Option<Arc<Gup>> {
        self.pick(file, |file| match file {
            OpenFile::Gup(gup) => Some(gup.clone()),
            _ => None,
        })
    }

    fn remote(&self, file: usize) -> Option<Arc<Remote>> {
        self.pick(file, |file| match file {
            OpenFile::Remote(remote) => Some(remote.clone()),
            _ => None,
        })
    }

    /// Returns a mirror, and whether the content of the pages that it mirrors is tracked.
    fn mirror(&self, file: usize) -> Option<(Arc<Mirror>, bool)> {
        self.pick(file, |file| match file {
            OpenFile::Hmm(mirror, of) => Some((mirror.clone(), self.alone && *of == getpid())),
            _ => None,
        })
    }

    fn mailbox(&self, file: usize) -> Option<Arc<Mailbox>> {
        self.pick(file, |file| match file {
            OpenFile::Mailbox(mailbox) => Some(mailbox.clone()),
            _ => None,
        })
    }

    fn buffer(&self, file: usize) -> Option<Arc<vma::Buffer>> {
        self.pick(file, |file| match file {
            OpenFile::Buffer(buffer) => Some(buffer.clone()),
            _ => None,
        })
    }

    fn test_vma(&self, file: usize) -> Option<Arc<vma::Tester>> {
        self.pick(file, |file| match file {
            OpenFile::TestVma(tester) => Some(tester.clone()),
            _ => None,
        })
    }

    fn step(&mut self, op: &Op) -> Result<()> {
        match *op {
            Op::Fork => {}
            Op::Open { file, driver } => self.files[file] = Some(OpenFile::of(driver)?),
            Op::Close { file } => self.files[file] = None,
            Op::GetInfo { file } => {
                if let Some(device) = self.device(file) {
                    Status::of_this_thread()?.agrees_with(&device.info()?)?;
                }
            }
            Op::GetVma { file, addr } => {
                if let Some(device) = self.device(file) {
                    self.get_vma(&device, addr)?;
                }
            }
            Op::Zap { file, addr, len } => {
                if let Some(device) = self.device(file) {
                    self.zap(&device, addr, len)?;
                }
            }
            Op::Refcounts { file, kind, rounds } => {
                if let Some(tester) = self.tester(file) {
                    let result = tester.refcounts(kind, rounds);
                    match kind {
                        test_abi::TASK..=test_abi::USER_NS => drop(result?),
                        _ => ensure!(result == Err(Errno::EINVAL), "{result:?}"),
                    }
                }
            }
            Op::Opener { file } => {
                if let Some(tester) = self.tester(file) {
                    tester.opener()?;
                }
            }
            Op::Worker { file } => {
                if let Some(tester) = self.tester(file) {
                    ensure!(tester.worker_has_mm()? == 0, "a kworker has an mm");
                }
            }
            Op::ThreadInfo { file, nr } => {
                if let Some(tester) = self.tester(file) {
                    self.thread_info(&tester, nr)?;
                }
            }
            Op::Population { file } => {
                if let Some(tester) = self.tester(file) {
                    let all = tester.population()?;
                    // This process is counted, too.
                    ensure!((1..=all.threads).contains(&all.processes), "{all:?}");
                }
            }
            Op::Signal {
                file,
                signal,
                privileged,
                to_thread,
            } => {
                if let Some(tester) = self.tester(file) {
                    let answer = tester.signal(&mut test_abi::Kill {
                        signal,
                        privileged: privileged.into(),
                        target: to_thread.into(),
                        ..Default::default()
                    });
                    // For a thread group, signal 0 only checks permissions.
                    let is_signal = (i32::from(to_thread)..=64).contains(&signal);
                    ensure!(
                        match answer {
                            Ok(()) => is_signal,
                            Err(Errno::EINVAL) => !is_signal,
                            // The opener may have exited, or belong to another user.
                            Err(Errno::ESRCH | Errno::EPERM) => true,
                            Err(_) => false,
                        },
                        "{answer:?}"
                    );
                }
            }
            Op::UseMm { file, page, rounds } => {
                if let Some(tester) = self.tester(file) {
                    self.use_mm(&tester, page, rounds)?;
                }
            }
            Op::Spawn { file, rounds } => {
                if let Some(tester) = self.tester(file) {
                    let all = tester.spawn(rounds)?;
                    ensure!(all.dropped == rounds && all.wrong == 0, "{all:?}");
                }
            }
            Op::TaskWork {
                file,
                rounds,
                again,
            } => {
                if let Some(tester) = self.tester(file) {
                    let left = tester.task_work(rounds, again)?;
                    let now = tester.task_work(0, 0)?;
                    let expected = left.done + rounds * (again + 1);
                    // Other processes may use the same file.
                    ensure!(
                        left.wrong == 0 && now.wrong == 0 && now.done >= expected,
                        "{left:?}, then {now:?}"
                    );
                }
            }
            Op::Insert { file, addr } => {
                if let Some(buffer) = self.buffer(file) {
                    self.check_vma_call(addr, buffer.insert(addr))?;
                }
            }
            Op::Revoke { file } => {
                if let Some(buffer) = self.buffer(file) {
                    buffer.revoke()?;
                }
            }
            Op::Transfer {
                file,
                write,
                addr,
                len,
                at,
            } => {
                if let Some(OpenFile::Memory(file)) = &self.files[file] {
                    let result = transfer(file, write, addr, len, at);
                    let errors = [Errno::EFAULT, Errno::EINVAL, Errno::ENOSPC];
                    match result {
                        Ok(done) => ensure!(done <= len, "{done} bytes"),
                        Err(err) => ensure!(errors.contains(&err), "{err}"),
                    }
                }
            }
            Op::Poll { file } => {
                if let Some(OpenFile::Memory(file)) = &self.files[file] {
                    let mut files = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                    ensure!(poll(&mut files, PollTimeout::ZERO)? == 1);
                    ensure!(files[0].revents() == Some(PollFlags::POLLOUT));
                }
            }
            Op::Pin { file, range, flags } => {
                if let Some(gup) = self.gup(file) {
                    let result = gup.pin(range.addr(), range.len(), flags);
                    let errors = [
                        Errno::EFAULT,
                        // Something is pinned.
                        Errno::EINVAL,
                        // RLIMIT_MEMLOCK in a user namespace.
                        Errno::ENOMEM,
                        // A PFN mapping.
                        Errno::EEXIST,
                    ];
                    if let Err(err) = result {
                        ensure!(errors.contains(&err), "{err}");
                    }
                }
            }
            Op::Unpin { file, atomic } => {
                if let Some(gup) = self.gup(file) {
                    match atomic {
                        true => gup.unpin_atomic()?,
                        false => gup.unpin()?,
                    }
                }
            }
            Op::CopyPinned { file } => {
                if let Some(gup) = self.gup(file) {
                    let result = gup.read(&mut [0; PAGES * PAGE]);
                    let is_right = matches!(result, Ok(()) | Err(Errno::EINVAL));
                    ensure!(is_right, "{result:?}");
                }
            }
            Op::RemoteRead { file, page } => {
                if let Some(remote) = self.remote(file) {
                    let mut bytes = [0; 8];
                    let pidfd = pidfd_open(Pid::this())?;
                    let found =
                        match remote.read(pidfd.as_raw_fd(), ARENA + page * PAGE, &mut bytes) {
                            (Ok(()), 8) => Some(u64::from_ne_bytes(bytes)),
                            (Err(Errno::EFAULT), 0) => None,
                            other => bail!("{other:?}"),
                        };
                    self.check(page, found)?;
                }
            }
            Op::RemoteWrite { file, page, value } => {
                if let Some(remote) = self.remote(file) {
                    let addr = self.value_addr(page) as usize;
                    let pidfd = pidfd_open(Pid::this())?;
                    match remote.write(pidfd.as_raw_fd(), addr, &value.to_ne_bytes()) {
                        (Ok(()), 8) => self.written(page, value),
                        (Err(Errno::EFAULT), 0) => {}
                        other => bail!("{other:?}"),
                    }
                }
            }
            Op::RemoteAny {
                file,
                string,
                addr,
                len,
            } => {
                if let Some(remote) = self.remote(file) {
                    let mut out = vec![0; len];
                    let pidfd = pidfd_open(Pid::this())?;
                    let (result, copied) = match string {
                        true => remote.string(pidfd.as_raw_fd(), addr as usize, &mut out),
                        false => remote.read(pidfd.as_raw_fd(), addr as usize, &mut out),
                    };
                    let is_right = match result {
                        Ok(()) => copied <= len && (string || copied == len),
                        Err(Errno::EFAULT) => copied < len,
                        Err(Errno::EINVAL) => string && len == 0,
                        Err(_) => false,
                    };
                    ensure!(is_right, "{result:?}, {copied}");
                }
            }
            Op::MirrorRead { file, page } => {
                if let Some((mirror, is_tracked)) = self.mirror(file) {
                    let found = match mirror.read(ARENA + page * PAGE, 1) {
                        Ok(bytes) => bytes.first_chunk().copied().map(u64::from_ne_bytes),
                        Err(err) => no_page(err)?,
                    };
                    if is_tracked {
                        self.check(page, found)?;
                    }
                }
            }
            Op::MirrorWrite { file, page, byte } => {
                if let Some((mirror, true)) = self.mirror(file) {
                    // Other processes check the pages of drivers.
                    if matches!(self.pages[page].content, Content::Value { .. }) {
                        match mirror.write(ARENA + page * PAGE, 1, byte) {
                            Ok(()) => self.written(page, u64::from_ne_bytes([byte; 8])),
                            Err(Errno::EPERM) => {}
                            Err(err) => drop(no_page(err)?),
                        }
                    }
                }
            }
            Op::MirrorAny {
                file,
                table,
                addr,
                pages,
            } => {
                if let Some((mirror, _)) = self.mirror(file) {
                    let result = match table {
                        true => mirror.table(addr as usize, pages).map(drop),
                        false => mirror.snapshot(addr as usize, pages).map(drop),
                    };
                    if let Err(err) = result {
                        no_page(err)?;
                    }
                }
            }
            Op::MirrorStop { file } => {
                if let Some((mirror, _)) = self.mirror(file) {
                    match mirror.stop_atomic() {
                        // It has been stopped before.
                        Ok(()) | Err(Errno::EINVAL) => {}
                        Err(err) => bail!("{err}"),
                    }
                }
            }
            Op::Bind { file, port } => {
                if let Some(mailbox) = self.mailbox(file) {
                    let errors = [
                        // There is no window.
                        Errno::ENXIO,
                        // It is that of another process.
                        Errno::EPERM,
                        Errno::EBUSY,
                        // Another mailbox of this process has the port.
                        Errno::EEXIST,
                    ];
                    expect(mailbox.bind(port), &errors)?;
                }
            }
            Op::Send {
                file,
                port,
                addr,
                len,
            } => {
                if let Some(mailbox) = self.mailbox(file) {
                    let sent = mailbox.send_raw(mailbox::abi::Send {
                        addr,
                        len,
                        port,
                        to: getpid().as_raw() as u64,
                        flags: 0,
                    });
                    expect(sent, SEND_ERRORS)?;
                }
            }
            Op::Take { file } => {
                if let Some(mailbox) = self.mailbox(file) {
                    let errors = [Errno::EAGAIN, Errno::ENXIO, Errno::EPERM];
                    if let Some(message) = expect(mailbox.receive(0), &errors)? {
                        let end = message.offset.checked_add(message.len);
                        let window = (mailbox::abi::MAX_PAGES * PAGE) as u64;
                        ensure!(
                            message.offset % PAGE as u64 == 0 && end.is_some_and(|n| n <= window),
                            "{message:?}"
                        );
                        // Another thread may have unmapped the window or released the message.
                        let errors = [Errno::ENXIO, Errno::EINVAL];
                        let released = expect(mailbox.release(message.id), &errors)?;
                        ensure!(released.is_some() || !self.alone, "it was not released");
                    }
                }
            }
            Op::ListVmas { file } => {
                if let Some(buffer) = self.buffer(file) {
                    let vmas = buffer.vmas()?;
                    let sorted = vmas.windows(2).all(|pair| pair[0].end <= pair[1].start);
                    ensure!(sorted, "{vmas:x?}");
                }
            }
            Op::Kind { file, addr } => {
                if let Some(tester) = self.test_vma(file) {
                    let answer = tester.kind(addr);
                    ensure!(
                        match answer {
                            // The content of such a VMA is not tracked.
                            Ok(_) => !self.alone || self.content_at(addr) == Content::Any,
                            Err(err) => err == Errno::ENOENT,
                        },
                        "{answer:?}"
                    );
                }
            }
            Op::Raw { file, command, arg } => {
                if let Some(file) = &self.files[file] {
                    // The command may succeed, and the argument is any address.
                    let result = ioctl::call(file.raw(), command, arg as usize);
                    let errors = [
                        Errno::ENOTTY,
                        Errno::EFAULT,
                        Errno::EINVAL,
                        Errno::ENOENT,
                        Errno::ESRCH,
                        Errno::EPERM,
                        Errno::EBUSY,
                    ];
                    let of_mailbox = [
                        Errno::EAGAIN,
                        Errno::EBADF,
                        Errno::ECONNREFUSED,
                        Errno::EDQUOT,
                        Errno::EEXIST,
                        Errno::ENXIO,
                        Errno::EPIPE,
                    ];
                    match file {
                        OpenFile::Mailbox(_) => {
                            expect(result, &[&errors[..], &of_mailbox].concat())?
                        }
                        _ => expect(result, &errors)?,
                    };
                    if matches!(result, Ok(_) | Err(Errno::EFAULT)) {
                        // The command may have zapped pages, or written to pages of a device.
                        self.pages = [UNKNOWN; PAGES];
                        self.files = [const { None }; FILES];
                    }
                }
            }
            Op::MapFile {
                file,
                range,
                offset,
                write,
                shared,
            } => self.map_file(file, range, offset, write, shared)?,
            Op::MapMemory {
                range,
                write,
                shared,
            } => {
                let kind = if shared {
                    libc::MAP_SHARED
                } else {
                    libc::MAP_PRIVATE
                };
                let mapped = map(range, write, kind | libc::MAP_ANONYMOUS, -1, 0);
                self.record(range, mapped, |_| Content::Value { value: 0, shared });
                if mapped.is_ok() && write {
                    // A wrong zap would not be noticed in zeroed pages.
                    for page in range.indices() {
                        self.write(page, page as u64 + 1)?;
                    }
                }
            }
            Op::Unmap { range } => {
                // SAFETY: No Rust reference points to the arena.
                let result = unsafe { libc::munmap(range.addr() as _, range.len()) };
                self.record(range, Errno::result(result), |_| Content::Unmapped);
            }
            Op::Protect { range, prot } => {
                // SAFETY: No Rust reference points to the arena.
                let result = unsafe { libc::mprotect(range.addr() as _, range.len(), prot) };
                let readable = Errno::result(result).is_ok() && prot != libc::PROT_NONE;
                self.pages[range.indices()]
                    .iter_mut()
                    .for_each(|page| page.readable = readable);
            }
            Op::Move { range, pages, to } => self.relocate(range, pages, to),
            Op::Advise { range, advice } => {
                // SAFETY: No Rust reference points to the arena.
                unsafe { libc::madvise(range.addr() as _, range.len(), advice) };
                if [libc::MADV_DONTNEED, libc::MADV_FREE, libc::MADV_REMOVE].contains(&advice) {
                    // The effects of madvise() are not tracked.
                    self.pages[range.indices()].fill(UNKNOWN);
                }
            }
            Op::Read { page } => self.read(page)?,
            Op::Write { page, value } => self.write(page, value)?,
            Op::Unshare { flags } => {
                // The call may fail, for example in a process with several threads.
                // SAFETY: `unshare()` has no safety requirements.
                let result = unsafe { libc::unshare(flags) };
                self.namespace |= result == 0 && flags & libc::CLONE_NEWPID != 0;
            }
            Op::Together(ref one, ref other) => self.together(one, other)?,
        }
        Ok(())
    }

    /// Records the content of pages after a call, depending on its result.
    fn record<T>(
        &mut self,
        range: Pages,
        result: Result<T, Errno>,
        content: impl Fn(usize) -> Content,
    ) {
        for (i, page) in self.pages[range.indices()].iter_mut().enumerate() {
            // The call may have had a partial effect.
            *page = match result {
                Err(_) => UNKNOWN,
                Ok(_) => Page {
                    content: content(i),
                    readable: true,
                },
            };
        }
    }

    /// Returns the content of the page at an address.
    fn content_at(&self, addr: u64) -> Content {
        let page = (addr as usize).checked_sub(ARENA).map(|at| at / PAGE);
        // The last VMA may have been expanded beyond the arena.
        page.and_then(|page| self.pages.get(page))
            .map_or(Content::Any, |page| page.content)
    }

    /// Checks the result of a call that needs a VMA of a buffer. Which buffer is mapped is not
    /// tracked, but whether the VMA may be one of a buffer is.
    fn check_vma_call(&self, addr: u64, answer: Result<(), Errno>) -> Result<()> {
        let content = self.content_at(addr);
        let correct = match answer {
            Ok(()) | Err(Errno::EBUSY | Errno::EPERM) => {
                !self.alone || matches!(content, Content::Any | Content::Buffer(_))
            }
            Err(err) => err == Errno::EINVAL,
        };
        ensure!(correct, "{answer:?} for {content:x?}");
        Ok(())
    }

    /// Checks the information about the thread with PID `nr`, if there is one.
    fn thread_info(&self, tester: &Tester, nr: i32) -> Result<()> {
        let info = match tester.thread_info(nr) {
            // There is no such thread, or it has been reaped during the call.
            Err(Errno::ESRCH) => return Ok(()),
            info => info?,
        };
        ensure!(
            info.in_init > 0 && info.in_own > 0 && info.tgid >= 0,
            "{info:?}"
        );
        ensure!(
            info.is_below == 1,
            "it has a PID in a namespace that is not an ancestor of its own: {info:?}"
        );
        Ok(())
    }

    /// Has a kthread add to a value in a page, and records the result.
    fn use_mm(&mut self, tester: &Tester, page: usize, rounds: u32) -> Result<()> {
        let added = tester.use_mm(self.value_addr(page), rounds)?;
        ensure!(added.wrong == 0 && added.done <= rounds, "{added:?}");
        if let Content::Value { value, .. } = &mut self.pages[page].content {
            *value = value.wrapping_add(added.done.into());
        }
        Ok(())
    }

    /// Returns the address of a value in a page that may be written.
    fn value_addr(&self, page: usize) -> u64 {
        // The first `u64` of a page of a device has a fixed value.
        let memory = matches!(self.pages[page].content, Content::Value { .. });
        (ARENA + page * PAGE + if memory { 0 } else { 8 }) as u64
    }

    fn map_file(
        &mut self,
        file: usize,
        range: Pages,
        offset: usize,
        write: bool,
        shared: bool,
    ) -> Result<()> {
        let Some(file) = self.files[file].clone() else {
            return Ok(());
        };
        let kind = if shared {
            libc::MAP_SHARED
        } else {
            libc::MAP_PRIVATE
        };
        let first = match file {
            OpenFile::TestVma(_) | OpenFile::Prepare(_) => {
                match offset as u64 * vma::test_abi::HOOK_FAILS {
                    // 6.12 warns about zaps of it: see
                    // Documentation/rust/task-mm/soundness/vma-ref.rst.
                    vma::test_abi::MAP_PFN => vma::test_abi::PLAIN as usize,
                    kind => kind as usize,
                }
            }
            _ => offset % 3,
        };
        let mapped = map(range, write, kind, file.raw().as_raw_fd(), first);
        let allowed = match file {
            OpenFile::Info(_) => first + range.count <= abi::PAGES && (shared || !write),
            OpenFile::TestTask(_) | OpenFile::Remote(_) => false,
            OpenFile::Gup(_) | OpenFile::Hmm(..) => true,
            OpenFile::Memory(_) => first == 0 && range.count == 1 && !write,
            // A file has one window in its life.
            OpenFile::Mailbox(_) => first == 0 && !write && mapped.is_ok(),
            OpenFile::Buffer(_) => first + range.count <= vma::abi::PAGES,
            OpenFile::TestVma(_) => match first as u64 {
                vma::test_abi::HOOK_FAILS
                | vma::test_abi::SET_OPS_TWICE
                | vma::test_abi::CONFLICT => false,
                // A private mapping may be refused.
                vma::test_abi::FAULT_PFN => shared || mapped.is_ok(),
                _ => true,
            },
            OpenFile::Prepare(_) => match first as u64 {
                vma::test_abi::HOOK_FAILS
                | vma::test_abi::SET_OPS_TWICE
                | vma::test_abi::CONFLICT => false,
                vma::test_abi::FAULT_PFN => shared || mapped.is_ok(),
                vma::test_abi::CHANGE_FLAGS => !write,
                vma::test_abi::MAP_PAGES => range.count >= 2,
                _ => true,
            },
        };
        // Another thread may have mapped such a VMA.
        let may_fail = self.split_may_fail || !self.alone;
        ensure!(
            mapped.is_ok() == allowed || (may_fail && mapped == Err(Errno::EINVAL)),
            "{mapped:?}, but the mapping is {}allowed",
            if allowed { "" } else { "not " }
        );
        self.split_may_fail |= matches!(file, OpenFile::TestVma(_) | OpenFile::Mailbox(_));
        self.record(range, mapped, |i| match file {
            OpenFile::Info(_) => Content::Device(first + i),
            OpenFile::Buffer(_) => Content::Buffer(first + i),
            _ => Content::Any,
        });
        Ok(())
    }

    fn relocate(&mut self, range: Pages, count: usize, to: Option<usize>) {
        let to = to.map(|first| Pages {
            first,
            count: count.min(PAGES - first),
        });
        let new = to.unwrap_or(Pages { count, ..range });
        let flags = match to {
            Some(_) => libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED,
            None => 0,
        };
        // SAFETY: No Rust reference points to the arena. Without `to`, an existing range is
        // resized, and nothing is mapped after the arena.
        let result = unsafe {
            libc::mremap(
                range.addr() as _,
                range.len(),
                new.len(),
                flags,
                new.addr() as *mut libc::c_void,
            )
        };
        if result == libc::MAP_FAILED {
            // The call may have had a partial effect.
            self.pages[range.indices()].fill(UNKNOWN);
            if let Some(to) = to {
                self.pages[to.indices()].fill(UNKNOWN);
            }
            return;
        }
        let old: Vec<_> = self.pages[range.indices()].to_vec();
        self.pages[range.indices()].fill(UNMAPPED);
        for i in 0..new.count {
            // Holes are not moved (7.3), and the content of new pages is unknown.
            let moved = old.get(i).filter(|page| page.content != Content::Unmapped);
            if let Some(page) = self.pages.get_mut(new.first + i) {
                *page = moved.copied().unwrap_or(UNKNOWN);
            }
        }
    }

    fn get_vma(&self, device: &Device, addr: u64) -> Result<()> {
        let answer = device.vma(addr);
        if !self.alone {
            let correct = matches!(answer, Ok(_) | Err(Errno::ENOENT));
            ensure!(correct, "{answer:?}");
            return Ok(());
        }
        match (answer, MapsEntry::at(addr)?) {
            (Ok(vma), Some(expected)) => {
                ensure!(
                    expected.agrees_with(&vma),
                    "{vma:x?} instead of {expected:x?}"
                )
            }
            (Err(Errno::ENOENT), None) => {}
            (answer, expected) => bail!("{answer:x?} instead of {expected:x?}"),
        }
        Ok(())
    }

    /// A zap by `/dev/rust_task_info`, which only zaps its own VMAs.
    fn zap(&mut self, device: &Device, addr: u64, len: u64) -> Result<()> {
        let expected = if self.alone {
            let whole = (addr | len) % PAGE as u64 == 0 && len != 0;
            let end = addr.checked_add(len).filter(|_| whole);
            match MapsEntry::at(addr)? {
                None => Err(Errno::ENOENT),
                Some(vma) if vma.of_task_info && end.is_some_and(|end| end <= vma.end) => Ok(()),
                Some(_) => Err(Errno::EINVAL),
            }
        } else {
            Ok(())
        };
        let answer = device.zap(addr, len);
        if self.alone {
            ensure!(answer == expected, "{answer:?} instead of {expected:?}");
            if answer.is_ok() {
                self.record_zap(addr, len);
            }
        }
        Ok(())
    }

    /// Records that pages have been zapped.
    fn record_zap(&mut self, addr: u64, len: u64) {
        let first = (addr as usize - ARENA) / PAGE;
        // The last VMA may have been expanded beyond the arena.
        for page in self.pages.iter_mut().skip(first).take(len as usize / PAGE) {
            page.content = match page.content {
                Content::Device(_) => Content::Unmapped,
                Content::Value { shared: false, .. } => Content::Value {
                    value: 0,
                    shared: false,
                },
                other => other,
            };
        }
    }

    /// Has the kernel read the first `u64` of a page, and checks the result.
    fn read(&self, page: usize) -> Result<()> {
        let (from, into) = &*self.pipe;
        let addr = ARENA + page * PAGE;
        // SAFETY: The kernel reads from the page, and returns an error if that faults.
        let written = unsafe { libc::write(into.as_raw_fd(), addr as _, 8) };
        let found = match Errno::result(written) {
            Ok(_) => {
                let mut bytes = [0; 8];
                nix::unistd::read(from.as_raw_fd(), &mut bytes)?;
                Some(u64::from_ne_bytes(bytes))
            }
            Err(Errno::EFAULT) => None,
            Err(err) => bail!("page {page}: {err}"),
        };
        self.check(page, found)
    }

    /// Checks the first `u64` of a page, which is `None` if it could not be read.
    fn check(&self, page: usize, found: Option<u64>) -> Result<()> {
        if !self.alone {
            return Ok(());
        }
        let Page { content, readable } = self.pages[page];
        let correct = match (content, found) {
            (Content::Any, _) | (Content::Unmapped, None) => true,
            (Content::Unmapped, Some(_)) => false,
            (_, None) => !readable,
            (Content::Value { value, .. }, Some(found)) => found == value,
            (Content::Device(i), Some(found)) => found == abi::PAGE_MAGIC + i as u64,
            (Content::Buffer(i), Some(found)) => found == vma::abi::PAGE_MAGIC + i as u64,
        };
        ensure!(
            correct,
            "page {page} has {found:x?} instead of {content:x?}"
        );
        Ok(())
    }

    /// Has the kernel write a `u64` to a page, and records the result.
    fn write(&mut self, page: usize, value: u64) -> Result<()> {
        let (from, into) = &*self.pipe;
        let addr = self.value_addr(page);
        nix::unistd::write(into, &value.to_ne_bytes())?;
        // SAFETY: The kernel writes to the page, and returns an error if that faults. No Rust
        // reference points to the arena.
        let read = unsafe { libc::read(from.as_raw_fd(), addr as _, 8) };
        match Errno::result(read) {
            Ok(_) => self.written(page, value),
            // The value is still in the pipe.
            Err(Errno::EFAULT) => drop(nix::unistd::read(from.as_raw_fd(), &mut [0; 8])?),
            Err(err) => bail!("page {page}: {err}"),
        }
        Ok(())
    }

    /// Records that a value has been written to a page.
    fn written(&mut self, page: usize, value: u64) {
        if let Content::Value { value: old, .. } = &mut self.pages[page].content {
            *old = value;
        }
    }

    /// Executes two lists of calls concurrently. The content of the pages is unknown afterwards.
    fn together(&mut self, one: &[Op], other: &[Op]) -> Result<()> {
        let mut a = self.clone();
        a.alone = false;
        a.pages = [UNKNOWN; PAGES];
        let mut b = a.clone();
        for machine in [&mut a, &mut b] {
            machine.pipe = Arc::new(pipe()?);
        }
        let run = |machine: &mut Self, ops: &[Op]| ops.iter().try_for_each(|op| machine.step(op));
        thread::scope(|scope| {
            // After unshare(CLONE_NEWPID), no thread can be created.
            let second = thread::Builder::new().spawn_scoped(scope, || run(&mut b, other));
            let first = run(&mut a, one);
            match second.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(second)) => first.and(second),
                Ok(Err(_)) => bail!("a thread panicked"),
                Err(_) => first,
            }
        })?;
        self.split_may_fail |= a.split_may_fail || b.split_may_fail;
        self.files = a.files;
        self.pages = [UNKNOWN; PAGES];
        Ok(())
    }
}

/// Checks that an error is one of `errors`. Returns the value if there is one.
fn expect<T>(result: Result<T, Errno>, errors: &[Errno]) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(err) => {
            ensure!(errors.contains(&err), "{err}");
            Ok(None)
        }
    }
}

/// Checks that an error of a mirror is one that a page that cannot be accessed may cause.
fn no_page(err: Errno) -> Result<Option<u64>> {
    let errors = [
        Errno::EFAULT,
        // A part is not in the range of the notifier, or the mirror has been stopped.
        Errno::EINVAL,
        // The process has exited.
        Errno::ESRCH,
        // Another thread changed the mappings all the time.
        Errno::EBUSY,
        Errno::ETIMEDOUT,
    ];
    ensure!(errors.contains(&err), "{err}");
    Ok(None)
}

/// Reads a file to memory of this program, or writes it from any address.
fn transfer(file: &File, write: bool, addr: u64, len: usize, at: i64) -> Result<usize, Errno> {
    if !write {
        return pread(file, &mut vec![0; len], at);
    }
    // SAFETY: The kernel reads from the address, and returns an error if that faults.
    let done = unsafe { libc::pwrite(file.as_raw_fd(), addr as *const _, len, at) };
    Errno::result(done).map(|done| done as usize)
}

/// Maps pages of the arena, and replaces existing mappings.
fn map(range: Pages, write: bool, flags: i32, file: i32, offset: usize) -> Result<(), Errno> {
    let prot = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    // SAFETY: No Rust reference points to the arena.
    let at = unsafe {
        libc::mmap(
            range.addr() as _,
            range.len(),
            prot,
            flags | libc::MAP_FIXED,
            file,
            (offset * PAGE) as _,
        )
    };
    match at {
        libc::MAP_FAILED => Err(Errno::last()),
        _ => Ok(()),
    }
}
