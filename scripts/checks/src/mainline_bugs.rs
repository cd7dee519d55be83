// SPDX-License-Identifier: GPL-2.0

//! Bugs of mainline's own files, which are reproduced there and must not occur on ours.

use anyhow::{bail, Context, Result};
use front::{
    boot::{self, BootOptions},
    build::Build,
    initramfs, kernel,
    outcome::{diagnostic, Outcome},
    setup::Tools,
};
use std::time::Duration;

/// The driver, and the program that runs the reproducers.
const PROGRAM: &str = "rust_task_known";

struct Bug {
    /// Its name in the guest's program.
    name: &'static str,
    what: &'static str,
    /// The failure must contain one of these.
    signs: &'static [&'static str],
    /// Kernel parameters that it needs.
    parameters: &'static str,
}

/// The time limit of a guest, in seconds.
const LIMIT: u64 = 400;

/// Part of each message about a guest that does not finish.
const HANG: &str = "did not";

/// Part of the message of a crash, after which the guest would not go on.
const OOPS: &str = "NULL pointer dereference";

const BUGS: &[Bug] = &[
    Bug {
        name: "pid",
        what: "Task::pid() is read once in a loop, while exec() changes it",
        signs: &["a loop does not see"],
        parameters: "",
    },
    Bug {
        name: "flags",
        what: "VmaRef::flags() is read once in a loop, while madvise() changes them",
        signs: &["a loop does not see"],
        parameters: "",
    },
    Bug {
        name: "zap",
        what: "VmaRef::zap_vma_range() accepts part of a page, and zaps beyond its page table",
        // The guest hangs or dies, or its program dies, as its memory was unmapped.
        signs: &[HANG, "SIGSEGV"],
        parameters: "",
    },
    Bug {
        name: "insert",
        what: "VmaRef::as_mixedmap_vma() lets a driver map pages in the VMA of another driver",
        signs: &["in the VMA of Binder"],
        parameters: "",
    },
    Bug {
        name: "install",
        what:
            "FileDescriptorReservation::fd_install() installs a file whose open() has not returned",
        signs: &["a file that is not open"],
        parameters: "",
    },
    Bug {
        name: "exit",
        what: "LocalFile::fget() in the drop of a file's data, while the task exits",
        signs: &[OOPS],
        parameters: "",
    },
    Bug {
        name: "leader",
        what:
            "CurrentTask::group_leader() in an interrupt, on an exiting thread that reaps zombies",
        signs: &["in memory that was freed"],
        // A PID of 0 shows that the memory was freed.
        parameters: "init_on_free=1",
    },
];

/// Runs the reproducer in a guest. Returns the failure, if there is one.
fn reproduce(bug: &Bug, build: &Build, tools: &Tools, seconds: u64) -> Result<Option<String>> {
    let initramfs = initramfs::create(build, tools)?;
    let parameters = format!(
        "programs=/mainline-bugs known={} kunit.enable=0 {}",
        bug.name, bug.parameters
    );
    let options = BootOptions {
        limit: Duration::from_secs(seconds),
        until_failure: bug.signs.contains(&OOPS),
        ..BootOptions::new(&parameters)
    };
    let mut outcome = Outcome::quiet();
    let guest = match boot::try_boot(build, &initramfs.archive, &options, &mut outcome)? {
        Ok(guest) => guest,
        // The bug may crash the kernel.
        Err(failure) => return Ok(Some(failure)),
    };
    outcome.programs(&[PROGRAM.to_owned()], &guest.results);
    let Some(failure) = outcome.first_failure() else {
        return Ok(None);
    };
    let lines = guest.results.lines().skip_while(|l| !l.starts_with("1.."));
    match lines.skip(1).find_map(diagnostic) {
        Some(line) => Ok(Some(line.to_owned())),
        None => bail!("{failure}; see {}", build.objects.join("boot").display()),
    }
}

/// Runs each reproducer on both kernels. It must fail on mainline's files; otherwise it proves nothing
/// about ours.
pub fn compare(ours: &Build, mainline: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    for build in [ours, mainline] {
        kernel::module(build, tools, PROGRAM)?;
    }
    for bug in BUGS {
        let what = bug.what;
        // If a hang is the expected failure, a shorter limit saves time. Other guests and builds may
        // run at the same time.
        let limit = match bug.signs.contains(&HANG) {
            true => 40,
            false => LIMIT,
        };
        let theirs = reproduce(bug, mainline, tools, limit).context("mainline")?;
        let mine = reproduce(bug, ours, tools, LIMIT).context("ours")?;
        println!("{what}");
        for (whose, found) in [("mainline", &theirs), ("ours", &mine)] {
            println!("  {whose:8}  {}", found.as_deref().unwrap_or("correct"));
        }
        outcome.check(
            &format!("{what}: reproduced on mainline's files"),
            theirs
                .as_ref()
                .is_some_and(|failure| bug.signs.iter().any(|sign| failure.contains(sign))),
            "it did not fail, or with another failure",
        );
        outcome.check(
            &format!("{what}: not on ours"),
            mine.is_none(),
            mine.as_deref().unwrap_or_default(),
        );
    }
    Ok(())
}
