// SPDX-License-Identifier: GPL-2.0

//! What goes wrong on mainline's own files, and must not on ours.

use crate::{
    boot::{self, Boot},
    kernel,
    report::Outcome,
    setup::Tools,
    user, Place,
};
use anyhow::{bail, Context, Result};
use std::time::Duration;

/// The driver, which is not a part of the tree.
pub const MODULE: &str = "tests/known";
struct Fault {
    /// What the program in the guest calls it.
    name: &'static str,
    what: &'static str,
    /// One of these is said when it is there.
    signs: &'static [&'static str],
    /// What it needs on the kernel's command line.
    words: &'static str,
}

/// What is said of a guest that hangs, or dies before it is done.
const HANG: &str = "did not";

const FAULTS: &[Fault] = &[
    Fault {
        name: "pid",
        what: "Task::pid() is read once in a loop, while exec() changes it",
        signs: &["a loop does not see"],
        words: "",
    },
    Fault {
        name: "flags",
        what: "VmaRef::flags() is read once in a loop, while madvise() changes them",
        signs: &["a loop does not see"],
        words: "",
    },
    Fault {
        name: "zap",
        what: "VmaRef::zap_vma_range() takes part of a page, and walks on into other memory",
        // The guest hangs or dies, or the program does, whose memory is gone.
        signs: &[HANG, "SIGSEGV"],
        words: "",
    },
    Fault {
        name: "leader",
        what:
            "CurrentTask::group_leader() in an interrupt, of a thread that reaps zombies at its end",
        signs: &["in memory that was freed"],
        // A number of 0 shows that memory has been freed.
        words: "init_on_free=1",
    },
];

/// Lets a guest do what may be a fault. Returns what went wrong, if anything.
fn wrong(fault: &Fault, place: &Place, tools: &Tools, seconds: u64) -> Result<Option<String>> {
    let initramfs = user::initramfs(place, tools)?;
    let words = format!(
        "programs=/known known={} kunit.enable=0 {}",
        fault.name, fault.words
    );
    let how = Boot {
        limit: Duration::from_secs(seconds),
        ..Boot::with(&words)
    };
    let mut outcome = Outcome::quiet();
    let guest = match boot::boot_or_die(place, &initramfs.archive, &how, &mut outcome)? {
        Ok(guest) => guest,
        // It is a fault that takes the kernel with it.
        Err(death) => return Ok(Some(death)),
    };
    outcome.programs(&["rust_task_known".to_owned()], &guest.results);
    let Some(failure) = outcome.failure() else {
        return Ok(None);
    };
    let said = guest.results.lines().skip_while(|l| !l.starts_with("1.."));
    let said = said.skip(1).find_map(|line| line.strip_prefix("# "));
    match said {
        Some(said) => Ok(Some(said.to_owned())),
        None => bail!("{failure}; see {}", place.objects.join("boot").display()),
    }
}

/// Shows each fault on both kernels. It has to be there on mainline's files, or the test is worth
/// nothing.
pub fn compare(ours: &Place, mainline: &Place, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    for place in [ours, mainline] {
        kernel::module(place, tools, MODULE)?;
    }
    for fault in FAULTS {
        let what = fault.what;
        // Where a hang is what shows the fault, it need not be waited for so long.
        let limit = match fault.signs.contains(&HANG) {
            true => 25,
            false => 100,
        };
        let theirs = wrong(fault, mainline, tools, limit).context("mainline")?;
        let mine = wrong(fault, ours, tools, 100).context("ours")?;
        println!("{what}");
        for (whose, found) in [("mainline", &theirs), ("ours", &mine)] {
            println!("  {whose:8}  {}", found.as_deref().unwrap_or("well"));
        }
        outcome.check(
            &format!("{what}: shown on mainline's files"),
            theirs
                .as_ref()
                .is_some_and(|said| fault.signs.iter().any(|sign| said.contains(sign))),
            "the fault is gone, or another",
        );
        outcome.check(
            &format!("{what}: not on ours"),
            mine.is_none(),
            mine.as_deref().unwrap_or_default(),
        );
    }
    Ok(())
}
