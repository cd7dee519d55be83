// SPDX-License-Identifier: GPL-2.0

//! Child processes that do one thing.

use crate::ktap;
use anyhow::{bail, Result};
use nix::{
    sched::{unshare, CloneFlags},
    sys::{
        signal::{kill, Signal},
        wait::{waitpid, WaitStatus},
    },
    unistd::{fork, ForkResult, Pid},
};

/// A child process. It is killed when this is dropped.
pub struct Child(Option<Pid>);

impl Child {
    /// Runs `inner` in a child process, which ends with its verdict.
    pub fn start(inner: impl FnOnce() -> Result<()>) -> Result<Self> {
        // SAFETY: The test programs have one thread whenever they make a child: others have been
        // joined, each by its handle.
        match unsafe { fork()? } {
            ForkResult::Child => ktap::exit(inner()),
            ForkResult::Parent { child } => Ok(Self(Some(child))),
        }
    }

    /// Its number in this namespace.
    pub fn pid(&self) -> Pid {
        self.0.expect("it has not been waited for")
    }

    /// Waits for its end.
    pub fn wait(mut self) -> Result<WaitStatus> {
        Ok(waitpid(self.0.take(), None)?)
    }

    /// Waits for its end, and fails if it did.
    pub fn join(self) -> Result<()> {
        match self.wait()? {
            WaitStatus::Exited(_, 0) => Ok(()),
            other => bail!("child: {other:?}"),
        }
    }

    /// Kills it, and fails if it had ended before.
    pub fn kill(self) -> Result<()> {
        kill(self.pid(), Signal::SIGKILL)?;
        match self.wait()? {
            WaitStatus::Signaled(_, Signal::SIGKILL, _) => Ok(()),
            other => bail!("child, to be killed: {other:?}"),
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

/// Runs `inner` in a child process, and fails if it does.
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
