// SPDX-License-Identifier: GPL-2.0

//! Compares the driver `rust_uio` with a device of C's UIO that has the same maps.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    kmod::{delete_module, finit_module, DeleteModuleFlags, ModuleInitFlags},
    libc,
    poll::{poll, PollFd, PollFlags, PollTimeout},
    sys::mman::{mmap_anonymous, mremap, munmap, MRemapFlags, MapFlags, ProtFlags},
};
use rust_task::{
    device::map_file,
    ktap::{self, did, Test},
};
use std::{
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    num::NonZeroUsize,
    os::{fd::AsFd, unix::fs::FileExt},
    path::Path,
    process::Command,
    ptr::NonNull,
    slice,
};

#[path = "../../../../../../samples/rust/rust_uio_abi.rs"]
mod abi;

const TESTS: &[Test] = &[
    ("arguments of mmap()", arguments),
    ("registers", registers),
    ("memory that two programs share", memory),
    ("memory by /proc/self/mem", debugger),
    ("access at the end of the registers", end_of_registers),
    ("mremap()", remap),
    ("read(), write() and poll()", events),
    ("pages that outlive the file", outlive),
    ("pfnmap of the kernel's selftests", pfnmap),
];

const PAGE: usize = 4096;
const OURS: &str = "/dev/rust_uio";
const C: &str = "/dev/uio0";
const MODULE: &str = "/uio/uio_c.ko";
const PFNMAP: &str = "/uio/pfnmap";
const RW: ProtFlags = ProtFlags::PROT_READ.union(ProtFlags::PROT_WRITE);
const SHARED: MapFlags = MapFlags::MAP_SHARED;

fn open(device: &str) -> Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).open(device);
    file.context(device.to_owned())
}

/// Calls a function for both drivers, with a file of each, and checks that the results are equal.
fn compare<T: Debug + PartialEq>(what: &str, f: impl Fn(File) -> Result<T>) -> Result<T> {
    let c = f(open(C)?).with_context(|| format!("{what}, C"))?;
    let ours = f(open(OURS)?).with_context(|| format!("{what}, ours"))?;
    ensure!(c == ours, "{what}: C {c:?}, ours {ours:?}");
    Ok(ours)
}

/// A result that can be compared.
fn result_of(result: std::io::Result<usize>) -> Result<usize, Option<i32>> {
    result.map_err(|err| err.raw_os_error())
}

/// Pages that are mapped.
struct Map {
    at: NonNull<libc::c_void>,
    len: usize,
}

impl Map {
    fn new(file: &File, map: usize, pages: usize) -> Result<Self> {
        let len = pages * PAGE;
        let at = map_file(file, (map * PAGE) as i64, len, RW, SHARED)?;
        Ok(Self { at, len })
    }

    fn address(&self) -> u64 {
        self.at.as_ptr() as u64
    }

    fn bytes(&self) -> Vec<u8> {
        // SAFETY: The pages are mapped. Nothing else writes to them.
        unsafe { slice::from_raw_parts(self.at.as_ptr().cast(), self.len) }.to_vec()
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len);
        let to = self.at.as_ptr().cast::<u8>();
        // SAFETY: The pages are mapped, and have the range.
        unsafe { to.add(offset).copy_from(bytes.as_ptr(), bytes.len()) };
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: Nothing points to the pages.
        let _ = unsafe { munmap(self.at, self.len) };
    }
}

fn arguments() -> Result<()> {
    let read = ProtFlags::PROT_READ;
    let mut mapped = 0;
    let mut refused = 0;
    for map in [0, 1, 2, 3, 4, 5, 1 << 36] {
        for pages in [1, 2, 3, 4, 5] {
            for prot in [read, RW, read | ProtFlags::PROT_EXEC, ProtFlags::PROT_NONE] {
                for flags in [SHARED, MapFlags::MAP_PRIVATE] {
                    // C maps registers for a program that may copy the pages before it writes.
                    if (map, flags) == (abi::REGISTERS, MapFlags::MAP_PRIVATE) {
                        continue;
                    }
                    let what = format!("{pages} pages of map {map}, {prot:?}, {flags:?}");
                    let result = compare(&what, |file| {
                        let len = pages * PAGE;
                        Ok(
                            map_file(&file, (map * PAGE) as i64, len, prot, flags).map(|at| {
                                // SAFETY: Nothing points to the pages.
                                unsafe { munmap(at, len) }
                            }),
                        )
                    })?;
                    match result {
                        Ok(_) => mapped += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
    }
    ensure!(
        mapped > 0 && refused > 0,
        "{mapped} mapped, {refused} refused"
    );
    did("calls of mmap()", mapped + refused);
    Ok(())
}

/// Returns the flags of the VMA at an address, as `/proc/self/smaps` has them.
fn vm_flags(address: u64) -> Result<String> {
    let smaps = fs::read_to_string("/proc/self/smaps")?;
    let mut lines = smaps.lines();
    let start = format!("{address:x}-");
    lines
        .by_ref()
        .find(|line| line.starts_with(&start))
        .context("no VMA")?;
    let flags = lines.find_map(|line| line.strip_prefix("VmFlags:"));
    Ok(flags.context("no flags")?.trim().to_owned())
}

fn registers() -> Result<()> {
    let (flags, words) = compare("registers", |file| {
        let map = Map::new(&file, abi::REGISTERS, abi::REGISTER_PAGES)?;
        let word = |page: usize| {
            // SAFETY: The page is mapped. A register can be read.
            unsafe {
                map.at
                    .as_ptr()
                    .byte_add(page * PAGE)
                    .cast::<u32>()
                    .read_volatile()
            }
        };
        let words: Vec<_> = (0..abi::REGISTER_PAGES).map(word).collect();
        Ok((vm_flags(map.address())?, words))
    })?;
    for flag in ["pf", "io", "de", "dd"] {
        ensure!(
            flags.split(' ').any(|other| other == flag),
            "{flag}: {flags}"
        );
    }
    did("registers that were read", words.len());
    let iomem = fs::read_to_string("/proc/iomem")?;
    let start = format!("{:08x}-", abi::ADDRESS);
    let is_ours = |line: &str| line.trim_start().starts_with(&start) && line.contains("rust_uio");
    ensure!(iomem.lines().any(is_ours), "no region: {iomem}");
    Ok(())
}

fn memory() -> Result<()> {
    compare("memory", |file| {
        let first = Map::new(&file, abi::MEMORY, abi::MEMORY_PAGES)?;
        let second = Map::new(&file, abi::MEMORY, 1)?;
        ensure!(first.bytes().iter().all(|byte| *byte == 0), "not zeroed");
        first.write(PAGE - 2, b"abcd");
        let seen = second.bytes()[PAGE - 2..].to_vec();
        let kept = first.bytes()[PAGE..PAGE + 2].to_vec();
        first.write(PAGE - 2, &[0; 4]);
        // The `sd` of soft-dirty depends on what was written before.
        Ok((seen, kept, vm_flags(first.address())?.replace(" sd", "")))
    })
    .map(|(seen, kept, _)| assert_eq!((&*seen, &*kept), (&b"ab"[..], &b"cd"[..])))
}

fn debugger() -> Result<()> {
    let both = compare("/proc/self/mem", |file| {
        let mem = OpenOptions::new()
            .read(true)
            .write(true)
            .open("/proc/self/mem")?;
        let mut results = Vec::new();
        for (map, pages) in [(abi::REGISTERS, 4), (abi::MEMORY, 2)] {
            let map = Map::new(&file, map, pages)?;
            for offset in [0, 1, PAGE - 3, pages * PAGE - 8] {
                let mut bytes = [0; 8];
                let at = map.address() + offset as u64;
                let read = result_of(mem.read_at(&mut bytes, at));
                // The same bytes, so that nothing changes.
                let written = result_of(mem.write_at(&bytes, at));
                results.push((read, written, bytes));
            }
        }
        // A mapping that cannot be written.
        let len = PAGE;
        let at = map_file(&file, 0, len, ProtFlags::PROT_READ, SHARED)?;
        let map = Map { at, len };
        let mut bytes = [0; 8];
        let read = result_of(mem.read_at(&mut bytes, map.address()));
        let written = result_of(mem.write_at(&bytes, map.address()));
        results.push((read, written, bytes));
        Ok(results)
    })?;
    ensure!(both[0].0 == Ok(8) && both[0].1 == Ok(8), "{:?}", both[0]);
    let last = both.last().context("no result")?;
    ensure!(last.0 == Ok(8) && last.1.is_err(), "{last:?}");
    did("accesses by /proc/self/mem", 2 * both.len());
    Ok(())
}

/// Up to 7.2, C goes on behind the registers.
fn end_of_registers() -> Result<()> {
    let mem = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/proc/self/mem")?;
    // The kernel maps the registers below this page.
    let len = NonZeroUsize::new(PAGE).context("no length")?;
    let flags = MapFlags::MAP_PRIVATE;
    // SAFETY: The kernel chooses the address.
    let hole = unsafe { mmap_anonymous(None, len, ProtFlags::PROT_NONE, flags)? };
    let map = Map::new(&open(OURS)?, abi::REGISTERS, abi::REGISTER_PAGES)?;
    ensure!(
        map.address() + map.len as u64 == hole.as_ptr() as u64,
        "not below"
    );
    // SAFETY: Nothing points to the page.
    unsafe { munmap(hole, PAGE)? };
    // The first pages are followed by others of the region.
    for pages in [1, abi::REGISTER_PAGES] {
        let end = pages * PAGE;
        let at = map.address() + end as u64 - 8;
        let all = (map.len - end + 8).min(PAGE);
        let mut bytes = [0; PAGE];
        let read = result_of(mem.read_at(&mut bytes, at));
        ensure!(read == Ok(all), "{pages} pages: read {read:?}");
        let written = result_of(mem.write_at(&bytes, at));
        ensure!(written == Ok(all), "{pages} pages: written {written:?}");
    }
    Ok(())
}

fn remap() -> Result<()> {
    for map in [abi::REGISTERS, abi::MEMORY] {
        let _ = compare(&format!("mremap() of map {map}"), |file| {
            let mut map = Map::new(&file, map, 2)?;
            // SAFETY: Nothing points to the pages.
            let larger =
                unsafe { mremap(map.at, map.len, 3 * PAGE, MRemapFlags::MREMAP_MAYMOVE, None) };
            // SAFETY: As above.
            let smaller = unsafe { mremap(map.at, map.len, PAGE, MRemapFlags::empty(), None) };
            if smaller.is_ok() {
                map.len = PAGE;
            }
            Ok((larger.map(drop), smaller.map(drop)))
        })?;
    }
    Ok(())
}

fn events() -> Result<()> {
    compare("read() and write()", |mut file| {
        let mut bytes = [0; 8];
        let mut results = Vec::new();
        for len in [0, 1, 4, 8] {
            results.push(result_of(file.read(&mut bytes[..len])));
            results.push(result_of(file.write(&bytes[..len])));
        }
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::ZERO)?;
        let events = fds[0].revents().context("unknown events")?;
        // C returns an error code in 6.12, which is all events.
        Ok((results, ready, events.contains(PollFlags::POLLERR)))
    })
    .map(drop)
}

fn outlive() -> Result<()> {
    let bytes = compare("memory after close()", |file| {
        let map = Map::new(&file, abi::MEMORY, 2)?;
        drop(file);
        map.write(0, b"kept");
        let bytes = map.bytes()[..4].to_vec();
        map.write(0, &[0; 4]);
        Ok(bytes)
    })?;
    ensure!(bytes == b"kept", "{bytes:?}");
    // The VMA keeps the module.
    let map = Map::new(&open(OURS)?, abi::REGISTERS, 4)?;
    let result = delete_module(c"rust_uio", DeleteModuleFlags::O_NONBLOCK);
    ensure!(result == Err(Errno::EAGAIN), "delete_module(): {result:?}");
    drop(map);
    Ok(())
}

/// Returns the lines of a test program that say what passed, failed or was skipped.
fn run_pfnmap(device: &str) -> Result<Vec<String>> {
    let output = Command::new(PFNMAP).args(["--", device]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let results = text.lines().filter(|line| {
        ["ok", "not ok", "1.."]
            .iter()
            .any(|start| line.starts_with(start))
    });
    Ok(results.map(str::to_owned).collect())
}

fn pfnmap() -> Result<()> {
    if !Path::new(PFNMAP).exists() {
        // The program came with 6.16.
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        ensure!(release.starts_with("6.12"), "no {PFNMAP} on {release}");
        did("left out, as the kernel has no such program", 1);
        return Ok(());
    }
    let (c, ours) = (run_pfnmap(C)?, run_pfnmap(OURS)?);
    ensure!(c == ours, "C {c:#?}, ours {ours:#?}");
    let passed = ours
        .iter()
        .filter(|line| line.starts_with("ok") && !line.contains("SKIP"));
    let passed = passed.count();
    ensure!(passed >= 6 && passed == ours.len() - 1, "{ours:#?}");
    did("tests of pfnmap", passed);
    Ok(())
}

fn main() -> Result<()> {
    let file = File::open(MODULE).context(MODULE)?;
    finit_module(&file, c"", ModuleInitFlags::empty()).context("finit_module()")?;
    ktap::run(TESTS)
}
