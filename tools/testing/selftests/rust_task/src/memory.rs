// SPDX-License-Identifier: GPL-2.0

//! Memory of a test program.

use anyhow::{Context, Result};
use nix::sys::mman::{madvise, mmap_anonymous, mprotect, munmap, MapFlags, MmapAdvise, ProtFlags};
use std::{ffi::c_void, num::NonZeroUsize, ptr::NonNull};

pub const PAGE: usize = 4096;

/// Pages that are mapped privately. Children inherit them at the same address.
///
/// It does not own the mapping, as many tests map something else there.
pub struct Memory {
    start: NonNull<u8>,
    pub pages: usize,
}

impl Memory {
    pub fn new(pages: usize) -> Result<Self> {
        let len = NonZeroUsize::new(pages * PAGE).context("no page")?;
        let prot = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: A new mapping concerns no other memory.
        let start = unsafe { mmap_anonymous(None, len, prot, MapFlags::MAP_PRIVATE)? };
        Ok(Self::mapped(start, pages))
    }

    /// Returns pages that are mapped already.
    pub fn mapped(start: NonNull<c_void>, pages: usize) -> Self {
        Self {
            start: start.cast(),
            pages,
        }
    }

    /// Returns the address of a page.
    pub fn addr(&self, page: usize) -> usize {
        self.start.as_ptr() as usize + page * PAGE
    }

    /// Returns a pointer to a page.
    pub fn at(&self, page: usize) -> NonNull<c_void> {
        // SAFETY: The callers pass the number of a page of the mapping.
        unsafe { self.start.add(page * PAGE).cast() }
    }

    /// Writes bytes, beginning with that at an offset.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: The pages are mapped, and nothing has a reference to them.
        unsafe {
            let at = self.start.add(offset).as_ptr();
            at.copy_from(bytes.as_ptr(), bytes.len());
        }
    }

    /// Returns the byte at an offset.
    pub fn byte(&self, offset: usize) -> u8 {
        // SAFETY: The page is mapped. A driver may write to it.
        unsafe { self.start.add(offset).read_volatile() }
    }

    /// Fills a page with a byte.
    pub fn fill_page(&self, page: usize, byte: u8) {
        // SAFETY: The page is mapped, and nothing has a reference to it.
        unsafe { (self.addr(page) as *mut u8).write_bytes(byte, PAGE) };
    }

    /// Fills each page with its own byte.
    pub fn fill(&self, first: u8) {
        for page in 0..self.pages {
            self.fill_page(page, first.wrapping_add(page as u8));
        }
    }

    /// Returns the first and the last byte of a page.
    pub fn ends(&self, page: usize) -> (u8, u8) {
        (self.byte(page * PAGE), self.byte(page * PAGE + PAGE - 1))
    }

    pub fn protect(&self, page: usize, pages: usize, prot: ProtFlags) -> Result<()> {
        // SAFETY: The callers only do with the pages what they still may.
        unsafe { mprotect(self.at(page), pages * PAGE, prot)? };
        Ok(())
    }

    pub fn advise(&self, page: usize, pages: usize, advice: MmapAdvise) -> Result<()> {
        // SAFETY: Nothing has a reference to the pages.
        unsafe { madvise(self.at(page), pages * PAGE, advice)? };
        Ok(())
    }

    pub fn unmap(&self, page: usize, pages: usize) -> Result<()> {
        // SAFETY: The callers do not use these pages after this.
        unsafe { munmap(self.at(page), pages * PAGE)? };
        Ok(())
    }
}
