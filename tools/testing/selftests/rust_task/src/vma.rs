// SPDX-License-Identifier: GPL-2.0

//! The devices that implement `vm_ops`, as used from userspace.

use crate::ioctl::{ask, call, exchange, io, ior, iow, iowr};
use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::mman::{mmap, mprotect, mremap, munmap, MRemapFlags, MapFlags, ProtFlags},
};
use std::{
    ffi::c_void,
    fs::{read_to_string, File, OpenOptions},
    num::NonZeroUsize,
    os::{fd::AsRawFd, unix::fs::FileExt},
    ptr::NonNull,
};

#[path = "../../../../../samples/rust/rust_vma_buffer_abi.rs"]
pub mod abi;
#[path = "../../../../../lib/test_rust_vma_abi.rs"]
pub mod test_abi;

pub const PAGE: usize = 4096;
/// The protection of most mappings.
pub const READ_WRITE: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);

const STATE: u32 = ior::<abi::State>(abi::MAGIC, abi::STATE);
const VMAS: u32 = iowr::<abi::Vmas>(abi::MAGIC, abi::VMAS);
const INSERT: u32 = iow::<u64>(abi::MAGIC, abi::INSERT);
const REVOKE: u32 = io(abi::MAGIC, abi::REVOKE);
const WITHHOLD: u32 = iow::<u64>(abi::MAGIC, abi::WITHHOLD);
const EVENTS: u32 = ior::<test_abi::Events>(test_abi::MAGIC, test_abi::EVENTS);
const KIND: u32 = iowr::<u64>(test_abi::MAGIC, test_abi::KIND);
const MAP_WITHOUT_OWNER: u32 = iow::<i32>(test_abi::MAGIC, test_abi::MAP_WITHOUT_OWNER);

/// A range of pages. It does not own the mapping.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub at: usize,
    pub pages: usize,
}

impl Span {
    fn ptr(self) -> NonNull<c_void> {
        NonNull::new(self.at as *mut c_void).expect("address 0 is never mapped")
    }

    pub fn bytes(self) -> usize {
        self.pages * PAGE
    }

    /// Returns a part of the range.
    pub fn part(self, first: usize, pages: usize) -> Self {
        assert!(first + pages <= self.pages);
        let at = self.at + first * PAGE;
        Self { at, pages }
    }

    pub fn addr(self, page: usize) -> u64 {
        (self.at + page * PAGE) as u64
    }

    /// Reads the first `u64` of a page. If the access fails, a signal kills the process.
    pub fn read(self, page: usize) -> u64 {
        // SAFETY: If the page cannot be read, a signal kills the process.
        unsafe { (self.addr(page) as *const u64).read_volatile() }
    }

    pub fn write(self, page: usize, value: u64) {
        // SAFETY: If the page cannot be written, a signal kills the process. No Rust reference
        // points to mapped pages.
        unsafe { (self.addr(page) as *mut u64).write_volatile(value) }
    }

    pub fn unmap(self) -> Result<(), Errno> {
        // SAFETY: The tests only unmap pages that they have mapped. No Rust reference points to
        // them.
        unsafe { munmap(self.ptr(), self.bytes()) }
    }

    pub fn protect(self, prot: ProtFlags) -> Result<(), Errno> {
        // SAFETY: No Rust reference points to these pages.
        unsafe { mprotect(self.ptr(), self.bytes(), prot) }
    }

    /// Returns how many of the pages are mapped in the page tables, or swapped out.
    pub fn mapped(self) -> std::io::Result<usize> {
        let mut entries = vec![0; 8 * self.pages];
        File::open("/proc/self/pagemap")?
            .read_exact_at(&mut entries, 8 * (self.at / PAGE) as u64)?;
        Ok(entries
            .chunks(8)
            .filter(|entry| entry[7] & 0xc0 != 0)
            .count())
    }

    /// Moves the range to another address, or resizes it at the same address.
    pub fn remap(self, pages: usize, to: Option<usize>) -> Result<Self, Errno> {
        let (flags, to) = match to {
            Some(to) => (
                MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED,
                NonNull::new(to as *mut c_void),
            ),
            None => (MRemapFlags::empty(), None),
        };
        // SAFETY: Both ranges are reserved by the test, and no Rust reference points to them.
        let at = unsafe { mremap(self.ptr(), self.bytes(), pages * PAGE, flags, to)? };
        let at = at.as_ptr() as usize;
        Ok(Self { at, pages })
    }
}

/// Maps pages of a file, or anonymous pages.
pub fn map_at(
    at: Option<usize>,
    file: Option<(&File, u64)>,
    pages: usize,
    prot: ProtFlags,
    mut flags: MapFlags,
) -> Result<Span, Errno> {
    if at.is_some() {
        flags |= MapFlags::MAP_FIXED;
    }
    let len = NonZeroUsize::new(pages * PAGE).ok_or(Errno::EINVAL)?;
    let at = at.and_then(NonZeroUsize::new);
    // SAFETY: The kernel chooses the address, or the test passes a range that it has reserved.
    let at = unsafe {
        match file {
            Some((file, pgoff)) => {
                let offset = (pgoff * PAGE as u64) as i64;
                mmap(at, len, prot, flags, file, offset)?
            }
            None => nix::sys::mman::mmap_anonymous(at, len, prot, flags)?,
        }
    };
    let at = at.as_ptr() as usize;
    Ok(Span { at, pages })
}

/// Reserves a range of addresses with an inaccessible mapping.
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

    pub fn revoke(&self) -> Result<(), Errno> {
        call(&self.0, REVOKE, 0)
    }

    pub fn withhold(&self, withheld: bool) -> Result<(), Errno> {
        exchange(&self.0, WITHHOLD, &mut u64::from(withheld))
    }

    /// Returns the VMAs of the file in this process, according to the driver.
    pub fn vmas(&self) -> Result<Vec<abi::Vma>, Errno> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let mut some = abi::Vmas {
                from,
                ..Default::default()
            };
            exchange(&self.0, VMAS, &mut some)?;
            let found = &some.vmas[..some.found as usize];
            all.extend_from_slice(found);
            match found.last() {
                Some(last) if found.len() == abi::MAX_VMAS => from = last.end,
                _ => return Ok(all),
            }
        }
    }

    /// Returns the same according to /proc. No other file of the device may be mapped.
    pub fn vmas_in_maps(&self) -> Result<Vec<abi::Vma>> {
        let maps = read_to_string("/proc/self/maps")?;
        let mut all = Vec::new();
        for line in maps
            .lines()
            .filter(|line| line.contains("anon_inode:rust_vma_buffer"))
        {
            let words: Vec<_> = line.split_whitespace().collect();
            let [range, _, offset, ..] = words[..] else {
                anyhow::bail!("{line}");
            };
            let (start, end) = range.split_once('-').context("no address range")?;
            let hex = |text: &str| u64::from_str_radix(text, 16);
            all.push(abi::Vma {
                start: hex(start)?,
                end: hex(end)?,
                pgoff: hex(offset)? / PAGE as u64,
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

    /// Maps pages, as [`Tester::map`].
    pub fn map(&self, kind: u64, pages: usize, flags: MapFlags) -> Result<Span, Errno> {
        map_at(None, Some((&self.0, kind)), pages, READ_WRITE, flags)
    }

    /// As [`Self::map`], at an address.
    pub fn map_at(&self, at: Span, kind: u64) -> Result<Span, Errno> {
        let file = Some((&self.0, kind));
        map_at(
            Some(at.at),
            file,
            at.pages,
            READ_WRITE,
            MapFlags::MAP_SHARED,
        )
    }

    /// As [`Self::map`], read-only.
    pub fn map_to_read(&self, kind: u64, pages: usize) -> Result<Span, Errno> {
        let file = Some((&self.0, kind));
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

    /// Returns the kind of the VMA at an address.
    pub fn kind(&self, addr: u64) -> Result<u64, Errno> {
        ask(&self.0, KIND, addr)
    }

    /// Maps a page of a file, as if its `file_operations` were built into the kernel.
    pub fn map_without_owner(&self, file: &File) -> Result<(), Errno> {
        exchange(&self.0, MAP_WITHOUT_OWNER, &mut file.as_raw_fd())
    }

    /// Maps a VMA of a kind of `test_abi`.
    pub fn map(&self, kind: u64, pages: usize, flags: MapFlags) -> Result<Span, Errno> {
        map_at(None, Some((&self.0, kind)), pages, READ_WRITE, flags)
    }
}
