// SPDX-License-Identifier: GPL-2.0

//! The devices that have areas of their own, as a program sees them.

use crate::ioctl::{ask, exchange, ior, iow, iowr};
use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::mman::{mmap, mprotect, mremap, munmap, MRemapFlags, MapFlags, ProtFlags},
};
use std::{
    ffi::c_void,
    fs::{read_to_string, File, OpenOptions},
    num::NonZeroUsize,
    os::unix::fs::MetadataExt,
    ptr::NonNull,
};

#[path = "../../../../../samples/rust/rust_vma_buffer_abi.rs"]
pub mod abi;
#[path = "../../../../../lib/test_rust_vma_abi.rs"]
pub mod test_abi;

pub const PAGE: usize = 4096;
/// What a program may do with most areas.
pub const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

const STATE: u32 = ior::<abi::State>(abi::MAGIC, abi::STATE);
const AREAS: u32 = iowr::<abi::Areas>(abi::MAGIC, abi::AREAS);
const INSERT: u32 = iow::<u64>(abi::MAGIC, abi::INSERT);
const REVOKE: u32 = iow::<u64>(abi::MAGIC, abi::REVOKE);
const EVENTS: u32 = ior::<test_abi::Events>(test_abi::MAGIC, test_abi::EVENTS);
const WHAT: u32 = iowr::<u64>(test_abi::MAGIC, test_abi::WHAT);

/// Pages at an address. They stay mapped, or whatever the test does to them.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub at: usize,
    pub pages: usize,
}

impl Span {
    fn ptr(self) -> NonNull<c_void> {
        NonNull::new(self.at as *mut c_void).expect("nothing is mapped at 0")
    }

    pub fn bytes(self) -> usize {
        self.pages * PAGE
    }

    /// Some pages of it.
    pub fn part(self, first: usize, pages: usize) -> Self {
        assert!(first + pages <= self.pages);
        let at = self.at + first * PAGE;
        Self { at, pages }
    }

    pub fn addr(self, page: usize) -> u64 {
        (self.at + page * PAGE) as u64
    }

    /// Reads the first number of a page. The process dies if it cannot.
    pub fn read(self, page: usize) -> u64 {
        // SAFETY: If it is mapped for reading, this reads; if not, there is a signal.
        unsafe { (self.addr(page) as *const u64).read_volatile() }
    }

    pub fn write(self, page: usize, value: u64) {
        // SAFETY: As for `read()`; the tests map nothing that Rust code has its own idea of.
        unsafe { (self.addr(page) as *mut u64).write_volatile(value) }
    }

    pub fn unmap(self) -> Result<(), Errno> {
        // SAFETY: The tests unmap what they have mapped.
        unsafe { munmap(self.ptr(), self.bytes()) }
    }

    pub fn protect(self, rights: ProtFlags) -> Result<(), Errno> {
        // SAFETY: Nobody relies on the rights of these pages.
        unsafe { mprotect(self.ptr(), self.bytes(), rights) }
    }

    /// Moves it, or makes it larger or smaller where it is.
    pub fn remap(self, pages: usize, to: Option<usize>) -> Result<Self, Errno> {
        let (flags, to) = match to {
            Some(to) => (
                MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED,
                NonNull::new(to as *mut c_void),
            ),
            None => (MRemapFlags::empty(), None),
        };
        // SAFETY: Both are places that only the test knows.
        let at = unsafe { mremap(self.ptr(), self.bytes(), pages * PAGE, flags, to)? };
        let at = at.as_ptr() as usize;
        Ok(Self { at, pages })
    }
}

/// Maps pages of a file, or no file.
pub fn map_at(
    at: Option<usize>,
    file: Option<(&File, u64)>,
    pages: usize,
    rights: ProtFlags,
    mut flags: MapFlags,
) -> Result<Span, Errno> {
    if at.is_some() {
        flags |= MapFlags::MAP_FIXED;
    }
    let len = NonZeroUsize::new(pages * PAGE).ok_or(Errno::EINVAL)?;
    let at = at.and_then(NonZeroUsize::new);
    // SAFETY: The kernel chooses where, or the test does, which knows what is there.
    let at = unsafe {
        match file {
            Some((file, pgoff)) => {
                let offset = (pgoff * PAGE as u64) as i64;
                mmap(at, len, rights, flags, file, offset)?
            }
            None => nix::sys::mman::mmap_anonymous(at, len, rights, flags)?,
        }
    };
    let at = at.as_ptr() as usize;
    Ok(Span { at, pages })
}

/// Finds a place where nothing is mapped, and keeps others away from it.
pub fn reserve(pages: usize) -> Result<Span, Errno> {
    map_at(
        None,
        None,
        pages,
        ProtFlags::PROT_NONE,
        MapFlags::MAP_PRIVATE,
    )
}

fn open(path: &str) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// `/dev/rust_vma_buffer`, opened.
pub struct Buffer(File);

impl Buffer {
    pub fn open() -> std::io::Result<Self> {
        open("/dev/rust_vma_buffer").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    pub fn state(&self) -> Result<abi::State, Errno> {
        ask(&self.0, STATE, abi::State::default())
    }

    /// Maps pages of the buffer.
    pub fn map(&self, pgoff: u64, pages: usize, flags: MapFlags) -> Result<Span, Errno> {
        map_at(None, Some((&self.0, pgoff)), pages, READ_WRITE, flags)
    }

    pub fn insert(&self, mut addr: u64) -> Result<(), Errno> {
        exchange(&self.0, INSERT, &mut addr)
    }

    pub fn revoke(&self, mut addr: u64) -> Result<(), Errno> {
        exchange(&self.0, REVOKE, &mut addr)
    }

    /// Asks where this process has mapped it.
    pub fn areas(&self) -> Result<Vec<abi::Area>, Errno> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let mut some = abi::Areas {
                from,
                ..Default::default()
            };
            exchange(&self.0, AREAS, &mut some)?;
            let found = &some.areas[..some.found as usize];
            all.extend_from_slice(found);
            match found.last() {
                Some(last) if found.len() == abi::AT_A_TIME => from = last.end,
                _ => return Ok(all),
            }
        }
    }

    /// Reads the same out of /proc. No other file of the device may be mapped.
    pub fn areas_in_maps(&self) -> Result<Vec<abi::Area>> {
        let inode = self.0.metadata()?.ino().to_string();
        let maps = read_to_string("/proc/self/maps")?;
        let mut all = Vec::new();
        for line in maps
            .lines()
            .filter(|line| line.contains("/rust_vma_buffer"))
        {
            let words: Vec<_> = line.split_whitespace().collect();
            let [range, _, offset, _, ino, ..] = words[..] else {
                anyhow::bail!("{line}");
            };
            anyhow::ensure!(ino == inode, "{line}");
            let (start, end) = range.split_once('-').context("no range")?;
            let number = |text: &str| u64::from_str_radix(text, 16);
            all.push(abi::Area {
                start: number(start)?,
                end: number(end)?,
                pgoff: number(offset)? / PAGE as u64,
            });
        }
        Ok(all)
    }
}

/// `/dev/test_rust_vma`, opened.
pub struct Tester(File);

/// `/dev/test_rust_vma_prepare`, opened.
pub struct Prepared(File);

impl Prepared {
    pub fn open() -> std::io::Result<Self> {
        open("/dev/test_rust_vma_prepare").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    /// Maps pages, as [`Tester::map`] does.
    pub fn map(&self, what: u64, pages: usize, flags: MapFlags) -> Result<Span, Errno> {
        map_at(None, Some((&self.0, what)), pages, READ_WRITE, flags)
    }

    /// The same, at a place.
    pub fn map_at(&self, at: Span, what: u64) -> Result<Span, Errno> {
        let file = Some((&self.0, what));
        map_at(
            Some(at.at),
            file,
            at.pages,
            READ_WRITE,
            MapFlags::MAP_SHARED,
        )
    }

    /// The same, for reading.
    pub fn map_to_read(&self, what: u64, pages: usize) -> Result<Span, Errno> {
        let file = Some((&self.0, what));
        map_at(
            None,
            file,
            pages,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
        )
    }
}

impl Tester {
    pub fn open() -> std::io::Result<Self> {
        open("/dev/test_rust_vma").map(Self)
    }

    pub fn file(&self) -> &File {
        &self.0
    }

    pub fn events(&self) -> Result<test_abi::Events, Errno> {
        ask(&self.0, EVENTS, test_abi::Events::default())
    }

    /// Asks what the area at an address does.
    pub fn what(&self, addr: u64) -> Result<u64, Errno> {
        ask(&self.0, WHAT, addr)
    }

    /// Maps pages, to be shared or not. What they do is a matter of where they are.
    pub fn map(&self, what: u64, pages: usize, flags: MapFlags) -> Result<Span, Errno> {
        map_at(None, Some((&self.0, what)), pages, READ_WRITE, flags)
    }
}
