// SPDX-License-Identifier: GPL-2.0

//! Builds the source after each patch.

use super::{git, test};
use anyhow::Result;
use front::{build::Build, kernel, outcome::Outcome, setup::Tools, step};
use std::{env, fs, time::Instant};

/// Compiles `rust/` and the Rust drivers of the configuration after each patch, or after those whose
/// subject has `ONLY`, without code. The tree after the last patch is that which all other commands
/// build. The examples of the documentation use types of other patches, so they are only compiled
/// there.
pub fn steps(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let patched = test::patched(build, outcome)?;
    kernel::configure(build, tools)?;
    let config = fs::read_to_string(build.objects.join(".config"))?;
    let only = env::var("ONLY").unwrap_or_default();
    let steps = Build {
        tree: patched.clone(),
        ..build.variant("steps")
    };
    fs::create_dir_all(&steps.objects)?;

    let range = format!("{}..{}", test::SOURCE, test::PATCHED);
    let list = step::output(git(&patched).args(["log", "--reverse", "--format=%H %s", &range]))?;
    let count = list.lines().count();
    let off = |config: &str, name: &str| {
        config.replace(&format!("{name}=y"), &format!("# {name} is not set"))
    };
    // There is no code into which a function of C could be inlined.
    let config = off(&config, "CONFIG_RUST_INLINE_HELPERS");
    let without = off(&config, "CONFIG_RUST_KERNEL_DOCTESTS");
    for (i, line) in list.lines().enumerate() {
        let (commit, subject) = line.split_once(' ').unwrap_or((line, ""));
        if !subject.contains(&only) {
            continue;
        }
        step::output(git(&patched).args(["checkout", "--quiet", "--force", commit]))?;
        let config = if i + 1 < count { &without } else { &config };
        step::write_if_changed(&steps.objects.join(".config"), config)?;
        let log = steps.log(&format!("step-{:02}", i + 1));
        let begin = Instant::now();
        let mut done = step::watch(
            "configuration",
            &log,
            kernel::make(&steps, tools).arg("olddefconfig"),
            None,
        )?;
        if done {
            let mut goals = vec!["rust/".to_owned()];
            for driver in &build.manifest.driver {
                if kernel::is_set(&steps, &driver.config)? {
                    goals.push(driver.goal());
                }
            }
            if kernel::is_set(&steps, "ANDROID_BINDER_IPC_RUST")? {
                goals.push("drivers/android/binder/".into());
            }
            let mut make = kernel::make(&steps, tools);
            make.args(kernel::WITHOUT_CODE).args(goals);
            done = step::watch(&format!("patch {}", i + 1), &log, &mut make, None)?;
        }
        outcome.report(
            &format!(
                "{:02} compiles ({} s): {subject}",
                i + 1,
                begin.elapsed().as_secs()
            ),
            done,
            &format!("see {}", log.display()),
        );
    }
    Ok(())
}
