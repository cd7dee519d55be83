// SPDX-License-Identifier: GPL-2.0

//! Child processes that run a closure, and what tests do to processes: waits, signals, scheduling.

use crate::ktap;
use anyhow::{bail, ensure, Result};
use nix::{
    errno::Errno,
    sched::{unshare, CloneFlags},
    sys::{
        signal::{kill, sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal},
        wait::{waitpid, WaitStatus},
    },
    unistd::{fork, ForkResult, Pid},
};
use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

/// A child process. It is killed when this is dropped.
pub struct Child(Option<Pid>);

impl Child {
    /// Runs `inner` in a child process, which exits with its result.
    pub fn start(inner: impl FnOnce() -> Result<()>) -> Result<Self> {
        // SAFETY: The test programs have one thread when they fork. All other threads have been
        // joined.
        match unsafe { fork()? } {
            ForkResult::Child => ktap::exit(inner()),
            ForkResult::Parent { child } => Ok(Self(Some(child))),
        }
    }

    /// Returns the PID of the child in the PID namespace of this process.
    pub fn pid(&self) -> Pid {
        self.0.expect("the child has not been waited for")
    }

    /// Waits until the child has exited.
    pub fn wait(mut self) -> Result<WaitStatus> {
        Ok(waitpid(self.0.take(), None)?)
    }

    /// Waits until the child has exited, and returns an error if it failed.
    pub fn join(self) -> Result<()> {
        match self.wait()? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => bail!("child: {other:?}"),
        }
    }

    /// Kills the child, and returns an error if it had exited before.
    pub fn kill(self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL)?;
        match self.wait()? {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => Ok(()),
            other => bail!("killed child: {other:?}"),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill(pid, Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

/// Waits until a process sleeps.
pub fn wait_until_asleep(pid: Pid) -> Result<()> {
    wait_for("it does not sleep", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        Ok([") S ", ") D "].iter().any(|state| stat.contains(state)))
    })
}

/// Waits until a condition is true, and returns an error, which is `what`, after a minute.
pub fn wait_for(what: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !condition()? {
        ensure!(begin.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Runs `inner` in a child process, and returns an error if it fails.
pub fn in_child(inner: impl FnOnce() -> Result<()>) -> Result<()> {
    Child::start(inner)?.join()
}

/// Runs `inner` as the first process of a new PID namespace.
pub fn in_namespace(inner: impl FnOnce() -> Result<()>) -> Result<()> {
    in_child(|| {
        unshare(CloneFlags::CLONE_NEWPID)?;
        in_child(inner)
    })
}

/// Installs a handler that does nothing: the signal does not kill the process. It interrupts a system
/// call, which is restarted with `SA_RESTART` if it can be.
pub fn install_empty_handler(signal: Signal, flags: SaFlags) -> Result<()> {
    extern "C" fn nothing(_: i32) {}
    let action = SigAction::new(SigHandler::Handler(nothing), flags, SigSet::empty());
    // SAFETY: The handler does nothing.
    unsafe { sigaction(signal, &action)? };
    Ok(())
}

/// Gives this process and its children a real-time policy, for a measurement.
///
/// With the default one, each wake-up decides by the run times so far whether it preempts the waker.
/// A few instructions more or less then add or save a context switch each time, for the whole run.
pub fn set_fifo() -> Result<()> {
    let param = libc::sched_param { sched_priority: 1 };
    // SAFETY: The kernel only reads `param`.
    Errno::result(unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &param) })?;
    Ok(())
}
