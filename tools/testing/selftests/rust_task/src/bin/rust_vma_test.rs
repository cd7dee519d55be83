// SPDX-License-Identifier: GPL-2.0

//! Maps `/dev/rust_vma_buffer`, `/dev/test_rust_vma` and `/dev/test_rust_vma_prepare`, does to the areas
//! what programs can do to areas, and compares what the drivers know with /proc.

use anyhow::{anyhow, ensure, Context, Result};
use nix::{
    errno::Errno,
    sys::{
        mman::{madvise, MapFlags, MmapAdvise, ProtFlags},
        prctl::set_pdeathsig,
        signal::Signal,
        wait::WaitStatus,
    },
    unistd::{getpid, getppid, pause},
};
use rust_task::{
    child::{in_child, Child},
    ktap::{self, did, Test},
    procfs,
    vma::{abi, map_at, reserve, test_abi, Buffer, Prepared, Span, Tester, PAGE, READ_WRITE},
};
use std::{
    ffi::c_void,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    ptr::NonNull,
    sync::{Barrier, Mutex},
    thread,
    time::{Duration, Instant},
};

/// How long a process takes to be gone.
const PATIENCE: Duration = Duration::from_secs(60);

const TESTS: &[Test] = &[
    ("mapped when touched", mapped_when_touched),
    ("copies in a private area", private_copies),
    ("behind the buffer", behind_the_buffer),
    ("fork, split and move", each_event),
    ("killed with areas", killed),
    ("another area at the address", another_area),
    ("areas of all kinds", each_kind),
    ("pages taken away", revoked),
    ("a hook that fails", hook_fails),
    ("a hook that sets operations twice", hook_sets_twice),
    ("areas that are alike", alike),
    ("not to be split", not_split),
    ("not to be moved", not_moved),
    ("not to be written to", not_written),
    ("a fault that is repeated", repeated),
    ("faults without the mmap lock", own_lock),
    ("areas of page frames", frames),
    ("areas that are prepared", prepared),
    ("areas that are filled when they are made", filled),
    ("what a debugger sees", debugger),
    ("areas in a storm", storm),
];

const SHARED: MapFlags = MapFlags::MAP_SHARED;
const PRIVATE: MapFlags = MapFlags::MAP_PRIVATE;

fn main() -> Result<()> {
    ktap::run(TESTS)
}

/// Compares what the driver knows of this process with /proc.
fn agree(buffer: &Buffer) -> Result<usize> {
    let (told, there) = (buffer.areas()?, buffer.areas_in_maps()?);
    ensure!(told == there, "the driver: {told:x?}\n/proc: {there:x?}");
    Ok(told.len())
}

/// Fails unless the buffer has so many areas, in all processes.
fn expect(buffer: &Buffer, areas: u64) -> Result<()> {
    let state = buffer.state()?;
    ensure!(state.areas == areas, "{state:?}, {areas} were expected");
    Ok(())
}

/// Has a child touch memory, and returns whether it lived.
fn lives(touch: impl FnOnce()) -> Result<bool> {
    let child = Child::start(|| {
        touch();
        Ok(())
    })?;
    match child.wait()? {
        WaitStatus::Exited(_, 0) => Ok(true),
        WaitStatus::Signaled(_, Signal::SIGBUS, _) => Ok(false),
        other => Err(anyhow!("{other:?}")),
    }
}

fn mapped_when_touched() -> Result<()> {
    let buffer = Buffer::open()?;
    for flags in [SHARED, PRIVATE] {
        let span = buffer.map(3, 8, flags)?;
        for page in 0..8 {
            let head = span.read(page);
            ensure!(head == abi::PAGE_MAGIC + 3 + page as u64, "{head:x}");
        }
        ensure!(agree(&buffer)? == 1);
        expect(&buffer, 1)?;
        span.unmap()?;
        expect(&buffer, 0)?;
    }
    Ok(())
}

fn private_copies() -> Result<()> {
    let buffer = Buffer::open()?;
    let (private, shared) = (buffer.map(0, 1, PRIVATE)?, buffer.map(0, 1, SHARED)?);
    private.write(0, 1);
    ensure!(shared.read(0) == abi::PAGE_MAGIC, "the copy is no copy");
    shared.write(0, 2);
    ensure!(private.read(0) == 1 && shared.read(0) == 2);
    private.unmap()?;
    shared.unmap()?;
    Ok(())
}

fn behind_the_buffer() -> Result<()> {
    let buffer = Buffer::open()?;
    let last = abi::PAGES as u64;
    let refused = buffer.map(last - 1, 2, SHARED).err();
    ensure!(refused == Some(Errno::EINVAL), "{refused:?}");
    expect(&buffer, 0)?;

    // An area with data does not grow, neither by `mremap()` nor by an `mmap()` of what follows.
    for flags in [SHARED, PRIVATE] {
        let room = reserve(3)?;
        let file = Some((buffer.file(), last - 2));
        let span = map_at(Some(room.at), file, 1, READ_WRITE, flags)?;
        room.part(1, 2).unmap()?;
        let refused = span.remap(2, None).err();
        ensure!(refused == Some(Errno::EFAULT), "{refused:?}");
        ensure!(span.read(0) == abi::PAGE_MAGIC + last - 2);

        let file = Some((buffer.file(), last - 1));
        let next = map_at(Some(room.at + PAGE), file, 1, READ_WRITE, flags)?;
        expect(&buffer, 2)?;
        span.unmap()?;
        next.unmap()?;
    }
    Ok(())
}

fn each_event() -> Result<()> {
    let buffer = Buffer::open()?;
    let before = buffer.state()?.buffers;
    let span = buffer.map(0, 8, SHARED)?;
    expect(&buffer, 1)?;

    // Two cuts make three of one, and a hole two.
    span.part(2, 2).protect(ProtFlags::PROT_READ)?;
    expect(&buffer, 3)?;
    span.part(5, 1).unmap()?;
    expect(&buffer, 4)?;
    ensure!(agree(&buffer)? == 4);

    let child = Child::start(|| {
        expect(&buffer, 8)?;
        ensure!(agree(&buffer)? == 4);
        span.part(0, 1).unmap()?;
        // A part of an area is no other area.
        expect(&buffer, 8)
    })?;
    child.join()?;
    expect(&buffer, 4)?;

    // The move takes a part away, and makes an area of it elsewhere.
    let room = reserve(1)?;
    let moved = span.part(6, 1).remap(1, Some(room.at))?;
    ensure!(moved.read(0) == abi::PAGE_MAGIC + 6);
    expect(&buffer, 5)?;
    ensure!(agree(&buffer)? == 5);

    // The file is closed, and the areas keep the buffer.
    let other = Buffer::open()?;
    drop(buffer);
    ensure!(other.state()?.buffers == before + 1);
    ensure!(span.read(0) == abi::PAGE_MAGIC);
    span.unmap()?;
    moved.unmap()?;
    let now = other.state()?.buffers;
    ensure!(now == before, "{now} buffers are left, {before} before");
    Ok(())
}

fn killed() -> Result<()> {
    let buffer = Buffer::open()?;
    for _ in 0..20 {
        let child = Child::start(|| {
            let span = buffer.map(0, 16, SHARED)?;
            span.part(4, 4).protect(ProtFlags::PROT_READ)?;
            let me = getpid();
            let _grandchild = Child::start(|| {
                set_pdeathsig(Signal::SIGKILL)?;
                // It may have been killed before this.
                while getppid() == me {
                    pause();
                }
                Ok(())
            })?;
            loop {
                pause();
            }
        })?;
        wait_for(&buffer, 6)?;
        child.kill()?;
        wait_for(&buffer, 0)?;
    }
    Ok(())
}

/// Waits until the buffer has so many areas.
fn wait_for(buffer: &Buffer, areas: u64) -> Result<()> {
    let begin = Instant::now();
    while buffer.state()?.areas != areas {
        ensure!(
            begin.elapsed() < PATIENCE,
            "{:?}, not {areas}",
            buffer.state()
        );
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// What CVE-2026-43434 was about: an address is no identity.
fn another_area() -> Result<()> {
    let (buffer, other) = (Buffer::open()?, Buffer::open()?);
    let span = buffer.map(0, 4, SHARED)?;
    buffer.insert(span.addr(1))?;
    ensure!(buffer.insert(span.addr(1)) == Err(Errno::EBUSY));
    ensure!(span.read(1) == abi::PAGE_MAGIC + 1);
    ensure!(other.insert(span.addr(2)) == Err(Errno::EINVAL));

    // Memory of the program.
    span.unmap()?;
    ensure!(buffer.insert(span.addr(2)) == Err(Errno::EINVAL));
    map_at(Some(span.at), None, 4, READ_WRITE, PRIVATE)?;
    ensure!(buffer.insert(span.addr(2)) == Err(Errno::EINVAL));
    ensure!(buffer.revoke(span.addr(2)) == Err(Errno::EINVAL));
    ensure!(span.read(2) == 0, "the page is there");

    // The same driver's area, for another file.
    map_at(
        Some(span.at),
        Some((other.file(), 8)),
        4,
        READ_WRITE,
        SHARED,
    )?;
    ensure!(buffer.insert(span.addr(2)) == Err(Errno::EINVAL));
    ensure!(buffer.areas()?.is_empty());
    other.insert(span.addr(2))?;
    ensure!(span.read(2) == abi::PAGE_MAGIC + 10);

    // Another driver's area, of the same table layout.
    let tester = Tester::open()?;
    let file = Some((tester.file(), test_abi::PLAIN));
    map_at(Some(span.at), file, 4, READ_WRITE, SHARED)?;
    for device in [&buffer, &other] {
        ensure!(device.insert(span.addr(2)) == Err(Errno::EINVAL));
    }
    span.unmap()?;
    expect(&buffer, 0)?;
    expect(&other, 0)
}

/// Only the type of the data is asked for.
fn each_kind() -> Result<()> {
    let (buffer, tester) = (Buffer::open()?, Tester::open()?);
    let own = tester.map(test_abi::NO_SPLIT, 1, SHARED)?;
    ensure!(tester.what(own.addr(0)) == Ok(test_abi::NO_SPLIT));

    let theirs = buffer.map(0, 1, SHARED)?;
    let anonymous = reserve(1)?;
    // Operations of a file system.
    let program = std::fs::File::open("/proc/self/exe")?;
    let file = Some((&program, 0));
    let file = map_at(None, file, 1, ProtFlags::PROT_READ, PRIVATE)?;
    for other in [theirs, anonymous, file] {
        let said = tester.what(other.addr(0));
        ensure!(said == Err(Errno::ENOENT), "{said:?}");
    }
    for span in [own, theirs, anonymous, file] {
        span.unmap()?;
        ensure!(tester.what(span.addr(0)) == Err(Errno::ENOENT));
    }
    Ok(())
}

fn revoked() -> Result<()> {
    let buffer = Buffer::open()?;
    let span = buffer.map(0, 4, SHARED)?;
    for _ in 0..100 {
        for page in 0..4 {
            ensure!(span.read(page) == abi::PAGE_MAGIC + page as u64);
        }
        buffer.revoke(span.addr(1))?;
    }
    span.unmap()?;
    Ok(())
}

/// Runs a part of a test, after which all areas and all their data must have gone.
fn nothing_left(tester: &Tester, part: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = tester.events()?;
    part()?;
    let after = tester.events()?;
    let (made, dropped) = (after.made - before.made, after.dropped - before.dropped);
    ensure!(made == dropped, "{made} were made, {dropped} dropped");
    Ok(())
}

fn hook_fails() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let before = tester.events()?;
        for _ in 0..100 {
            let refused = tester.map(test_abi::FAIL, 2, SHARED).err();
            ensure!(refused == Some(Errno::ENODEV), "{refused:?}");
        }
        let after = tester.events()?;
        ensure!(after.made == before.made + 100, "{after:?}");
        // What was never set up is not closed.
        ensure!(after.closed == before.closed, "{after:?}");
        Ok(())
    })
}

fn hook_sets_twice() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let refused = tester.map(test_abi::TWICE, 2, SHARED).err();
        ensure!(refused == Some(Errno::EBUSY), "{refused:?}");
        Ok(())
    })
}

/// Each of them has data of its own, which the kernel does not look at when it merges areas.
fn alike() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        for what in [test_abi::PLAIN, test_abi::CHANGE] {
            let before = tester.events()?;
            let room = reserve(9)?;
            for i in 0..4 {
                let file = Some((tester.file(), what + 2 * i));
                let at = room.at + 2 * i as usize * PAGE;
                map_at(Some(at), file, 2, READ_WRITE, SHARED)?;
            }
            // What was unlike its neighbours becomes like them again.
            let all = room.part(0, 8);
            all.part(3, 2).protect(ProtFlags::PROT_READ)?;
            all.protect(READ_WRITE)?;
            room.unmap()?;

            let after = tester.events()?;
            let (made, opened) = (after.made - before.made, after.opened - before.opened);
            ensure!(made == 4 && opened == 2, "{after:?}");
            let closed = after.closed - before.closed;
            ensure!(closed == made + opened, "{closed} have gone: {after:?}");
        }
        Ok(())
    })
}

fn not_split() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let span = tester.map(test_abi::NO_SPLIT, 4, SHARED)?;
        ensure!(span.part(1, 1).unmap() == Err(Errno::EINVAL));
        ensure!(span.part(1, 1).protect(ProtFlags::PROT_READ) == Err(Errno::EINVAL));
        span.protect(ProtFlags::PROT_READ)?;
        span.unmap()?;

        let span = tester.map(test_abi::PLAIN, 4, SHARED)?;
        span.part(1, 1).unmap()?;
        span.unmap()?;
        Ok(())
    })
}

fn not_moved() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let room = reserve(2)?;
        let span = tester.map(test_abi::NO_MOVE, 2, SHARED)?;
        span.write(0, 5);
        let refused = span.remap(2, Some(room.at)).err();
        ensure!(refused == Some(Errno::EINVAL), "{refused:?}");
        ensure!(span.read(0) == 5);
        span.unmap()?;

        // It may have been left empty.
        let room = reserve(2)?;
        let before = tester.events()?.moved;
        let span = tester.map(test_abi::PLAIN, 2, SHARED)?;
        span.write(0, 6);
        let span = span.remap(2, Some(room.at))?;
        ensure!(span.read(0) == 6);
        ensure!(tester.events()?.moved == before + 1);
        span.unmap()?;
        Ok(())
    })
}

fn not_written() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let span = tester.map(test_abi::NO_WRITE, 1, SHARED)?;
        ensure!(span.read(0) == 0);
        ensure!(!lives(|| span.write(0, 1))?, "it was written to");
        span.unmap()?;

        let before = tester.events()?.written;
        let span = tester.map(test_abi::PLAIN, 1, SHARED)?;
        span.read(0);
        span.write(0, 1);
        span.write(0, 2);
        ensure!(span.read(0) == 2);
        let written = tester.events()?.written - before;
        ensure!(written == 1, "it became writable {written} times");
        span.unmap()?;
        Ok(())
    })
}

fn repeated() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let before = tester.events()?;
        let other = Tester::open()?;
        let span = other.map(test_abi::LATER, 1, SHARED)?;
        ensure!(span.read(0) == 0);
        let after = tester.events()?;
        ensure!(after.repeated == before.repeated + 1, "{after:?}");
        ensure!(after.faults == before.faults + 2, "{after:?}");

        // The file is kept while the fault waits, and not for longer.
        span.unmap()?;
        drop(other);
        let after = tester.events()?;
        ensure!(after.released == before.released + 1, "{after:?}");
        Ok(())
    })
}

/// How many faults the kernel has served under areas' own locks, and how many began anew.
fn served_and_retried() -> Result<(u64, u64)> {
    let text = fs::read_to_string("/proc/vmstat")?;
    let count = |name: &str| -> Result<u64> {
        let value = text.lines().find_map(|l| l.strip_prefix(name));
        Ok(value
            .with_context(|| format!("no {name}"))?
            .trim()
            .parse()?)
    };
    Ok((count("vma_lock_success ")?, count("vma_lock_retry ")?))
}

/// Each page is touched twice: for reading, and then for writing.
fn own_lock() -> Result<()> {
    let tester = Tester::open()?;
    let pages = 256;
    let span = tester.map(0, pages, SHARED)?;
    let (events, before) = (tester.events()?, served_and_retried()?);
    for page in 0..pages {
        span.read(page);
        span.write(page, 1);
    }
    let (after, events_after) = (served_and_retried()?, tester.events()?);
    span.unmap()?;

    let all = 2 * pages as u64;
    let asked = events_after.faults - events.faults + events_after.written - events.written;
    ensure!(asked == all, "{asked} of {all} faults");
    let (served, retried) = (after.0 - before.0, after.1 - before.1);
    did("faults under the area's own lock", result);
    // Somebody else may wait for a page meanwhile.
    ensure!(
        served >= all && retried < all / 8,
        "{served} served, {retried} retried"
    );
    Ok(())
}

fn frames() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        for what in [test_abi::FRAME, test_abi::LATE_FRAME] {
            let span = tester.map(what, 1, SHARED)?;
            let flags = procfs::flags_of(span.addr(0))?;
            for flag in ["pf", "io", "de", "dd"] {
                ensure!(flags.contains(flag), "{what}: no {flag} in{flags}");
            }
            ensure!(span.read(0) == 0);
            span.write(0, what);
            // A child and a place that it is moved to have the same frame.
            let to = reserve(1)?;
            let moved = span.remap(1, Some(to.at))?;
            ensure!(moved.read(0) == what);
            in_child(|| {
                ensure!(moved.read(0) == what);
                moved.write(0, what + 1);
                Ok(())
            })?;
            ensure!(
                moved.read(0) == what + 1,
                "{what}: the child has another frame"
            );
            moved.unmap()?;
        }

        // Each page is the same frame.
        let span = tester.map(test_abi::LATE_FRAME, 3, SHARED)?;
        span.write(2, 7);
        ensure!((span.read(0), span.read(1)) == (7, 7));
        span.part(1, 1).unmap()?;
        ensure!(span.read(2) == 7);
        span.unmap()?;

        // The same number, whether it is a frame or a page.
        let span = tester.map(test_abi::MIXED, 4, SHARED)?;
        span.write(0, 8);
        ensure!([span.read(1), span.read(2), span.read(3)] == [8; 3]);
        span.part(0, 2).unmap()?;
        in_child(|| {
            span.write(3, 9);
            Ok(())
        })?;
        ensure!(span.read(2) == 9);
        span.part(2, 2).unmap()?;

        // Others may not be written to by who has them alone, and none of them takes pages.
        for (what, flags, errno) in [
            (test_abi::FRAME, MapFlags::MAP_PRIVATE, Errno::EINVAL),
            (test_abi::LATE_FRAME, MapFlags::MAP_PRIVATE, Errno::EINVAL),
            (test_abi::BOTH, SHARED, Errno::EBUSY),
        ] {
            let refused = tester.map(what, 1, flags).err();
            ensure!(refused == Some(errno), "{what}: {refused:?}");
        }
        Ok(())
    })
}

/// The data is that of the file, of which an area takes its own count when it is made.
fn prepared() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let file = Prepared::open()?;
        let before = tester.events()?;

        // What comes to nothing takes no count: one too many would stay when the file goes.
        for _ in 0..100 {
            for (what, errno) in [
                (test_abi::FAIL, Errno::ENODEV),
                (test_abi::TWICE, Errno::EBUSY),
                (test_abi::BOTH, Errno::EBUSY),
            ] {
                let refused = file.map(what, 2, SHARED).err();
                ensure!(refused == Some(errno), "{what}: {refused:?}");
            }
        }
        ensure!(tester.events()? == before, "{:?}", tester.events()?);

        for what in [test_abi::PLAIN, test_abi::MIXED, test_abi::LATE_FRAME] {
            let before = tester.events()?;
            let span = file.map(what, 4, SHARED)?;
            ensure!(tester.what(span.addr(3)) == Ok(1));
            span.write(0, what);
            ensure!(span.read(3) == what);
            in_child(|| {
                ensure!(span.read(1) == what);
                Ok(())
            })?;
            span.part(1, 1).unmap()?;
            let to = reserve(2)?;
            let moved = span.part(2, 2).remap(2, Some(to.at))?;
            ensure!(moved.read(1) == what && tester.what(moved.addr(0)) == Ok(1));
            ensure!(moved.remap(3, None).is_err(), "{what}: it has grown");
            moved.unmap()?;
            span.part(0, 1).unmap()?;

            let after = tester.events()?;
            let (opened, closed) = (after.opened - before.opened, after.closed - before.closed);
            // The child's, the gap, the part behind it, its new place.
            ensure!(opened == 4 && closed == 5, "{what}: {after:?}");
            // With one too few, the last area would have dropped the data of the file.
            ensure!(after.dropped == before.dropped, "{what}: {after:?}");
        }

        // Neighbours are alike, but each has a count.
        let room = reserve(4)?;
        let before = tester.events()?;
        file.map_at(room.part(0, 2), test_abi::PLAIN)?;
        file.map_at(room.part(2, 2), test_abi::PLAIN + 2)?;
        room.unmap()?;
        ensure!(tester.events()?.closed - before.closed == 2);

        let span = file.map_to_read(test_abi::CHANGE, 1)?;
        let flags = procfs::flags_of(span.addr(0))?;
        for flag in ["io", "dc", "dd", "de"] {
            ensure!(flags.contains(flag), "no {flag} in{flags}");
        }
        ensure!(span.protect(READ_WRITE) == Err(Errno::EACCES));
        // It keeps the data without its file.
        drop(file);
        ensure!(span.read(0) == test_abi::LATE_FRAME);
        span.unmap()?;
        Ok(())
    })
}

/// What a hook has had mapped is there at once, and if it cannot be, there is no area.
fn filled() -> Result<()> {
    let tester = Tester::open()?;
    nothing_left(&tester, || {
        let file = Prepared::open()?;
        let pages = file.map(test_abi::PAGES, 2, SHARED)?;
        let before = tester.events()?;
        pages.write(0, 5);
        pages.write(1, 6);
        let frame = file.map(test_abi::FRAME, 1, SHARED)?;
        ensure!(frame.read(0) == 5);
        let larger = file.map(test_abi::PAGES, 3, SHARED)?;
        ensure!((larger.read(0), larger.read(1)) == (5, 6));
        for (span, flags) in [(pages, &["mm"][..]), (frame, &["pf", "io", "de", "dd"])] {
            let all = procfs::flags_of(span.addr(0))?;
            for flag in flags {
                ensure!(all.contains(flag), "no {flag} in{all}");
            }
            ensure!(tester.what(span.addr(0)) == Err(Errno::ENOENT));
        }
        ensure!(!lives(|| {
            larger.read(2);
        })?);

        for (what, pages, flags, errno) in [
            (test_abi::PAGES, 1, SHARED, Errno::EFAULT),
            (test_abi::FRAME, 2, SHARED, Errno::EINVAL),
            (test_abi::FRAME, 1, PRIVATE, Errno::EINVAL),
            (test_abi::LATE_FRAME, 1, PRIVATE, Errno::EINVAL),
        ] {
            let refused = file.map(what, pages, flags).err();
            ensure!(refused == Some(errno), "{what}: {refused:?}");
        }

        // A child has the frame too, and pages when it touches them, which nobody serves.
        in_child(|| {
            ensure!(frame.read(0) == 5);
            Ok(())
        })?;
        for span in [pages, frame, larger] {
            span.unmap()?;
        }
        // None of them was asked anything.
        let after = tester.events()?;
        ensure!((after.faults, after.closed) == (before.faults, before.closed));
        Ok(())
    })
}

/// A debugger reads and writes page frames through the driver.
fn debugger() -> Result<()> {
    let tester = Tester::open()?;
    let mem = File::options()
        .read(true)
        .write(true)
        .open("/proc/self/mem")?;
    let read = |from, len| -> io::Result<Vec<u8>> {
        let mut bytes = vec![0xff; len];
        let done = mem.read_at(&mut bytes, from)?;
        bytes.truncate(done);
        Ok(bytes)
    };
    let page = PAGE as u64;

    for (what, pages) in [(test_abi::FRAME, 1), (test_abi::LATE_FRAME, 2)] {
        // Nothing is mapped behind it.
        let place = reserve(pages + 1)?;
        let span = tester.map(what, pages, SHARED)?;
        let span = span.remap(pages, Some(place.at))?;
        place.part(pages, 1).unmap()?;
        let start = span.addr(0);
        span.write(0, 0x0102_0304_0506_0708);
        ensure!(
            read(start, 8)? == span.read(0).to_ne_bytes(),
            "{what}: another number"
        );
        ensure!(mem.write_at(&[9; 3], start + 2)? == 3);
        ensure!(span.read(0).to_le_bytes() == [8, 7, 9, 9, 9, 3, 2, 1]);
        // What is asked for goes on behind the area.
        let last = start + span.bytes() as u64 - 4;
        ensure!(read(last, 100)? == [0; 4], "{what}: more than there is");
        // A debugger does not write where the program may not.
        span.protect(ProtFlags::PROT_READ)?;
        let refused = mem.write_at(&[0], start).map_err(|err| err.raw_os_error());
        ensure!(refused == Err(Some(libc::EIO)), "{what}: {refused:?}");
        ensure!(span.read(0).to_le_bytes()[0] == 8);
        span.unmap()?;
        ensure!(read(start, 8).is_err());
    }

    // The handler of all other areas is not asked, as they have pages.
    let span = tester.map(0, 1, SHARED)?;
    ensure!(mem.write_at(&[1], span.addr(0) + page - 1)? == 1 && span.read(0) == 0);
    Ok(span.unmap()?)
}

/// How many threads do how many things, and how often they stop to be compared.
const THREADS: u64 = 3;
const STEPS: usize = 150;
const STOPS: usize = 8;

fn storm() -> Result<()> {
    in_child(|| {
        let buffer = Buffer::open()?;
        let tester = Tester::open()?;
        let places: Vec<Span> = (0..THREADS)
            .map(|_| reserve(2 * abi::PAGES))
            .collect::<Result<_, _>>()?;
        let stop = Barrier::new(THREADS as usize + 1);
        let most = Mutex::new(0);

        nothing_left(&tester, || {
            thread::scope(|scope| -> Result<()> {
                let (buffer, stop) = (&buffer, &stop);
                for (seed, place) in places.iter().enumerate() {
                    let mut rng = fastrand::Rng::with_seed(seed as u64);
                    scope.spawn(move || {
                        for _ in 0..STOPS {
                            for _ in 0..STEPS {
                                step(&mut rng, buffer, *place);
                            }
                            stop.wait();
                            // This is where they are compared.
                            stop.wait();
                        }
                    });
                }
                let mut verdict = Ok(());
                for _ in 0..STOPS {
                    stop.wait();
                    let found = agree(buffer).and_then(|areas| {
                        let mut most = most.lock().map_err(|_| anyhow!("poisoned"))?;
                        *most = areas.max(*most);
                        // Children come and go with a thread's step.
                        expect(buffer, areas as u64)
                    });
                    verdict = verdict.and(found);
                    stop.wait();
                }
                verdict
            })
        })?;
        for place in places {
            place.unmap()?;
        }
        did(
            "areas at a time",
            most.lock().map_err(|_| anyhow!("poisoned"))?,
        );
        expect(&buffer, 0)
    })
}

/// Does something to some pages of a place. All of it may be refused.
fn step(rng: &mut fastrand::Rng, buffer: &Buffer, place: Span) {
    let first = rng.usize(..place.pages - 8);
    let span = place.part(first, rng.usize(1..8));
    let flags = if rng.bool() { SHARED } else { PRIVATE };

    let _ = match rng.u8(..10) {
        0..=3 => {
            let pgoff = rng.u64(..abi::PAGES as u64 - 8);
            map_at(
                Some(span.at),
                Some((buffer.file(), pgoff)),
                span.pages,
                READ_WRITE,
                flags,
            )
            .map(drop)
        }
        // The reservation comes back, so that nobody else gets the place.
        4 => map_at(
            Some(span.at),
            None,
            span.pages,
            ProtFlags::PROT_NONE,
            PRIVATE,
        )
        .map(drop),
        5 => span.protect(if rng.bool() {
            ProtFlags::PROT_READ
        } else {
            READ_WRITE
        }),
        6 => {
            let to = place.part(rng.usize(..place.pages - 8), 1).at;
            let moved = span.remap(span.pages, Some(to)).map(drop);
            // The hole that it leaves is filled.
            let _ = fill(place);
            moved
        }
        7 => {
            // SAFETY: Nobody relies on what is in these pages.
            let _ = NonNull::new(span.at as *mut c_void)
                .map(|at| unsafe { madvise(at, span.bytes(), MmapAdvise::MADV_DONTNEED) });
            buffer.revoke(span.addr(0))
        }
        8 => buffer.insert(span.addr(0)),
        _ => {
            // SAFETY: The child has a copy of all areas, and leaves.
            match unsafe { libc::fork() } {
                0 => unsafe { libc::_exit(0) },
                // SAFETY: It waits for the child, which ends.
                child => unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) },
            };
            Ok(())
        }
    };
}

/// Puts the reservation where a place has nothing.
fn fill(place: Span) -> Result<(), Errno> {
    for page in 0..place.pages {
        let one = place.part(page, 1);
        let flags = PRIVATE | MapFlags::MAP_FIXED_NOREPLACE;
        let at = std::num::NonZeroUsize::new(one.at);
        let len = std::num::NonZeroUsize::new(one.bytes()).ok_or(Errno::EINVAL)?;
        // SAFETY: It replaces nothing.
        let _ = unsafe { nix::sys::mman::mmap_anonymous(at, len, ProtFlags::PROT_NONE, flags) };
    }
    Ok(())
}
