// SPDX-License-Identifier: GPL-2.0

//! Measures the time of Binder transactions by the clock of the guest.

use anyhow::Result;
use rust_task::{
    binder::{self, Binder, Talk, MANAGER},
    child::{set_fifo, Child},
};
use std::{
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};

const BUFFER_SIZE: usize = 1 << 20;

/// The number of times that each case is measured; the fastest one counts.
const ROUNDS: usize = 8;

/// Names, bytes in each direction, calls of a round. The resolution of the clock may be some
/// milliseconds.
const CASES: &[(&str, usize, u32)] = &[
    ("two-way, empty", 0, 1_250),
    ("two-way, 4 KiB", 4096, 1_000),
    ("two-way, 64 KiB", 65536, 125),
];

/// Returns the time of `count` calls with these bytes.
fn measure(talk: &mut Talk, data: &[u8], count: u32) -> Result<Duration> {
    let begin = Instant::now();
    for _ in 0..count {
        let answer = talk.call(MANAGER, 0, data)?;
        talk.free(answer);
    }
    Ok(begin.elapsed())
}

fn main() -> Result<()> {
    set_fifo()?;
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

    // If all slabs of a size are full, each transaction allocates a page for its objects of this size
    // and frees it again. So each round has one more object of each size: the transactions of clients
    // that do not read the reply.
    let mut clients = Vec::new();
    for (name, size, calls) in CASES {
        let data = vec![0x5a; *size];
        let mut fastest = Duration::MAX;
        for _ in 0..ROUNDS {
            let mut talk = Talk::new(&Binder::open(&device, BUFFER_SIZE)?);
            // The first calls allocate the pages.
            measure(&mut talk, &data, 10)?;
            fastest = fastest.min(measure(&mut talk, &data, *calls)?);
            talk.start_call(MANAGER, 0, &data)?;
            clients.push(talk);
        }
        println!("# time\t{name}\t{calls}\t{}", fastest.as_nanos());
    }
    Ok(())
}
