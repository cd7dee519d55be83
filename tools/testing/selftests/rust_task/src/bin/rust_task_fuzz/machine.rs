// SPDX-License-Identifier: GPL-2.0

//! Makes the calls of a case, and knows what should come of them.

use crate::case::{Driver, Op, Pages, ARENA, FILES, PAGE, PAGES};
use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{wait, WaitStatus},
    },
    unistd::{fork, pipe, ForkResult},
};
use rust_task::{
    device::{abi, test_abi, Device, Tester},
    ioctl,
    procfs::{flags_of, Area, Status},
    vma,
};
use std::{
    fs::File,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
    thread,
};

/// What a page holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Content {
    /// Not known.
    Any,
    /// Nothing: whoever looks gets `EFAULT`.
    Nothing,
    /// A number, in memory of its own, or in memory that outlives a zap.
    Number { value: u64, shared: bool },
    /// A page of the device.
    Device(usize),
    /// A page of a buffer, or a copy of it.
    Buffer(usize),
}

#[derive(Clone, Copy, Debug)]
struct Page {
    content: Content,
    /// Whether it may surely be read, if there is something.
    readable: bool,
}

const NOTHING: Page = Page {
    content: Content::Nothing,
    readable: true,
};
const UNKNOWN: Page = Page {
    content: Content::Any,
    readable: false,
};

#[derive(Clone)]
enum OpenFile {
    Info(Arc<Device>),
    Test(Arc<Tester>),
    Buffer(Arc<vma::Buffer>),
    Pieces(Arc<vma::Tester>),
    Prepared(Arc<vma::Prepared>),
}

impl OpenFile {
    fn of(driver: Driver) -> std::io::Result<Self> {
        Ok(match driver {
            Driver::Info => Self::Info(Arc::new(Device::open()?)),
            Driver::Test => Self::Test(Arc::new(Tester::open()?)),
            Driver::Buffer => Self::Buffer(Arc::new(vma::Buffer::open()?)),
            Driver::Pieces => Self::Pieces(Arc::new(vma::Tester::open()?)),
            Driver::Prepared => Self::Prepared(Arc::new(vma::Prepared::open()?)),
        })
    }

    fn raw(&self) -> &File {
        match self {
            Self::Info(device) => device.file(),
            Self::Test(tester) => tester.file(),
            Self::Buffer(buffer) => buffer.file(),
            Self::Pieces(tester) => tester.file(),
            Self::Prepared(prepared) => prepared.file(),
        }
    }
}

/// What a process or thread has.
#[derive(Clone)]
pub struct Machine {
    files: [Option<OpenFile>; FILES],
    pages: [Page; PAGES],
    /// Whether no other thread changes anything.
    alone: bool,
    /// Whether there may be an area that refuses to be split, and so to be replaced.
    stubborn: bool,
    /// Whether it may have children that do the rest.
    forks: bool,
    children: u32,
    /// Whether they are in a namespace of their own, and killed when the first of them ends.
    namespace: bool,
    /// A way to have the kernel read and write memory for us.
    pipe: Arc<(OwnedFd, OwnedFd)>,
}

impl Machine {
    pub fn new() -> Result<Self> {
        Ok(Self {
            files: [const { None }; FILES],
            pages: [NOTHING; PAGES],
            alone: true,
            stubborn: false,
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
            // Whatever was done, all that is left is as it should be.
            (0..PAGES).try_for_each(|page| self.read(page))?;
        }
        // Any of them: the first process of a namespace ends only after all others of it.
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

    /// Has a child do the rest as well.
    fn fork(&mut self, rest: &[Op]) -> Result<()> {
        for page in &mut self.pages {
            // Both write to it from now on.
            if matches!(page.content, Content::Number { shared: true, .. }) {
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
                // What madvise() has said of forks is not remembered here.
                child.pages = [UNKNOWN; PAGES];
                // The other end of the pipe is shared, and what is in it.
                let result = pipe().map_err(Into::into).and_then(|pipe| {
                    child.pipe = Arc::new(pipe);
                    child.run(rest)
                });
                rust_task::ktap::exit(result)
            }
            Ok(ForkResult::Parent { .. }) => self.children += 1,
            // The first process of its namespace has died.
            Err(Errno::ENOMEM) => {}
            Err(err) => bail!("fork: {err}"),
        }
        Ok(())
    }

    /// Returns the first file from `file` on that `pick` knows something to do with, or else few
    /// calls would do anything.
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
            OpenFile::Test(tester) => Some(tester.clone()),
            _ => None,
        })
    }

    fn buffer(&self, file: usize) -> Option<Arc<vma::Buffer>> {
        self.pick(file, |file| match file {
            OpenFile::Buffer(buffer) => Some(buffer.clone()),
            _ => None,
        })
    }

    fn pieces(&self, file: usize) -> Option<Arc<vma::Tester>> {
        self.pick(file, |file| match file {
            OpenFile::Pieces(tester) => Some(tester.clone()),
            _ => None,
        })
    }

    fn step(&mut self, op: &Op) -> Result<()> {
        match *op {
            Op::Fork => {}
            Op::Open { file, driver } => self.files[file] = Some(OpenFile::of(driver)?),
            Op::Close { file } => self.files[file] = None,
            Op::Facts { file } => {
                if let Some(device) = self.device(file) {
                    Status::of_this_thread()?.agrees_with(&device.info()?)?;
                }
            }
            Op::Area { file, addr } => {
                if let Some(device) = self.device(file) {
                    self.area(&device, addr)?;
                }
            }
            Op::Zap { file, addr, len } => {
                if let Some(device) = self.device(file) {
                    self.zap(&device, addr, len)?;
                }
            }
            Op::ZapAny {
                file,
                area,
                addr,
                len,
            } => {
                if let Some(tester) = self.tester(file) {
                    self.zap_any(&tester, area, addr, len)?;
                }
            }
            Op::Count { file, kind, rounds } => {
                if let Some(tester) = self.tester(file) {
                    let result = tester.counts(kind, rounds);
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
                    ensure!(
                        tester.worker_has_mm()? == 0,
                        "a worker has an address space"
                    );
                }
            }
            Op::Relatives { file, number } => {
                if let Some(tester) = self.tester(file) {
                    self.relatives(&tester, number)?;
                }
            }
            Op::Population { file } => {
                if let Some(tester) = self.tester(file) {
                    let all = tester.population()?;
                    // This one is among them.
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
                        to_thread: to_thread.into(),
                        ..Default::default()
                    });
                    // To a process, 0 is a question.
                    let is_signal = (i32::from(to_thread)..=64).contains(&signal);
                    ensure!(
                        match answer {
                            Ok(()) => is_signal,
                            Err(Errno::EINVAL) => !is_signal,
                            // Whoever has opened it may be gone, or may be somebody else's.
                            Err(Errno::ESRCH | Errno::EPERM) => true,
                            Err(_) => false,
                        },
                        "{answer:?}"
                    );
                }
            }
            Op::Borrow { file, page, rounds } => {
                if let Some(tester) = self.tester(file) {
                    self.borrow(&tester, page, rounds)?;
                }
            }
            Op::Spawn { file, rounds } => {
                if let Some(tester) = self.tester(file) {
                    let all = tester.spawn(rounds)?;
                    ensure!(all.dropped == rounds && all.wrong == 0, "{all:?}");
                }
            }
            Op::Later {
                file,
                rounds,
                again,
            } => {
                if let Some(tester) = self.tester(file) {
                    let left = tester.later(rounds, again)?;
                    let now = tester.later(0, 0)?;
                    let expected = left.done + rounds * (again + 1);
                    // Others may have the file as well.
                    ensure!(
                        left.wrong == 0 && now.wrong == 0 && now.done >= expected,
                        "{left:?}, then {now:?}"
                    );
                }
            }
            Op::Insert { file, addr } => {
                if let Some(buffer) = self.buffer(file) {
                    self.asked_of_area(addr, buffer.insert(addr))?;
                }
            }
            Op::Revoke { file, addr } => {
                if let Some(buffer) = self.buffer(file) {
                    self.asked_of_area(addr, buffer.revoke(addr))?;
                }
            }
            Op::Areas { file } => {
                if let Some(buffer) = self.buffer(file) {
                    let areas = buffer.areas()?;
                    let sorted = areas.windows(2).all(|pair| pair[0].end <= pair[1].start);
                    ensure!(sorted, "{areas:x?}");
                }
            }
            Op::What { file, addr } => {
                if let Some(tester) = self.pieces(file) {
                    let answer = tester.what(addr);
                    ensure!(
                        match answer {
                            // What its pages hold is never known.
                            Ok(_) => !self.alone || self.content_at(addr) == Content::Any,
                            Err(err) => err == Errno::ENOENT,
                        },
                        "{answer:?}"
                    );
                }
            }
            Op::Raw { file, command, arg } => {
                if let Some(file) = &self.files[file] {
                    // It may do whatever the command says, with an argument that is anywhere.
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
                    if let Err(err) = result {
                        ensure!(errors.contains(&err), "{err}");
                    }
                    if matches!(result, Ok(_) | Err(Errno::EFAULT)) {
                        // It may have zapped pages, and written to those of a device, too.
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
                self.now_has(range, mapped, |_| Content::Number { value: 0, shared });
                if mapped.is_ok() && write {
                    // A wrong zap does not show where there is zero already.
                    for page in range.indices() {
                        self.write(page, page as u64 + 1)?;
                    }
                }
            }
            Op::Unmap { range } => {
                // SAFETY: The arena is nobody's.
                let result = unsafe { libc::munmap(range.addr() as _, range.len()) };
                self.now_has(range, Errno::result(result), |_| Content::Nothing);
            }
            Op::Protect { range, rights } => {
                // SAFETY: As above.
                let result = unsafe { libc::mprotect(range.addr() as _, range.len(), rights) };
                let readable = Errno::result(result).is_ok() && rights != libc::PROT_NONE;
                self.pages[range.indices()]
                    .iter_mut()
                    .for_each(|page| page.readable = readable);
            }
            Op::Move { range, pages, to } => self.relocate(range, pages, to),
            Op::Advise { range, advice } => {
                // SAFETY: As above.
                unsafe { libc::madvise(range.addr() as _, range.len(), advice) };
                if [libc::MADV_DONTNEED, libc::MADV_FREE, libc::MADV_REMOVE].contains(&advice) {
                    // It is enough that the zaps are known.
                    self.pages[range.indices()].fill(UNKNOWN);
                }
            }
            Op::Read { page } => self.read(page)?,
            Op::Write { page, value } => self.write(page, value)?,
            Op::Unshare { flags } => {
                // It may be forbidden, such as to a process with threads.
                // SAFETY: Nothing here relies on what is shared.
                let result = unsafe { libc::unshare(flags) };
                self.namespace |= result == 0 && flags & libc::CLONE_NEWPID != 0;
            }
            Op::Together(ref one, ref other) => self.together(one, other)?,
        }
        Ok(())
    }

    /// Notes what pages hold after a call that has succeeded, or not.
    fn now_has<T>(
        &mut self,
        range: Pages,
        result: Result<T, Errno>,
        content: impl Fn(usize) -> Content,
    ) {
        for (i, page) in self.pages[range.indices()].iter_mut().enumerate() {
            // Something of it may have been done.
            *page = match result {
                Err(_) => UNKNOWN,
                Ok(_) => Page {
                    content: content(i),
                    readable: true,
                },
            };
        }
    }

    /// What the page of an address holds.
    fn content_at(&self, addr: u64) -> Content {
        let page = (addr as usize).checked_sub(ARENA).map(|at| at / PAGE);
        // The last area may have grown beyond the arena.
        page.and_then(|page| self.pages.get(page))
            .map_or(Content::Any, |page| page.content)
    }

    /// A call to a buffer that is for an area of its own. Which buffer has mapped one is not known
    /// here, but what is surely none.
    fn asked_of_area(&self, addr: u64, answer: Result<(), Errno>) -> Result<()> {
        let content = self.content_at(addr);
        let well = match answer {
            Ok(()) | Err(Errno::EBUSY | Errno::EPERM) => {
                !self.alone || matches!(content, Content::Any | Content::Buffer(_))
            }
            Err(err) => err == Errno::EINVAL,
        };
        ensure!(well, "{answer:?} where there is {content:x?}");
        Ok(())
    }

    /// What is known of any thread, if there is one of that number.
    fn relatives(&self, tester: &Tester, number: i32) -> Result<()> {
        let known = match tester.relatives(number) {
            // There is none, or it has none any more, or no number here.
            Err(Errno::ESRCH) => return Ok(()),
            known => known?,
        };
        ensure!(
            known.in_init > 0 && known.in_own > 0 && known.tgid >= 0,
            "{known:?}"
        );
        ensure!(
            known.is_below == 1,
            "it has a number here, and is elsewhere: {known:?}"
        );
        Ok(())
    }

    /// A thread of the kernel adds to a number, as often as it can.
    fn borrow(&mut self, tester: &Tester, page: usize, rounds: u32) -> Result<()> {
        let added = tester.borrow(self.number_in(page), rounds)?;
        ensure!(added.wrong == 0 && added.done <= rounds, "{added:?}");
        if let Content::Number { value, .. } = &mut self.pages[page].content {
            *value = value.wrapping_add(added.done.into());
        }
        Ok(())
    }

    /// Where a page has a number that may be written to.
    fn number_in(&self, page: usize) -> u64 {
        // Others know the first number of a page of a device.
        let memory = matches!(self.pages[page].content, Content::Number { .. });
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
            OpenFile::Pieces(_) | OpenFile::Prepared(_) => {
                match offset as u64 * vma::test_abi::FAIL {
                    // 6.12 warns of zaps there: see Documentation/soundness/vma-ref.rst.
                    vma::test_abi::FRAME => vma::test_abi::PLAIN as usize,
                    what => what as usize,
                }
            }
            _ => offset % 3,
        };
        let mapped = map(range, write, kind, file.raw().as_raw_fd(), first);
        let allowed = match file {
            OpenFile::Info(_) => range.count <= abi::PAGES && (shared || !write),
            OpenFile::Test(_) => false,
            OpenFile::Buffer(_) => first + range.count <= vma::abi::PAGES,
            OpenFile::Pieces(_) => match first as u64 {
                vma::test_abi::FAIL | vma::test_abi::TWICE | vma::test_abi::BOTH => false,
                // A private one may be refused.
                vma::test_abi::LATE_FRAME => shared || mapped.is_ok(),
                _ => true,
            },
            OpenFile::Prepared(_) => match first as u64 {
                vma::test_abi::FAIL | vma::test_abi::TWICE | vma::test_abi::BOTH => false,
                vma::test_abi::LATE_FRAME => shared || mapped.is_ok(),
                vma::test_abi::CHANGE => !write,
                vma::test_abi::PAGES => range.count >= 2,
                _ => true,
            },
        };
        ensure!(
            mapped.is_ok() == allowed || (self.stubborn && mapped == Err(Errno::EINVAL)),
            "{mapped:?}, and it is {}allowed",
            if allowed { "" } else { "not " }
        );
        self.stubborn |= matches!(file, OpenFile::Pieces(_));
        self.now_has(range, mapped, |i| match file {
            OpenFile::Info(_) => Content::Device(i),
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
        // SAFETY: The arena is nobody's; without `to`, only a range that is there grows or shrinks,
        // and nothing lies behind the arena.
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
            // Something of it may have been done.
            self.pages[range.indices()].fill(UNKNOWN);
            if let Some(to) = to {
                self.pages[to.indices()].fill(UNKNOWN);
            }
            return;
        }
        let old: Vec<_> = self.pages[range.indices()].to_vec();
        self.pages[range.indices()].fill(NOTHING);
        for i in 0..new.count {
            // Of a hole, nothing is moved (7.3), and what has grown is not known.
            let moved = old.get(i).filter(|page| page.content != Content::Nothing);
            if let Some(page) = self.pages.get_mut(new.first + i) {
                *page = moved.copied().unwrap_or(UNKNOWN);
            }
        }
    }

    fn area(&self, device: &Device, addr: u64) -> Result<()> {
        let answer = device.vma(addr);
        if !self.alone {
            let well = matches!(answer, Ok(_) | Err(Errno::ENOENT));
            ensure!(well, "{answer:?}");
            return Ok(());
        }
        match (answer, Area::at(addr)?) {
            (Ok(area), Some(expected)) => {
                ensure!(expected.is(&area), "{area:x?} instead of {expected:x?}")
            }
            (Err(Errno::ENOENT), None) => {}
            (answer, expected) => bail!("{answer:x?} instead of {expected:x?}"),
        }
        Ok(())
    }

    /// A zap by the device, which wants to have been asked properly.
    fn zap(&mut self, device: &Device, addr: u64, len: u64) -> Result<()> {
        let expected = if self.alone {
            let whole = (addr | len).is_multiple_of(PAGE as u64) && len != 0;
            match (addr.checked_add(len).filter(|_| whole), Area::at(addr)?) {
                (None, _) => Err(Errno::EINVAL),
                (_, None) => Err(Errno::ENOENT),
                (Some(end), Some(area)) if end > area.end => Err(Errno::EINVAL),
                // One of another driver's may be made of single pages too, which is all that this
                // device asks for.
                (_, Some(area)) => {
                    let well =
                        area.of_device || (area.has_data && flags_of(area.start)?.contains(" mm"));
                    well.then_some(()).ok_or(Errno::EINVAL)
                }
            }
        } else {
            Ok(())
        };
        let answer = device.zap(addr, len);
        if self.alone {
            ensure!(answer == expected, "{answer:?} instead of {expected:?}");
            if answer.is_ok() {
                self.zapped(addr, len);
            }
        }
        Ok(())
    }

    /// A zap by the test driver, which asks the crate for anything.
    fn zap_any(&mut self, tester: &Tester, area: u64, addr: u64, len: u64) -> Result<()> {
        if !self.alone {
            let _ = tester.zap(area, addr, len);
            return Ok(());
        }
        let there = Area::at(area)?;
        let arena = ARENA as u64..(ARENA + PAGES * PAGE) as u64;
        if there.as_ref().is_some_and(|a| !arena.contains(&a.start)) {
            // The crate would do it, and this program needs its own memory.
            return Ok(());
        }
        let answer = tester.zap(area, addr, len);
        let expected = there.as_ref().map(|_| ()).ok_or(Errno::ENOENT);
        ensure!(answer == expected, "{answer:?} instead of {expected:?}");
        if let Some(there) = there {
            let whole = (addr | len).is_multiple_of(PAGE as u64);
            let end = addr.checked_add(len);
            if whole && addr >= there.start && end.is_some_and(|end| end <= there.end) {
                self.zapped(addr, len);
            }
        }
        Ok(())
    }

    /// Notes that pages have been zapped.
    fn zapped(&mut self, addr: u64, len: u64) {
        let first = (addr as usize - ARENA) / PAGE;
        // The last area may have grown beyond the arena.
        for page in self.pages.iter_mut().skip(first).take(len as usize / PAGE) {
            page.content = match page.content {
                Content::Device(_) => Content::Nothing,
                Content::Number { shared: false, .. } => Content::Number {
                    value: 0,
                    shared: false,
                },
                other => other,
            };
        }
    }

    /// Reads the first number of a page, by way of the kernel.
    fn read(&self, page: usize) -> Result<()> {
        let (from, into) = &*self.pipe;
        let addr = ARENA + page * PAGE;
        // SAFETY: The kernel looks whether it is there.
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
        if !self.alone {
            return Ok(());
        }
        let Page { content, readable } = self.pages[page];
        let well = match (content, found) {
            (Content::Any, _) | (Content::Nothing, None) => true,
            (Content::Nothing, Some(_)) => false,
            (_, None) => !readable,
            (Content::Number { value, .. }, Some(found)) => found == value,
            (Content::Device(i), Some(found)) => found == abi::PAGE_MAGIC + i as u64,
            (Content::Buffer(i), Some(found)) => found == vma::abi::PAGE_MAGIC + i as u64,
        };
        ensure!(well, "page {page} has {found:x?} instead of {content:x?}");
        Ok(())
    }

    /// Writes a number into a page, by way of the kernel.
    fn write(&mut self, page: usize, value: u64) -> Result<()> {
        let (from, into) = &*self.pipe;
        let addr = self.number_in(page);
        nix::unistd::write(into, &value.to_ne_bytes())?;
        // SAFETY: The kernel looks whether it may be written to, and nothing relies on what is there.
        let read = unsafe { libc::read(from.as_raw_fd(), addr as _, 8) };
        match Errno::result(read) {
            Ok(_) => {
                if let Content::Number { value: old, .. } = &mut self.pages[page].content {
                    *old = value;
                }
            }
            // It is in the pipe still.
            Err(Errno::EFAULT) => drop(nix::unistd::read(from.as_raw_fd(), &mut [0; 8])?),
            Err(err) => bail!("page {page}: {err}"),
        }
        Ok(())
    }

    /// Lets two threads make calls at the same time, after which nothing is known of the pages.
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
            // After unshare(CLONE_NEWPID) there are no threads.
            let second = thread::Builder::new().spawn_scoped(scope, || run(&mut b, other));
            let first = run(&mut a, one);
            match second.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(second)) => first.and(second),
                Ok(Err(_)) => bail!("a thread panicked"),
                Err(_) => first,
            }
        })?;
        self.files = a.files;
        self.pages = [UNKNOWN; PAGES];
        Ok(())
    }
}

/// Maps pages of the arena, whatever is there.
fn map(range: Pages, write: bool, flags: i32, file: i32, offset: usize) -> Result<(), Errno> {
    let rights = libc::PROT_READ | if write { libc::PROT_WRITE } else { 0 };
    // SAFETY: The arena is nobody's.
    let at = unsafe {
        libc::mmap(
            range.addr() as _,
            range.len(),
            rights,
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
