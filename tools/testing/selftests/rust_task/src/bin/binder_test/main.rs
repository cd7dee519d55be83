// SPDX-License-Identifier: GPL-2.0

//! Transactions between processes through Binder, some of which are killed.

use anyhow::{bail, ensure, Context, Result};
use nix::{
    errno::Errno,
    sched::{unshare, CloneFlags},
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::{pipe, setresuid, write, Uid},
};
use rust_task::{
    binder::{self, Binder, Event, Failure, Message, Talk, MANAGER},
    child::{in_child, in_namespace, wait_for, Child},
    ktap::{self, fact, Test},
    procfs::{self, drop_slab, Status},
};
use std::{
    collections::HashSet,
    fs::{self, File},
    io::{Read, Write},
    os::fd::{AsRawFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Condvar, Mutex,
    },
    thread,
    time::Duration,
};

const TESTS: &[Test] = &[
    ("two-way, 0 to 64 KiB", two_way),
    ("one-way, 0 to 64 KiB", one_way),
    ("several threads and processes", several_threads),
    ("PID and EUID of the sender", sender),
    ("across PID namespaces", across_namespaces),
    ("death notification", object_and_its_death),
    ("files closed with a transaction", files_are_closed),
    ("server killed during a transaction", server_killed),
    ("client killed during a transaction", client_killed),
    ("clients killed at random", clients_killed_at_random),
    ("shrinker", shrinker),
    ("memory pressure", memory_pressure),
];

const KIB: usize = 1024;
const PAGE: usize = 4 * KIB;
/// The largest mapping that Binder uses.
const MAPPING_SIZE: usize = 4096 * KIB;
/// Sizes around the boundaries of words and pages.
const SIZES: &[usize] = &[
    0,
    1,
    7,
    8,
    PAGE - 1,
    PAGE,
    PAGE + 1,
    3 * PAGE,
    64 * KIB - 1,
    64 * KIB,
];

// The codes of the standard server.

/// Replies with the data in reverse order.
const REVERSE: u32 = 1;
/// Stores the `u32` at the start of the data. Replies without data.
const STORE: u32 = 2;
/// Replies with the stored values.
const STORED: u32 = 3;
/// Replies with the PID and EUID of the sender.
const SENDER: u32 = 4;
/// Replies with the TID, once the value of threads in the data has arrived.
const WAIT_FOR_THREADS: u32 = 5;
/// Replies with the resident size of the server's mapping in kB.
const RESIDENT: u32 = 6;

fn main() -> Result<()> {
    binder::mount_binderfs()?;
    ktap::run(TESTS)
}

/// A process that is the context manager of a device.
struct Server {
    process: Child,
    device: PathBuf,
}

impl Server {
    /// Starts the standard server on a new device.
    fn start(device: &str, threads: u32) -> Result<Self> {
        Self::start_with(binder::add_device(device)?, move |binder| {
            binder.set_max_threads(threads)?;
            let state = State::default();
            state.mapping.store(binder.mapping(), Ordering::Relaxed);
            binder::serve(binder, Arc::new(move |message| state.reply(message)))
        })
    }

    /// Starts a process that becomes the manager of `device`, and then is `run`.
    fn start_with(device: PathBuf, run: impl FnOnce(&Arc<Binder>) -> Result<()>) -> Result<Self> {
        let (ready, tell) = pipe()?;
        let path = device.clone();
        let process = Child::start(move || {
            let binder = Binder::open(&path, MAPPING_SIZE)?;
            // Binder releases a dead context manager asynchronously.
            wait_for("the device has a manager", || {
                match binder.become_manager() {
                    Err(Errno::EBUSY) => Ok(false),
                    other => other.map(|()| true).map_err(Into::into),
                }
            })?;
            File::from(tell).write_all(b"!")?;
            run(&binder)
        })?;
        // The write end is closed in this process, and in the child if it fails, so this read ends.
        File::from(ready)
            .read_exact(&mut [0])
            .context("the server did not start")?;
        Ok(Self { process, device })
    }

    /// Opens the device in this process.
    fn client(&self) -> Result<Talk> {
        client(&self.device)
    }
}

fn client(device: &Path) -> Result<Talk> {
    Ok(Talk::new(&Binder::open(device, MAPPING_SIZE)?))
}

/// The state of the standard server.
#[derive(Default)]
struct State {
    stored: Mutex<Vec<u32>>,
    waiting: Mutex<u32>,
    met: Condvar,
    mapping: AtomicU64,
}

impl State {
    fn reply(&self, message: &Message) -> Vec<u8> {
        let value = || {
            let bytes = message.data.first_chunk().expect("the value is missing");
            u32::from_ne_bytes(*bytes)
        };
        match message.code {
            REVERSE => message.data.iter().rev().copied().collect(),
            STORE => {
                self.stored.lock().unwrap().push(value());
                Vec::new()
            }
            STORED => {
                let stored = self.stored.lock().unwrap();
                stored.iter().flat_map(|n| n.to_ne_bytes()).collect()
            }
            SENDER => {
                let pid = message.sender_pid.to_ne_bytes();
                [pid, message.sender_euid.to_ne_bytes()].concat()
            }
            WAIT_FOR_THREADS => {
                let mut waiting = self.waiting.lock().unwrap();
                *waiting += 1;
                self.met.notify_all();
                let limit = Duration::from_secs(20);
                let enough = value();
                let waited = self
                    .met
                    .wait_timeout_while(waiting, limit, |waiting| *waiting < enough)
                    .unwrap();
                match waited.1.timed_out() {
                    false => nix::unistd::gettid().as_raw().to_ne_bytes().to_vec(),
                    true => Vec::new(),
                }
            }
            RESIDENT => {
                let resident =
                    procfs::rss(self.mapping.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
                resident.to_ne_bytes().to_vec()
            }
            _ => Vec::new(),
        }
    }
}

/// Returns bytes that differ in any two pages.
fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i * 7 + i / PAGE) as u8).collect()
}

/// Has the server reverse `size` bytes, and checks the reply.
fn reverse(talk: &mut Talk, size: usize) -> Result<()> {
    let mut data = pattern(size);
    let reply = talk.call(MANAGER, REVERSE, &data)?;
    data.reverse();
    ensure!(
        reply.data == data,
        "{size} bytes were returned with other content"
    );
    talk.free(reply);
    Ok(())
}

/// Returns a `u32` of the server.
fn value(talk: &mut Talk, code: u32) -> Result<u64> {
    let reply = talk.call(MANAGER, code, &[])?;
    let value = u64::from_ne_bytes(reply.data.as_slice().try_into()?);
    talk.free(reply);
    Ok(value)
}

fn two_way() -> Result<()> {
    let server = Server::start("two-way", 0)?;
    let mut talk = server.client()?;
    for _ in 0..20 {
        for size in SIZES {
            reverse(&mut talk, *size)?;
        }
    }
    Ok(())
}

fn one_way() -> Result<()> {
    let server = Server::start("one-way", 0)?;
    let mut talk = server.client()?;
    let mut sent = 0;
    for _ in 0..20 {
        for size in SIZES {
            let mut data = pattern(4 + size);
            data[..4].copy_from_slice(&u32::to_ne_bytes(sent));
            talk.send(MANAGER, STORE, &data)?;
            sent += 1;
        }
        // One-way transactions may use half of the mapping, so wait for them. They are delivered in
        // order.
        wait_for("one-way transactions are missing", || {
            let stored = talk.call(MANAGER, STORED, &[])?;
            let all = (0..sent).flat_map(u32::to_ne_bytes);
            let done = stored.data.iter().copied().eq(all);
            talk.free(stored);
            Ok(done)
        })?;
    }
    Ok(())
}

fn several_threads() -> Result<()> {
    const THREADS: u32 = 4;
    const CALLS: usize = 200;

    let server = Server::start("threads", THREADS)?;
    let client = |meet: bool| -> Result<()> {
        let binder = Binder::open(&server.device, MAPPING_SIZE)?;
        let threads: Vec<_> = (0..THREADS as usize)
            .map(|value| {
                let mut talk = Talk::new(&binder);
                thread::spawn(move || -> Result<Option<Vec<u8>>> {
                    let met = match meet {
                        true => Some(
                            talk.call(MANAGER, WAIT_FOR_THREADS, &THREADS.to_ne_bytes())?
                                .data,
                        ),
                        false => None,
                    };
                    for call in 0..CALLS {
                        reverse(&mut talk, call * 37 + value)?;
                    }
                    Ok(met)
                })
            })
            .collect();
        let mut served_by = HashSet::new();
        for thread in threads {
            let met = thread.join().expect("a thread panicked")?;
            served_by.extend(met.filter(|thread| !thread.is_empty()));
        }
        ensure!(
            !meet || served_by.len() == THREADS as usize,
            "{} threads of the server were at work at a time",
            served_by.len()
        );
        Ok(())
    };
    // All threads of this client are in the server at the same time.
    in_child(|| client(true))?;
    let clients = [
        Child::start(|| client(false))?,
        Child::start(|| client(false))?,
    ];
    clients.into_iter().try_for_each(Child::join)
}

/// Returns the PID and EUID that the server sees.
fn ask_who(talk: &mut Talk) -> Result<(i32, u32)> {
    let reply = talk.call(MANAGER, SENDER, &[])?;
    let (pid, euid) = reply.data.split_at_checked(4).context("too short")?;
    let who = (
        i32::from_ne_bytes(pid.try_into()?),
        u32::from_ne_bytes(euid.try_into()?),
    );
    talk.free(reply);
    Ok(who)
}

fn sender() -> Result<()> {
    let server = Server::start("who", 0)?;
    let compare = |scenario: &str| -> Result<()> {
        let mut talk = server.client()?;
        let (pid, euid) = ask_who(&mut talk)?;
        let status = Status::of_this_thread()?;
        fact(scenario, "sender's PID", pid, status.one("Tgid")?);
        fact(scenario, "sender's EUID", euid, status.nth("Uid", 1)?);
        Ok(())
    };
    compare("Binder")?;
    in_child(|| compare("Binder, after fork()"))?;
    in_child(|| {
        thread::scope(|scope| {
            let thread = scope.spawn(|| compare("Binder, second thread"));
            thread.join().expect("the thread panicked")
        })
    })?;
    in_child(|| {
        // The device belongs to root.
        let mut talk = server.client()?;
        setresuid(
            Uid::from_raw(1000),
            Uid::from_raw(2000),
            Uid::from_raw(3000),
        )?;
        let (pid, euid) = ask_who(&mut talk)?;
        let status = Status::of_this_thread()?;
        let scenario = "Binder, after setresuid()";
        fact(scenario, "sender's PID", pid, status.one("Tgid")?);
        fact(scenario, "sender's EUID", euid, status.nth("Uid", 1)?);
        Ok(())
    })
}

fn across_namespaces() -> Result<()> {
    /// Compares the PID of the sender with /proc, for the PID namespace level of the server.
    fn compare(server: &Server, scenario: &str, level: usize) -> Result<()> {
        let (pid, _) = ask_who(&mut server.client()?)?;
        let status = Status::of_this_thread()?;
        fact(scenario, "sender's PID", pid, status.nth("NStgid", level)?);
        Ok(())
    }

    let above = Server::start("above", 0)?;
    in_namespace(|| {
        compare(&above, "Binder, from a namespace", 0)?;
        in_namespace(|| compare(&above, "Binder, from two namespaces deep", 0))
    })?;

    in_child(|| {
        // Children are in the new PID namespace; this process is not.
        unshare(CloneFlags::CLONE_NEWPID)?;
        let inside = Server::start("inside", 0)?;
        let (pid, _) = ask_who(&mut inside.client()?)?;
        fact("Binder, into a namespace", "sender's PID", pid, 0);
        in_child(|| {
            compare(&inside, "Binder, within a namespace", 1)?;
            in_namespace(|| compare(&inside, "Binder, from a namespace below", 1))
        })
    })
}

/// The driver closes the files of a reply when the reply is freed, and not before.
fn files_are_closed() -> Result<()> {
    const ROUNDS: usize = 20;

    let device = binder::add_device("files")?;
    let (ends, give) = pipe()?;
    let given = give.as_raw_fd();
    let server = Server::start_with(device, move |binder| {
        let mut talk = Talk::new(binder);
        talk.enter()?;
        loop {
            if let Event::Transaction(message) = talk.event()? {
                talk.reply_with_files(message, &[given; 3])?;
            }
        }
    })?;

    let mut talk = server.client()?;
    let count = || Ok::<_, std::io::Error>(fs::read_dir("/proc/self/fd")?.count());
    let before = count()?;
    for _ in 0..ROUNDS {
        let reply = talk.call_for_files(MANAGER, 0)?;
        ensure!(reply.files.len() == 3 && count()? == before + 3);
        for file in &reply.files {
            // SAFETY: The file is open until the reply is freed.
            let file = unsafe { BorrowedFd::borrow_raw(*file) };
            ensure!(write(file, b"!")? == 1);
        }
        talk.free(reply);
        talk.flush()?;
        ensure!(
            count()? == before,
            "{} more files are open",
            count()? - before
        );
    }

    // All write ends have been closed, so this read ends.
    drop(give);
    server.process.kill()?;
    let mut all = Vec::new();
    File::from(ends).read_to_end(&mut all)?;
    ensure!(all.len() == 3 * ROUNDS, "{} bytes were written", all.len());
    Ok(())
}

fn object_and_its_death() -> Result<()> {
    const REGISTER: u32 = 1;
    const CALL_ME: u32 = 2;
    const COOKIE: u64 = 0x5eed;

    // The server reports the death notification through a pipe.
    let (events, tell) = pipe()?;
    let device = binder::add_device("object")?;
    let server = Server::start_with(device, |binder| {
        let mut tell = File::from(tell);
        let mut talk = Talk::new(binder);
        let mut object = None;
        talk.enter()?;
        loop {
            match talk.event()? {
                Event::Transaction(message) if message.code == REGISTER => {
                    let handle = *message.handles.first().context("no object")?;
                    object = Some(handle);
                    talk.watch(handle, COOKIE)?;
                    talk.reply(message, &[])?;
                }
                Event::Transaction(message) => {
                    // Calls an object of the thread that waits for the reply to this transaction.
                    let data = match object {
                        Some(handle) => talk.call(handle, CALL_ME, &message.data)?,
                        None => bail!("no object was registered"),
                    };
                    let bytes = data.data.clone();
                    talk.free(data);
                    talk.reply(message, &bytes)?;
                }
                Event::Death(cookie) => tell.write_all(&cookie.to_ne_bytes())?,
                _ => {}
            }
        }
    })?;

    let owner = Child::start(|| {
        let mut talk = server.client()?;
        let done = talk.call_with_object(MANAGER, REGISTER, COOKIE)?;
        talk.free(done);
        talk.start_call(MANAGER, CALL_ME, b"abc")?;
        loop {
            match talk.event()? {
                Event::Transaction(message) => {
                    ensure!(message.object == COOKIE, "called as {:#x}", message.object);
                    let data = [&message.data[..], b"!"].concat();
                    talk.reply(message, &data)?;
                }
                Event::Reply(message) => {
                    ensure!(message.data == b"abc!", "{:?}", message.data);
                    // The exit of this process is the death of the object.
                    return Ok(());
                }
                Event::Failed(failure) => return Err(failure.into()),
                _ => {}
            }
        }
    })?;
    owner.join()?;
    let mut cookie = [0; 8];
    File::from(events).read_exact(&mut cookie)?;
    ensure!(
        u64::from_ne_bytes(cookie) == COOKIE,
        "death notification for {cookie:x?}"
    );
    server.process.kill()
}

/// Starts a server that reports each event through a pipe, and replies on request.
fn hesitant_server(device: PathBuf) -> Result<(Server, File, File)> {
    let (arrived, tell) = pipe()?;
    let (wait, go) = pipe()?;
    let server = Server::start_with(device, |binder| {
        let (mut tell, mut wait) = (File::from(tell), File::from(wait));
        let mut talk = Talk::new(binder);
        talk.enter()?;
        loop {
            match talk.event()? {
                Event::Transaction(message) => {
                    tell.write_all(b"m")?;
                    wait.read_exact(&mut [0])?;
                    talk.reply(message, b"late")?;
                }
                Event::Complete => tell.write_all(b"c")?,
                Event::Failed(Failure::Dead) => tell.write_all(b"d")?,
                Event::Failed(Failure::Failed) => tell.write_all(b"f")?,
                _ => {}
            }
        }
    })?;
    Ok((server, File::from(arrived), File::from(go)))
}

/// Reads the next event of such a server.
fn next_event(from: &mut File) -> Result<char> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    Ok(byte[0].into())
}

fn server_killed() -> Result<()> {
    let device = binder::add_device("server-killed")?;
    let call = |expected: Result<&[u8], Failure>| {
        let reply = match client(&device)?.call(MANAGER, REVERSE, &pattern(PAGE)) {
            Ok(reply) => Ok(reply.data),
            Err(err) => Err(err.downcast::<Failure>()?),
        };
        ensure!(reply.as_deref() == expected.as_ref().copied(), "{reply:?}");
        Ok(())
    };
    for _ in 0..20 {
        let (server, mut arrived, _go) = hesitant_server(device.clone())?;
        let client = Child::start(|| call(Err(Failure::Dead)))?;
        ensure!(next_event(&mut arrived)? == 'm', "no transaction arrived");
        server.process.kill()?;
        client.join()?;

        // Calls fail until there is another context manager.
        in_child(|| call(Err(Failure::Dead)))?;
        let server = Server::start_with(device.clone(), |binder| {
            binder::serve(binder, Arc::new(|_| b"here".to_vec()))
        })?;
        in_child(|| call(Ok(b"here")))?;
        server.process.kill()?;
    }
    Ok(())
}

fn client_killed() -> Result<()> {
    let device = binder::add_device("client-killed")?;
    let (server, mut arrived, mut go) = hesitant_server(device)?;
    for _ in 0..20 {
        let client = Child::start(|| {
            server
                .client()?
                .call(MANAGER, REVERSE, &pattern(64 * KIB))?;
            bail!("the server replied")
        })?;
        ensure!(next_event(&mut arrived)? == 'm', "no transaction arrived");
        client.kill()?;
        wait_for("Binder has not released the client", || {
            Ok(processes("client-killed")? == 1)
        })?;
        go.write_all(b"!")?;
        // The reply has no receiver. The server's event depends on the state of the teardown.
        ensure!(
            next_event(&mut arrived)? != 'm',
            "a transaction without a sender"
        );

        let client = Child::start(|| {
            let reply = server
                .client()?
                .call(MANAGER, REVERSE, &pattern(64 * KIB))?;
            ensure!(reply.data == b"late", "{:?}", reply.data);
            Ok(())
        })?;
        ensure!(next_event(&mut arrived)? == 'm', "no transaction arrived");
        go.write_all(b"!")?;
        client.join()?;
        ensure!(
            next_event(&mut arrived)? == 'c',
            "the reply was not delivered"
        );
    }
    server.process.kill()
}

/// Returns the value of processes in the state of Binder for device `name`.
fn processes(name: &str) -> Result<usize> {
    let state = fs::read_to_string(Path::new(binder::MOUNT).join("binder_logs/state"))?;
    let context = format!("context {name}");
    Ok(state.lines().filter(|line| line.trim() == context).count())
}

fn clients_killed_at_random() -> Result<()> {
    const ROUNDS: u64 = 150;

    let server = Server::start("killed-at-random", 4)?;
    let mut steady = server.client()?;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..ROUNDS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let client = Child::start(|| {
            let binder = Binder::open(&server.device, MAPPING_SIZE)?;
            let threads = [64 * KIB, PAGE + 1].map(|size| {
                let mut talk = Talk::new(&binder);
                thread::spawn(move || -> Result<()> {
                    loop {
                        reverse(&mut talk, size)?;
                    }
                })
            });
            for thread in threads {
                thread.join().expect("a thread panicked")?;
            }
            Ok(())
        })?;
        thread::sleep(Duration::from_micros(random % 4000));
        reverse(&mut steady, (random % 9000) as usize)?;
        client.kill()?;
    }
    wait_for("Binder has not released dead processes", || {
        Ok(processes("killed-at-random")? == 2)
    })?;
    drop(steady);
    server.process.kill()?;
    wait_for("Binder has not released dead processes", || {
        Ok(processes("killed-at-random")? == 0)
    })
}

fn shrinker() -> Result<()> {
    let server = Server::start("shrinker", 0)?;
    let mut talk = server.client()?;
    for _ in 0..10 {
        reverse(&mut talk, 64 * KIB)?;
        let before = value(&mut talk, RESIDENT)?;
        ensure!(before >= 64, "{before} kB are resident after 64 KiB");
        // Only pages of buffers that are in use remain.
        wait_for("no page was reclaimed", || {
            drop_slab()?;
            Ok(value(&mut talk, RESIDENT)? <= 8)
        })?;
    }
    Ok(())
}

fn memory_pressure() -> Result<()> {
    let server = Server::start("pressure", 0)?;
    let mut talk = server.client()?;
    // The pages of a large transaction, which has been freed.
    reverse(&mut talk, 1024 * KIB)?;
    let before = value(&mut talk, RESIDENT)?;
    ensure!(before >= 1024, "{before} kB are resident");

    // Each process allocates memory until the OOM killer kills it.
    let hogs = Child::start(|| loop {
        let hog = Child::start(|| {
            set_pdeathsig(Signal::SIGKILL)?;
            fs::write("/proc/self/oom_score_adj", "1000")?;
            let mut all: Vec<Vec<u8>> = Vec::new();
            loop {
                all.push(vec![1; 1024 * KIB]);
            }
        })?;
        hog.wait()?;
    })?;
    let mut calls = 0;
    let result = wait_for("no page was reclaimed", || {
        // Transactions continue all the time.
        reverse(&mut talk, 3 * PAGE)?;
        calls += 1;
        Ok(value(&mut talk, RESIDENT)? < before / 2)
    });
    hogs.kill()?;
    result?;
    println!("# {calls} transactions under memory pressure");
    reverse(&mut talk, 64 * KIB)
}
