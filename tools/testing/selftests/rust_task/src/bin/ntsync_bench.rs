// SPDX-License-Identifier: GPL-2.0

//! Measures `/dev/ntsync`, of the driver in C or of `rust_ntsync`, by the clock of the guest.

use anyhow::{Context, Result};
use rust_task::ioctl::{call_for, iow, iowr};
use std::{
    fs::{File, OpenOptions},
    os::fd::{AsRawFd, FromRawFd, RawFd},
    thread,
    time::Instant,
};

#[path = "../../../../../../samples/rust/rust_ntsync_abi.rs"]
mod abi;

const DEVICE: &str = "/dev/ntsync";
const ROUNDS: u32 = 100_000;
/// The same for two threads. A wake-up on another CPU is slow in a guest.
const TURNS: u32 = 2_000;
/// The owner of each wait.
const OWNER: u32 = 1;
const CREATE_SEM: u32 = iow::<abi::State>(abi::MAGIC, abi::CREATE_SEM);
const SEM_RELEASE: u32 = iowr::<u32>(abi::MAGIC, abi::SEM_RELEASE);
const WAIT_ANY: u32 = iowr::<abi::Wait>(abi::MAGIC, abi::WAIT_ANY);
const WAIT_ALL: u32 = iowr::<abi::Wait>(abi::MAGIC, abi::WAIT_ALL);

struct Semaphore(File);

impl Semaphore {
    fn new(device: &File) -> Result<Self> {
        let state: abi::State = [0, u32::MAX];
        let fd = call_for(device, CREATE_SEM, state.as_ptr() as usize)?;
        // SAFETY: The driver has just created the descriptor, and nothing else uses it.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    fn release(&self) -> Result<()> {
        let mut count = 1u32;
        call_for(&self.0, SEM_RELEASE, &raw mut count as usize)?;
        Ok(())
    }
}

/// Waits without a limit.
fn wait(device: &File, command: u32, fds: &[RawFd]) -> Result<()> {
    let mut args: abi::Wait = [0; 10];
    let [low, high] = split(fds.as_ptr() as u64);
    args[..6].copy_from_slice(&[u32::MAX, u32::MAX, low, high, fds.len() as u32, 0]);
    args[7] = OWNER;
    call_for(device, command, args.as_mut_ptr() as usize)?;
    Ok(())
}

/// The two fields of a number of 64 bits.
fn split(number: u64) -> [u32; 2] {
    let bytes = number.to_ne_bytes();
    [&bytes[..4], &bytes[4..]].map(|half| {
        let mut word = [0; 4];
        word.copy_from_slice(half);
        u32::from_ne_bytes(word)
    })
}

fn report(name: &str, begin: Instant, rounds: u32) {
    let nanoseconds = begin.elapsed().as_nanos() / u128::from(rounds);
    println!("{name:40} {nanoseconds:>8} ns");
}

/// Releases `count` semaphores, and takes all of them.
fn alone(device: &File, name: &str, command: u32, count: usize) -> Result<()> {
    let semaphores = (0..count)
        .map(|_| Semaphore::new(device))
        .collect::<Result<Vec<_>>>()?;
    let fds: Vec<_> = semaphores.iter().map(|sem| sem.0.as_raw_fd()).collect();
    let begin = Instant::now();
    for _ in 0..ROUNDS {
        for semaphore in &semaphores {
            semaphore.release()?;
        }
        wait(device, command, &fds)?;
    }
    report(name, begin, ROUNDS);
    Ok(())
}

/// Two threads wake each other.
fn in_turns(device: &File) -> Result<()> {
    let (first, second) = (Semaphore::new(device)?, Semaphore::new(device)?);
    let turn = |mine: &Semaphore, other: &Semaphore| -> Result<()> {
        for _ in 0..TURNS {
            wait(device, WAIT_ANY, &[mine.0.as_raw_fd()])?;
            other.release()?;
        }
        Ok(())
    };
    let begin = Instant::now();
    thread::scope(|scope| {
        let thread = scope.spawn(|| turn(&first, &second));
        first.release()?;
        turn(&second, &first)?;
        thread.join().expect("a thread panicked")
    })?;
    report("two threads wake each other", begin, TURNS);
    Ok(())
}

fn main() -> Result<()> {
    let device = OpenOptions::new().read(true).write(true).open(DEVICE);
    let device = device.context(DEVICE)?;
    alone(&device, "a semaphore, released and taken", WAIT_ANY, 1)?;
    alone(
        &device,
        "8 semaphores, released and taken at once",
        WAIT_ALL,
        8,
    )?;
    in_turns(&device)
}
