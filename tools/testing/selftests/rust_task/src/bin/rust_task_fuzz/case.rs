// SPDX-License-Identifier: GPL-2.0

//! Cases: lists of calls, each generated from a list of seeds.

use fastrand::Rng;
use rust_task::{
    device::{abi, test_abi as task_abi},
    mailbox::abi as mailbox_abi,
    remote::gup_abi,
    vma::{abi as buffer_abi, test_abi as vma_abi},
};
use std::{fmt, num::ParseIntError, str::FromStr};

/// The size of the arena: small, so that VMAs become adjacent.
pub const PAGES: usize = 24;
/// The address of the arena, the only memory that the calls map.
pub const ARENA: usize = 0x10_0000_0000;
pub const PAGE: usize = 4096;
/// The number of open files of a case.
pub const FILES: usize = 4;

/// The seed of the initial calls, followed by the seeds of the changes.
///
/// A case with new coverage is an earlier case with another change, so the list of seeds describes
/// it completely.
#[derive(Clone)]
pub struct Case(Vec<u32>);

impl Case {
    pub fn new(seed: u32) -> Self {
        Self(vec![seed])
    }

    /// Returns this case with another change.
    pub fn changed(&self, seed: u32) -> Self {
        let mut seeds = self.0.clone();
        seeds.push(seed);
        Self(seeds)
    }

    /// Returns the number of seeds.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    pub fn ops(&self) -> Vec<Op> {
        let mut rngs = self.0.iter().map(|seed| Rng::with_seed(u64::from(*seed)));
        let mut ops = Vec::new();
        if let Some(mut rng) = rngs.next() {
            // Without files and VMAs, most calls would do nothing.
            ops.extend([
                Op::Open {
                    file: 0,
                    driver: Driver::Info,
                },
                Op::Open {
                    file: 1,
                    driver: Driver::TestTask,
                },
                Op::Open {
                    file: 2,
                    driver: Driver::Buffer,
                },
                Op::MapMemory {
                    range: Pages::any(&mut rng),
                    write: true,
                    shared: false,
                },
                Op::MapFile {
                    file: 0,
                    range: Pages::any(&mut rng).at_most(abi::PAGES),
                    offset: 0,
                    write: true,
                    shared: true,
                },
            ]);
            ops.extend(list(&mut rng, 4..40));
        }
        for mut rng in rngs {
            change(&mut ops, &mut rng);
        }
        ops
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seeds: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&seeds.join("."))
    }
}

impl FromStr for Case {
    type Err = ParseIntError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        name.split('.')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// Applies a random change.
fn change(ops: &mut Vec<Op>, rng: &mut Rng) {
    let at = rng.usize(0..=ops.len());
    let exists = at < ops.len();
    match rng.u32(0..6) {
        0 if exists => ops[at] = Op::any(rng),
        1 if exists => drop(ops.remove(at)),
        2 if exists => ops.insert(at, ops[at].clone()),
        3 if exists => {
            let other = rng.usize(0..ops.len());
            ops.swap(at, other);
        }
        4 => ops.extend(list(rng, 1..8)),
        _ => ops.insert(at, Op::any(rng)),
    }
}

fn list(rng: &mut Rng, length: std::ops::Range<usize>) -> Vec<Op> {
    let length = rng.usize(length);
    (0..length).map(|_| Op::any(rng)).collect()
}

/// The driver of a file.
#[derive(Clone, Copy, Debug)]
pub enum Driver {
    /// `/dev/rust_task_info`.
    Info,
    /// `/dev/test_rust_task`.
    TestTask,
    /// `/dev/rust_vma_buffer`.
    Buffer,
    /// `/dev/test_rust_vma`.
    TestVma,
    /// `/dev/test_rust_vma_prepare`.
    Prepare,
    /// A node of `/dev/rust_char_memory`.
    Memory,
    /// `/dev/test_rust_gup`.
    Gup,
    /// `/dev/rust_remote`.
    Remote,
    /// `/dev/test_rust_hmm`.
    Hmm,
    /// `/dev/rust_mailbox`, as a file whose calls do not wait.
    Mailbox,
}

const DRIVERS: &[Driver] = &[
    Driver::Info,
    Driver::TestTask,
    Driver::Buffer,
    Driver::TestVma,
    Driver::Prepare,
    Driver::Memory,
    Driver::Gup,
    Driver::Remote,
    Driver::Hmm,
    Driver::Mailbox,
];

/// A call to a driver, or another system call.
#[derive(Clone, Debug)]
pub enum Op {
    Open {
        file: usize,
        driver: Driver,
    },
    Close {
        file: usize,
    },
    GetInfo {
        file: usize,
    },
    GetVma {
        file: usize,
        addr: u64,
    },
    Zap {
        file: usize,
        addr: u64,
        len: u64,
    },
    Refcounts {
        file: usize,
        kind: u32,
        rounds: u32,
    },
    Opener {
        file: usize,
    },
    Worker {
        file: usize,
    },
    ThreadInfo {
        file: usize,
        nr: i32,
    },
    Population {
        file: usize,
    },
    /// A signal that is ignored by default, or an invalid one.
    Signal {
        file: usize,
        signal: i32,
        privileged: bool,
        to_thread: bool,
    },
    /// A kthread adds to a value in a page.
    UseMm {
        file: usize,
        page: usize,
        rounds: u32,
    },
    Spawn {
        file: usize,
        rounds: u32,
    },
    TaskWork {
        file: usize,
        rounds: u32,
        again: u32,
    },
    Insert {
        file: usize,
        addr: u64,
    },
    Revoke {
        file: usize,
    },
    ListVmas {
        file: usize,
    },
    /// Reads a character device, or writes it from any address.
    Transfer {
        file: usize,
        write: bool,
        addr: u64,
        len: usize,
        at: i64,
    },
    Poll {
        file: usize,
    },
    Pin {
        file: usize,
        range: Pages,
        flags: u32,
    },
    Unpin {
        file: usize,
        atomic: bool,
    },
    /// Reads pinned pages.
    CopyPinned {
        file: usize,
    },
    /// Reads a value of this process as that of another one.
    RemoteRead {
        file: usize,
        page: usize,
    },
    /// Writes it.
    RemoteWrite {
        file: usize,
        page: usize,
        value: u64,
    },
    /// Reads any address to memory that is not in the arena.
    RemoteAny {
        file: usize,
        string: bool,
        addr: u64,
        len: usize,
    },
    /// The device reads a page of the process that has opened the mirror.
    MirrorRead {
        file: usize,
        page: usize,
    },
    /// The device fills it.
    MirrorWrite {
        file: usize,
        page: usize,
        byte: u8,
    },
    /// Any address, which may be that of a page of a driver.
    MirrorAny {
        file: usize,
        table: bool,
        addr: u64,
        pages: usize,
    },
    MirrorStop {
        file: usize,
    },
    /// Gives a mailbox a port.
    Bind {
        file: usize,
        port: u64,
    },
    /// Sends a message to this process.
    Send {
        file: usize,
        port: u64,
        addr: u64,
        len: u64,
    },
    /// Receives and releases one.
    Take {
        file: usize,
    },
    Kind {
        file: usize,
        addr: u64,
    },
    /// Any command, with any argument.
    Raw {
        file: usize,
        command: u32,
        arg: u64,
    },
    MapFile {
        file: usize,
        range: Pages,
        offset: usize,
        write: bool,
        shared: bool,
    },
    MapMemory {
        range: Pages,
        write: bool,
        shared: bool,
    },
    Unmap {
        range: Pages,
    },
    Protect {
        range: Pages,
        prot: i32,
    },
    Move {
        range: Pages,
        pages: usize,
        to: Option<usize>,
    },
    Advise {
        range: Pages,
        advice: i32,
    },
    Read {
        page: usize,
    },
    Write {
        page: usize,
        value: u64,
    },
    /// A child executes the remaining calls as well.
    Fork,
    Unshare {
        flags: i32,
    },
    /// Two threads, concurrently.
    Together(Vec<Op>, Vec<Op>),
}

/// A range of pages of the arena.
#[derive(Clone, Copy, Debug)]
pub struct Pages {
    pub first: usize,
    pub count: usize,
}

impl Pages {
    fn any(rng: &mut Rng) -> Self {
        let first = rng.usize(0..PAGES);
        // Mostly small ranges, up to more pages than the device has.
        let most = [1, 2, 3, 4, 8, 16, 20][rng.usize(0..7)];
        Self {
            first,
            count: rng.usize(1..=most).min(PAGES - first),
        }
    }

    fn at_most(self, count: usize) -> Self {
        Self {
            count: self.count.min(count),
            ..self
        }
    }

    pub fn addr(self) -> usize {
        ARENA + self.first * PAGE
    }

    pub fn len(self) -> usize {
        self.count * PAGE
    }

    pub fn indices(self) -> std::ops::Range<usize> {
        self.first..self.first + self.count
    }
}

const PROT: &[i32] = &[
    libc::PROT_NONE,
    libc::PROT_READ,
    libc::PROT_READ | libc::PROT_WRITE,
];

const ADVICE: &[i32] = &[
    libc::MADV_NORMAL,
    libc::MADV_DONTNEED,
    libc::MADV_FREE,
    libc::MADV_WILLNEED,
    libc::MADV_REMOVE,
    libc::MADV_DONTFORK,
    libc::MADV_DOFORK,
    libc::MADV_WIPEONFORK,
    libc::MADV_COLD,
    libc::MADV_PAGEOUT,
    libc::MADV_POPULATE_READ,
    libc::MADV_POPULATE_WRITE,
];

const UNSHARE: &[i32] = &[
    libc::CLONE_NEWPID,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWUSER | libc::CLONE_NEWPID,
    libc::CLONE_FILES,
    libc::CLONE_FS,
];

/// Signals that are ignored by default, and invalid ones.
const SIGNALS: &[i32] = &[
    libc::SIGCHLD,
    libc::SIGCONT,
    libc::SIGURG,
    libc::SIGWINCH,
    0,
    -1,
    65,
    i32::MIN,
    i32::MAX,
];

/// The commands of the drivers: the type byte, and the largest command that is safe with any
/// argument.
const COMMANDS: &[(u32, u32)] = &[
    (abi::MAGIC, 6),
    // The following commands send arbitrary signals, and start an arbitrary number of kthreads.
    (task_abi::MAGIC, task_abi::POPULATION),
    (buffer_abi::MAGIC, 6),
    (vma_abi::MAGIC, 4),
    (0xbb, 4),
    (mailbox_abi::MAGIC, mailbox_abi::STATS),
];

/// Addresses that are not mapped or invalid.
const INVALID: &[u64] = &[
    0,
    8,
    0xfff,
    (ARENA - PAGE) as u64 - 1,
    1 << 46,
    (1 << 47) - 4096,
    1 << 47,
    1 << 63,
    0xffff_8880_0000_0000,
    !0 - 4095,
    !0,
];

/// Returns an address in the arena, mostly page-aligned.
fn address(rng: &mut Rng) -> u64 {
    if rng.u32(0..12) == 0 {
        return INVALID[rng.usize(0..INVALID.len())];
    }
    let page = (ARENA + rng.usize(0..=PAGES) * PAGE) as u64;
    match rng.u32(0..8) {
        0 => page + rng.u64(0..4096),
        1 => page + 8,
        2 => page - 1,
        _ => page,
    }
}

/// Returns a length in bytes, mostly of whole pages.
fn length(rng: &mut Rng) -> u64 {
    // Mostly a few pages, so that ranges may end just after a VMA.
    let most = if rng.bool() { 4 } else { 20 };
    let pages = rng.u64(0..=most) * PAGE as u64;
    match rng.u32(0..10) {
        0 => pages + rng.u64(0..4096),
        1 => [1, 4095, 1 << 30, 1 << 47, 1 << 63, !0 - 4095, !0][rng.usize(0..7)],
        _ => pages,
    }
}

type Make = fn(&mut Rng, usize) -> Op;

/// The calls, and how often each kind is made.
const CALLS: &[(u32, Make)] = &[
    (3, Op::open_or_close),
    (14, Op::info_call),
    (15, Op::mapping),
    (7, Op::access),
    (2, Op::raw),
    (4, Op::task_call),
    (2, Op::memory_call),
    (2, Op::pin_call),
    (2, Op::remote_call),
    (2, Op::mirror_call),
    (3, Op::mailbox_call),
    (4, Op::vma_call),
];

impl Op {
    fn any(rng: &mut Rng) -> Self {
        match rng.u32(0..60) {
            0 => Self::Fork,
            1 => Self::Unshare {
                flags: UNSHARE[rng.usize(0..UNSHARE.len())],
            },
            2 | 3 => {
                let mut some = || (0..rng.usize(1..6)).map(|_| Self::simple(rng)).collect();
                Self::Together(some(), some())
            }
            _ => Self::simple(rng),
        }
    }

    fn simple(rng: &mut Rng) -> Self {
        let file = rng.usize(0..FILES);
        let sum = CALLS.iter().map(|(weight, _)| weight).sum();
        let mut at = rng.u32(0..sum);
        for (weight, make) in CALLS {
            match at.checked_sub(*weight) {
                Some(rest) => at = rest,
                None => return make(rng, file),
            }
        }
        unreachable!("the weights have this sum")
    }

    /// Returns an ioctl: one of the commands of the drivers, with any size and direction.
    fn raw(rng: &mut Rng, file: usize) -> Self {
        let (magic, most) = COMMANDS[rng.usize(0..COMMANDS.len())];
        Self::Raw {
            file,
            command: rng.u32(0..4) << 30 | rng.u32(0..64) << 16 | magic << 8 | rng.u32(0..=most),
            arg: address(rng),
        }
    }

    /// Returns a change of the mappings of the arena, or of their flags.
    fn mapping(rng: &mut Rng, file: usize) -> Self {
        let range = Pages::any(rng);
        match rng.u32(0..15) {
            0..=3 => Self::MapFile {
                file,
                range,
                offset: rng.usize(0..13),
                write: rng.bool(),
                shared: rng.u32(0..4) != 0,
            },
            4..=6 => Self::MapMemory {
                range,
                write: rng.u32(0..4) != 0,
                shared: rng.u32(0..4) == 0,
            },
            // The only mapping that a mailbox allows.
            7 => Self::MapFile {
                file,
                range,
                offset: 0,
                write: false,
                shared: true,
            },
            8 | 9 => Self::Unmap { range },
            10 | 11 => Self::Protect {
                range,
                prot: PROT[rng.usize(0..PROT.len())],
            },
            12 | 13 => Self::Move {
                range,
                pages: rng.usize(1..20),
                to: rng.bool().then(|| rng.usize(0..PAGES)),
            },
            _ => Self::Advise {
                range,
                advice: ADVICE[rng.usize(0..ADVICE.len())],
            },
        }
    }

    /// Returns an access to a page, which needs no file.
    fn access(rng: &mut Rng, _file: usize) -> Self {
        let page = rng.usize(0..PAGES);
        match rng.u32(0..7) {
            0..=3 => Self::Read { page },
            _ => Self::Write {
                page,
                value: rng.u64(1..),
            },
        }
    }

    /// Opens or closes a file.
    fn open_or_close(rng: &mut Rng, file: usize) -> Self {
        match rng.u32(0..3) {
            0 => Self::Close { file },
            _ => Self::Open {
                file,
                driver: DRIVERS[rng.usize(0..DRIVERS.len())],
            },
        }
    }

    /// Returns a call to `/dev/rust_task_info`.
    fn info_call(rng: &mut Rng, file: usize) -> Self {
        match rng.u32(0..14) {
            0 => Self::GetInfo { file },
            1..=3 => Self::GetVma {
                file,
                addr: address(rng),
            },
            _ => Self::Zap {
                file,
                addr: address(rng),
                len: length(rng),
            },
        }
    }

    /// Returns a call to `/dev/test_rust_task`.
    fn task_call(rng: &mut Rng, file: usize) -> Self {
        match rng.u32(0..10) {
            0 => Self::ThreadInfo {
                file,
                nr: match rng.u32(0..3) {
                    0 => SIGNALS[rng.usize(0..SIGNALS.len())],
                    _ => rng.i32(1..300),
                },
            },
            1 => Self::Population { file },
            2 => Self::Signal {
                file,
                signal: SIGNALS[rng.usize(0..SIGNALS.len())],
                privileged: rng.bool(),
                to_thread: rng.bool(),
            },
            3 => Self::Spawn {
                file,
                rounds: rng.u32(0..12),
            },
            4 => Self::TaskWork {
                file,
                rounds: rng.u32(0..9),
                again: rng.u32(0..4),
            },
            5 => Self::Refcounts {
                file,
                kind: rng.u32(0..9),
                rounds: rng.u32(0..9),
            },
            6 => Self::Opener { file },
            7 => Self::Worker { file },
            _ => Self::UseMm {
                file,
                page: rng.usize(0..PAGES),
                rounds: rng.u32(0..6),
            },
        }
    }

    /// Returns a call to `/dev/rust_char_memory`.
    fn memory_call(rng: &mut Rng, file: usize) -> Self {
        match rng.u32(0..4) {
            0 => Self::Poll { file },
            _ => Self::Transfer {
                file,
                write: rng.bool(),
                addr: address(rng),
                len: rng.usize(0..3 * PAGE),
                at: [0, 1, rng.i64(0..20_000), i64::MAX, -1][rng.usize(0..5)],
            },
        }
    }

    /// Returns a call to `/dev/test_rust_gup`.
    fn pin_call(rng: &mut Rng, file: usize) -> Self {
        match rng.u32(0..6) {
            0 | 1 => Self::Unpin {
                file,
                atomic: rng.bool(),
            },
            2 => Self::CopyPinned { file },
            _ => {
                let flag = |flag, is_set| if is_set { flag } else { 0 };
                Self::Pin {
                    file,
                    range: Pages::any(rng),
                    flags: flag(gup_abi::USE_WRITE, rng.bool())
                        | flag(gup_abi::USE_FAST, rng.bool())
                        | flag(gup_abi::USE_LOCKED_VM, rng.u32(0..4) == 0),
                }
            }
        }
    }

    /// Returns a call to `/dev/rust_remote`.
    fn remote_call(rng: &mut Rng, file: usize) -> Self {
        let page = rng.usize(0..PAGES);
        match rng.u32(0..5) {
            0 | 1 => Self::RemoteRead { file, page },
            2 => Self::RemoteWrite {
                file,
                page,
                value: rng.u64(1..),
            },
            _ => Self::RemoteAny {
                file,
                string: rng.bool(),
                addr: address(rng),
                len: rng.usize(0..6 * PAGE),
            },
        }
    }

    /// Returns a call to `/dev/test_rust_hmm`.
    fn mirror_call(rng: &mut Rng, file: usize) -> Self {
        let page = rng.usize(0..PAGES);
        match rng.u32(0..8) {
            0 => Self::MirrorStop { file },
            1 | 2 => Self::MirrorAny {
                file,
                table: rng.bool(),
                addr: address(rng),
                pages: rng.usize(1..PAGES),
            },
            3 | 4 => Self::MirrorWrite {
                file,
                page,
                byte: rng.u8(..),
            },
            _ => Self::MirrorRead { file, page },
        }
    }

    /// Returns a call to `/dev/rust_mailbox`.
    fn mailbox_call(rng: &mut Rng, file: usize) -> Self {
        let port = rng.u64(0..3);
        match rng.u32(0..6) {
            0 => Self::Bind { file, port },
            1 | 2 => Self::Take { file },
            _ => Self::Send {
                file,
                port,
                addr: address(rng),
                len: length(rng),
            },
        }
    }

    /// Returns a call to a driver that implements `vm_ops`.
    fn vma_call(rng: &mut Rng, file: usize) -> Self {
        let addr = address(rng);
        match rng.u32(0..6) {
            0 => Self::ListVmas { file },
            1 => Self::Kind { file, addr },
            2 => Self::Revoke { file },
            _ => Self::Insert { file, addr },
        }
    }
}
