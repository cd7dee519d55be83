// SPDX-License-Identifier: GPL-2.0

//! Measures the time of Binder transactions by the clock of the guest.

use anyhow::Result;
use rust_task::{
    binder::{self, Binder, Talk, MANAGER},
    child::Child,
};
use std::{
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

const BUFFER_SIZE: usize = 1 << 20;

/// Names, bytes in each direction, calls. The resolution of the clock may be some milliseconds.
const CASES: &[(&str, usize, u32)] = &[
    ("two-way, empty", 0, 10_000),
    ("two-way, 4 KiB", 4096, 8_000),
    ("two-way, 64 KiB", 65536, 1_000),
];

fn main() -> Result<()> {
    binder::mount_binderfs()?;
    let device = binder::add_device("bench")?;
    let (ready, tell) = nix::unistd::pipe()?;
    let path = device.clone();
    let _server = Child::start(move || {
        let binder = Binder::open(&path, BUFFER_SIZE)?;
        binder.become_manager()?;
        drop(tell);
        binder::serve(&binder, Arc::new(|message| message.data.clone()))
    })?;
    // The end of file means that the server is ready.
    std::fs::File::from(ready).read_to_end(&mut Vec::new())?;

    let mut talk = Talk::new(&Binder::open(&device, BUFFER_SIZE)?);
    for (name, size, calls) in CASES {
        let data = vec![0x5a; *size];
        let mut call = |count: u32| -> Result<Duration> {
            let begin = Instant::now();
            for _ in 0..count {
                let answer = talk.call(MANAGER, 0, &data)?;
                talk.free(answer);
            }
            Ok(begin.elapsed())
        };
        // The first calls allocate the pages.
        call(10)?;
        let nanoseconds = call(*calls)?.as_nanos();
        println!("# time\t{name}\t{calls}\t{nanoseconds}");
    }
    Ok(())
}
