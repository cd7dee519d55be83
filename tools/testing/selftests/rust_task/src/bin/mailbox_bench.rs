// SPDX-License-Identifier: GPL-2.0

//! Measures messages between processes: `rust_mailbox`, a Unix socket, two pipes,
//! `process_vm_writev()` with pipes that say when, and Rust Binder if the kernel has it.
//!
//! Both processes of a pair run on one CPU, and send a message in turn. The receiver of a message
//! reads one byte of each page. Of several runs, the fastest one counts. With `instructions=1`, one
//! pair is measured. With `-icount`, the clock of the guest advances by 1 ns for each instruction.

use anyhow::{ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{sched_setaffinity, CpuSet},
    sys::uio::{process_vm_writev, RemoteIoVec},
    unistd::{getpid, getppid, pipe, Pid},
};
use rust_task::{
    binder::{self, Binder, Event, Talk, MANAGER},
    child::{set_fifo, Child},
    mailbox::{Mailbox, FOREVER},
    memory::{Memory, PAGE},
    params,
};
use std::{
    fs::{self, File},
    io::{IoSlice, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    thread::{self, available_parallelism},
    time::{Duration, Instant},
};

const SIZES: &[usize] = &[0, 64, 4096, 65536];
const PAIRS: &[usize] = &[1, 4, 16];
const PORT: u64 = 1;
/// Messages in each direction before the measurement, and in it. With more than 4 pairs, each sends
/// fewer.
const WARM_UP: usize = 50;
const ROUNDS: usize = 1500;
const RUNS: usize = 3;
const LONGEST: usize = 65536;
const CPUS: usize = 2;

/// Returns the value of a counter that is finer than the clock of the guest, which may have some
/// milliseconds.
fn ticks() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: Each CPU of this architecture has the instruction.
    return unsafe { std::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    return {
        use std::time::{SystemTime, UNIX_EPOCH};
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| now.as_nanos() as u64)
    };
}

/// One end of a connection.
trait End {
    /// Sends that many bytes.
    fn send(&mut self, len: usize) -> Result<()>;
    /// Receives a message of that many bytes.
    fn receive(&mut self, len: usize) -> Result<()>;
}

/// Has each page of a message read.
fn look(bytes: &[u8]) {
    let sum = bytes.iter().step_by(PAGE).fold(0u8, |sum, byte| sum ^ byte);
    std::hint::black_box(sum);
}

struct ByMailbox {
    mailbox: Mailbox,
    peer: Pid,
    bytes: Vec<u8>,
}

impl ByMailbox {
    fn new(peer: Pid) -> Result<Self> {
        Ok(Self {
            mailbox: Mailbox::new(64, PORT)?,
            peer,
            bytes: vec![0x5a; LONGEST],
        })
    }
}

impl End for ByMailbox {
    fn send(&mut self, len: usize) -> Result<()> {
        loop {
            match self.mailbox.send(self.peer, PORT, &self.bytes[..len]) {
                // The peer has not got so far.
                Err(Errno::ECONNREFUSED) => thread::sleep(Duration::from_millis(1)),
                result => return Ok(result?),
            }
        }
    }

    fn receive(&mut self, len: usize) -> Result<()> {
        let message = self.mailbox.receive(FOREVER)?;
        ensure!(message.len == len as u64);
        look(self.mailbox.bytes(message.offset, message.len));
        Ok(self.mailbox.release(message.id)?)
    }
}

struct BySocket {
    socket: UnixDatagram,
    bytes: Vec<u8>,
}

impl End for BySocket {
    fn send(&mut self, len: usize) -> Result<()> {
        let sent = self.socket.send(&self.bytes[..len])?;
        ensure!(sent == len);
        Ok(())
    }

    fn receive(&mut self, len: usize) -> Result<()> {
        let got = self.socket.recv(&mut self.bytes)?;
        ensure!(got == len);
        look(&self.bytes[..len]);
        Ok(())
    }
}

struct ByPipes {
    from: File,
    to: File,
    bytes: Vec<u8>,
}

impl End for ByPipes {
    fn send(&mut self, len: usize) -> Result<()> {
        // A pipe has no empty messages.
        Ok(self.to.write_all(&self.bytes[..len.max(1)])?)
    }

    fn receive(&mut self, len: usize) -> Result<()> {
        self.from.read_exact(&mut self.bytes[..len.max(1)])?;
        look(&self.bytes[..len]);
        Ok(())
    }
}

/// Writes to the memory of the peer, which has it at the same address.
struct ByWritev {
    pipes: ByPipes,
    peer: Pid,
    memory: Memory,
    source: Vec<u8>,
}

impl End for ByWritev {
    fn send(&mut self, len: usize) -> Result<()> {
        if len > 0 {
            let base = self.memory.addr(0);
            let from = [IoSlice::new(&self.source[..len])];
            let written = process_vm_writev(self.peer, &from, &[RemoteIoVec { base, len }])?;
            ensure!(written == len);
        }
        self.pipes.send(1)
    }

    fn receive(&mut self, len: usize) -> Result<()> {
        self.pipes.receive(1)?;
        let sum = (0..len)
            .step_by(PAGE)
            .fold(0, |sum, at| sum ^ self.memory.byte(at));
        std::hint::black_box(sum);
        Ok(())
    }
}

/// The messages of a run.
#[derive(Clone, Copy)]
struct Plan {
    len: usize,
    rounds: usize,
}

/// Sends messages in turn with a child. Returns the ticks of the round trips.
fn ping<E: End>(
    Plan { len, rounds }: Plan,
    child: impl FnOnce() -> Result<E>,
    parent: impl FnOnce(Pid) -> Result<E>,
) -> Result<Vec<u64>> {
    let server = Child::start(move || {
        let mut end = child()?;
        for _ in 0..WARM_UP + rounds {
            end.receive(len)?;
            end.send(len)?;
        }
        Ok(())
    })?;
    let mut end = parent(server.pid())?;
    let times = repeat(rounds, || {
        end.send(len)?;
        end.receive(len)
    })?;
    server.join()?;
    Ok(times)
}

/// Returns the ticks of each round but the first ones.
fn repeat(rounds: usize, mut round: impl FnMut() -> Result<()>) -> Result<Vec<u64>> {
    for _ in 0..WARM_UP {
        round()?;
    }
    let mut times = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let begin = ticks();
        round()?;
        times.push(ticks() - begin);
    }
    Ok(times)
}

fn by_mailbox(plan: Plan) -> Result<Vec<u64>> {
    ping(plan, || ByMailbox::new(getppid()), ByMailbox::new)
}

fn by_socket(plan: Plan) -> Result<Vec<u64>> {
    let (a, b) = UnixDatagram::pair()?;
    let end = |socket| BySocket {
        socket,
        bytes: vec![0x5a; LONGEST],
    };
    ping(plan, move || Ok(end(a)), move |_| Ok(end(b)))
}

fn two_pipes() -> Result<(ByPipes, ByPipes)> {
    let ((from, tell), (hear, to)) = (pipe()?, pipe()?);
    let end = |from: OwnedFd, to: OwnedFd| ByPipes {
        from: from.into(),
        to: to.into(),
        bytes: vec![0x5a; LONGEST],
    };
    Ok((end(from, to), end(hear, tell)))
}

fn by_pipes(plan: Plan) -> Result<Vec<u64>> {
    let (a, b) = two_pipes()?;
    ping(plan, move || Ok(a), move |_| Ok(b))
}

fn by_writev(plan: Plan) -> Result<Vec<u64>> {
    let (a, b) = two_pipes()?;
    // Each process has its own pages at this address.
    let memory = Memory::new(LONGEST / PAGE)?;
    let at = memory.at(0);
    let end = move |pipes, peer| -> Result<ByWritev> {
        let memory = Memory::mapped(at, LONGEST / PAGE);
        memory.fill(1);
        let source = vec![0x5a; LONGEST];
        Ok(ByWritev {
            pipes,
            peer,
            memory,
            source,
        })
    };
    let times = ping(plan, move || end(a, getppid()), move |peer| end(b, peer));
    memory.unmap(0, LONGEST / PAGE)?;
    times
}

/// Makes calls with an answer. That is one system call for each process and round.
fn by_binder(Plan { len, rounds }: Plan) -> Result<Vec<u64>> {
    const BUFFER_SIZE: usize = 1 << 20;
    // A context of its own, which needs a name of its own.
    let device = binder::add_device(&format!("bench{}", getpid()))?;
    let (ready, tell) = pipe()?;
    let path = device.clone();
    let server = Child::start(move || {
        let binder = Binder::open(&path, BUFFER_SIZE)?;
        binder.become_manager()?;
        drop(tell);
        let mut talk = Talk::new(&binder).first_bytes_only();
        talk.enter()?;
        let answer = vec![0x5a; len];
        loop {
            if let Event::Transaction(message) = talk.event()? {
                look(&message.data);
                talk.reply(message, &answer)?;
            }
        }
    })?;
    // The end of file means that the server is ready.
    File::from(ready).read_to_end(&mut Vec::new())?;
    let mut talk = Talk::new(&Binder::open(&device, BUFFER_SIZE)?).first_bytes_only();
    let call = vec![0x5a; len];
    let times = repeat(rounds, || {
        let answer = talk.call(MANAGER, 0, &call)?;
        look(&answer.data);
        talk.free(answer);
        Ok(())
    })?;
    server.kill()?;
    fs::remove_file(device)?;
    Ok(times)
}

type Way = (&'static str, fn(Plan) -> Result<Vec<u64>>);

const WAYS: &[Way] = &[
    ("rust_mailbox", by_mailbox),
    ("Unix socket", by_socket),
    ("pipes", by_pipes),
    ("process_vm_writev()", by_writev),
    ("Binder", by_binder),
];

/// Returns those that the kernel has.
fn ways() -> Result<Vec<&'static Way>> {
    let has_binder = fs::read_to_string("/proc/filesystems")?.contains("binder");
    if has_binder {
        binder::mount_binderfs()?;
    }
    // Without NET, there is no such system call; without UNIX, no such family.
    let missing = [Some(libc::ENOSYS), Some(libc::EAFNOSUPPORT)];
    let has_sockets = match UnixDatagram::unbound() {
        Err(err) if missing.contains(&err.raw_os_error()) => false,
        other => other.map(|_| true)?,
    };
    let is_there = |(name, _): &&Way| match *name {
        "Binder" => has_binder,
        "Unix socket" => has_sockets,
        _ => true,
    };
    Ok(WAYS.iter().filter(is_there).collect())
}

/// The messages in a second, and the times of a message in microseconds, sorted.
struct Run {
    rate: f64,
    times: Vec<f64>,
}

/// Runs a way in several pairs of processes at the same time.
fn run(way: fn(Plan) -> Result<Vec<u64>>, len: usize, pairs: usize) -> Result<Run> {
    let rounds = ROUNDS / pairs.div_ceil(4);
    let plan = Plan { len, rounds };
    let (from, to) = pipe()?;
    let (begin, first) = (Instant::now(), ticks());
    let children = (0..pairs)
        .map(|pair| {
            let mut to = File::from(to.try_clone()?);
            Child::start(move || {
                let mut cpu = CpuSet::new();
                cpu.set(pair % available_parallelism()?.get().min(CPUS))?;
                sched_setaffinity(Pid::from_raw(0), &cpu)?;
                for time in way(plan)? {
                    to.write_all(&time.to_ne_bytes())?;
                }
                Ok(())
            })
        })
        .collect::<Result<Vec<_>>>()?;
    drop(to);
    let mut bytes = Vec::new();
    File::from(from).read_to_end(&mut bytes)?;
    let (elapsed, ticks) = (begin.elapsed(), ticks() - first);
    for child in children {
        child.join()?;
    }
    let tick = elapsed.as_micros() as f64 / ticks as f64;
    let mut times: Vec<f64> = bytes
        .chunks_exact(8)
        .map(|time| Ok(u64::from_ne_bytes(time.try_into()?) as f64 * tick / 2.0))
        .collect::<Result<_>>()?;
    ensure!(times.len() == pairs * rounds);
    times.sort_unstable_by(f64::total_cmp);
    let messages = 2 * pairs * (WARM_UP + rounds);
    let rate = messages as f64 / elapsed.as_secs_f64();
    Ok(Run { rate, times })
}

/// Prints the fastest of several runs: the way, the bytes, the pairs, the messages in a second, and the
/// median and the 99th percentile of the time of a message in microseconds.
fn measure((name, way): &Way, len: usize, pairs: usize) -> Result<()> {
    let runs = (0..RUNS)
        .map(|_| run(*way, len, pairs))
        .collect::<Result<Vec<_>>>()?;
    let fastest = runs.iter().max_by(|a, b| a.rate.total_cmp(&b.rate));
    let Run { rate, times } = fastest.context("no run")?;
    let at = |percent: usize| times[times.len() * percent / 100];
    println!(
        "# messages\t{name}\t{len}\t{pairs}\t{rate:.0}\t{:.1}\t{:.1}",
        at(50),
        at(99)
    );
    Ok(())
}

/// Prints the instructions of a message: those of both processes, and of the kernel.
fn instructions() -> Result<()> {
    set_fifo()?;
    let ways = ways()?;
    for len in SIZES {
        for (name, way) in &ways {
            let mut fewest = f64::INFINITY;
            for _ in 0..RUNS {
                let Run { times, .. } = run(*way, *len, 1)?;
                let sum: f64 = times.iter().sum();
                fewest = fewest.min(sum / times.len() as f64);
            }
            println!("# message\t{name}\t{len}\t{:.0}", fewest * 1000.0);
        }
    }
    Ok(())
}

fn main() -> Result<()> {
    if params::text("instructions").is_some() {
        return instructions();
    }
    let ways = ways()?;
    for len in SIZES {
        for pairs in PAIRS {
            for way in &ways {
                measure(way, *len, *pairs).with_context(|| way.0)?;
            }
        }
    }
    Ok(())
}
