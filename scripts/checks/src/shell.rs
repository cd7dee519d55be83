// SPDX-License-Identifier: GPL-2.0

//! A shell in the booted kernel, with the modules and programs of `M=`.

use anyhow::{bail, Context, Result};
use front::{
    boot::{self, Clock},
    build::Build,
    initramfs, kernel,
    outcome::Outcome,
    setup,
    setup::Tools,
    step, tree,
};
use std::{
    env,
    fmt::Write,
    fs,
    io::{self, IsTerminal, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

/// The init script. With `/script`, its output goes to the device that the parameter `results` names,
/// and its exit status is the last line there. Otherwise, the shell has the console.
const INIT: &str = "\
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin 2>/dev/null
export PATH=/bin HOME=/
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /tmp
mount -t devtmpfs devtmpfs /dev 2>/dev/null
cd /
if [ -f /script ]; then
	stty -F /dev/$results raw
	sh /script </dev/null >/dev/$results 2>&1
	echo \"# status $?\" >/dev/$results
else
	dmesg -n 7
	echo; ls -d /*.ko 2>/dev/null; ls /modules/*.ko 2>/dev/null
	echo 'insmod loads a module, ioctl DEVICE COMMAND calls a driver, exit ends the guest'
	setsid cttyhack sh
fi
reboot -f
";

/// The names in `/` of the guest.
const TAKEN: &[&str] = &[
    "bin", "dev", "init.sh", "modules", "proc", "script", "sys", "tmp",
];

/// Commands from a pipe are killed after this time.
const LIMIT: Duration = Duration::from_secs(600);

/// Opens a shell; if the standard input is not a terminal, runs the commands in it. Returns whether
/// they succeeded.
pub fn open(build: &Build, tools: &Tools) -> Result<bool> {
    let module = env::var_os("M").filter(|module| !module.is_empty());
    let files = match module {
        Some(folder) => files(build, tools, Path::new(&folder))?,
        None => Vec::new(),
    };
    if io::stdin().is_terminal() {
        let archive = archive(build, tools, &files, None)?;
        let mut qemu = qemu(build, &kernel::image(build), &archive, "quiet")?;
        println!("Ctrl-A X ends the guest");
        return Ok(qemu
            .args(["-serial", "mon:stdio"])
            .status()
            .context("QEMU")?
            .success());
    }
    let mut script = String::new();
    io::stdin().read_to_string(&mut script)?;
    let image = kernel::image(build);
    let (output, status) = run(build, tools, &image, &files, &script)?;
    print!("{output}");
    Ok(status)
}

/// Builds the modules of a directory. Returns their files, and the programs in the directory itself.
fn files(build: &Build, tools: &Tools, folder: &Path) -> Result<Vec<PathBuf>> {
    let at = folder.display();
    let folder = folder.canonicalize().with_context(|| format!("M={at}"))?;
    let mut make = kernel::make(build, tools);
    make.arg(format!("M={}", folder.display())).arg("modules");
    step::run(&format!("M={at}"), &build.log("module"), &mut make)?;
    let all = tree::walk(&folder)?.into_iter();
    let mut files: Vec<_> = all
        .filter(|file| file.extension().is_some_and(|e| e == "ko"))
        .collect();
    if files.is_empty() {
        bail!("M={at}: no module was built; its Makefile needs a line such as `obj-m := name.o`");
    }
    let mut programs = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let file = entry?.path();
        let is_module = file.extension().is_some_and(|e| e == "ko");
        if is_module || !file.is_file() || !is_program(&file)? {
            continue;
        }
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        if TAKEN.contains(&&*name) || name.contains(char::is_whitespace) {
            bail!("M={at}: the shell cannot have a program with the name `{name}`");
        }
        programs.push(file);
    }
    programs.sort();
    files.extend(programs);
    Ok(files)
}

/// Returns whether a file can be executed.
fn is_program(file: &Path) -> Result<bool> {
    Ok(file.metadata()?.permissions().mode() & 0o111 != 0)
}

/// Runs commands in the guest. Returns their output, and whether the last one succeeded.
pub fn run(
    build: &Build,
    tools: &Tools,
    image: &Path,
    files: &[PathBuf],
    script: &str,
) -> Result<(String, bool)> {
    let (console, output) = guest(build, tools, image, files, script)?;
    let log = build.objects.join("boot/shell.log");
    let log = log.display();
    if let Some(line) = boot::first_splat(&console) {
        bail!("the kernel reports: {line}; see {log}");
    }
    let (text, status) = output.rsplit_once("# status ").with_context(|| {
        let last = console.lines().last().unwrap_or("nothing").to_owned();
        format!("the guest did not finish; its kernel printed: {last}; see {log}")
    })?;
    Ok((text.to_owned(), status.trim() == "0"))
}

/// Runs commands in the guest. Returns what its kernel has printed, and the output.
pub fn guest(
    build: &Build,
    tools: &Tools,
    image: &Path,
    files: &[PathBuf],
    script: &str,
) -> Result<(String, String)> {
    let archive = archive(build, tools, files, Some(script))?;
    let folder = build.objects.join("boot");
    let (console, output) = (folder.join("shell.log"), folder.join("shell.out"));
    for old in [&console, &output] {
        let _ = fs::remove_file(old);
    }
    let mut qemu = qemu(build, image, &archive, "")?;
    qemu.args(boot::logs(build, &console, &output)?);
    step::watch("shell", &build.log("shell"), &mut qemu, Some(LIMIT))?;
    let read = |file: &Path| {
        String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).replace('\r', "")
    };
    Ok((read(&console), read(&output)))
}

/// Packs the shell, the modules and programs, and the script.
fn archive(
    build: &Build,
    tools: &Tools,
    files: &[PathBuf],
    script: Option<&str>,
) -> Result<PathBuf> {
    let busybox = setup::busybox(build)?;
    initramfs::uapi(build, tools)?;
    let programs = initramfs::programs(build)?;
    let boot = build.objects.join("boot");
    fs::create_dir_all(&boot)?;
    let init = boot.join("shell-init");
    fs::write(&init, INIT)?;

    let mut list = String::new();
    for folder in ["bin", "dev", "proc", "sys", "tmp", "modules"] {
        writeln!(list, "dir /{folder} 0755 0 0")?;
    }
    writeln!(list, "nod /dev/console 0600 0 0 c 5 1")?;
    writeln!(list, "slink /bin/sh busybox 0777 0 0")?;
    let mut file = |at: &str, from: &Path, mode: &str| {
        writeln!(list, "file {at} {} {mode} 0 0", from.display())
    };
    file("/bin/busybox", &busybox, "0755")?;
    file("/bin/ioctl", &programs.join("ioctl"), "0755")?;
    file("/init.sh", &init, "0644")?;
    if let Some(text) = script {
        let script = boot.join("shell-script");
        fs::write(&script, text)?;
        file("/script", &script, "0644")?;
    }
    let name = |file: &Path| {
        file.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    for from in files {
        let mode = if is_program(from)? { "0755" } else { "0644" };
        file(&format!("/{}", name(from)), from, mode)?;
    }
    for driver in &build.manifest.driver {
        let module = build.objects.join(driver.module());
        if module.exists() {
            file(&format!("/modules/{}", name(&module)), &module, "0644")?;
        }
    }
    initramfs::pack(build, tools, "shell", &list)
}

/// Returns the command that boots the shell, without its consoles.
fn qemu(build: &Build, image: &Path, archive: &Path, parameters: &str) -> Result<Command> {
    let parameters = format!("kunit.enable=0 {parameters} rdinit=/bin/sh -- /init.sh");
    boot::qemu(build, Clock::Time, image, archive, &parameters)
}

/// The driver of the README, and the commands for it.
pub struct Readme {
    driver: String,
    makefile: String,
    /// What is written to the shell.
    pub script: String,
}

impl Readme {
    pub fn parse(text: &str) -> Result<Self> {
        let section = text.split("\n## A first driver\n").nth(1);
        let section = section.context("README.md has no first driver")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        let driver = section.split("```rust\n").nth(1);
        let driver = driver.and_then(|rest| rest.split("```").next());
        let quoted = |end: &str| {
            let mut lines = section.lines();
            let line = lines.find_map(|line| line.strip_prefix("    echo '")?.strip_suffix(end));
            line.map(str::to_owned)
        };
        Ok(Self {
            driver: driver.context("README.md has no driver")?.to_owned(),
            makefile: quoted("' > whoami/Makefile").context("README.md has no Makefile")?,
            script: quoted("' | make LLVM=1 shell M=whoami")
                .context("README.md has no commands for the shell")?,
        })
    }

    /// Writes the driver and its Makefile into a directory.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        step::write_if_changed(&folder.join("whoami.rs"), &self.driver)?;
        step::write_if_changed(&folder.join("Makefile"), &format!("{}\n", self.makefile))?;
        Ok(())
    }

    /// Returns whether the output of the commands is what the README says.
    pub fn is_answered(output: &str) -> bool {
        match output.lines().collect::<Vec<_>>()[..] {
            [pid, answer] => pid == answer && pid.parse::<u32>().is_ok(),
            _ => false,
        }
    }
}

/// Tests that the README's first driver is built, loaded and asked as the README says.
pub fn readme(build: &Build, tools: &Tools, outcome: &mut Outcome) -> Result<()> {
    let readme = Readme::parse(&fs::read_to_string(build.root.join("README.md"))?)?;
    let folder = build.out.join("readme").join(&build.series).join("whoami");
    readme.write(&folder)?;
    let modules = files(build, tools, &folder)?;
    let image = kernel::image(build);
    let (output, succeeded) = run(build, tools, &image, &modules, &readme.script)?;
    outcome.report(
        "the README's first driver is built, loaded and answers",
        succeeded && Readme::is_answered(&output),
        &format!("its shell printed: {}", output.trim().replace('\n', ", ")),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_driver_is_found_in_the_readme() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
        let readme = Readme::parse(&fs::read_to_string(root).unwrap()).unwrap();
        assert!(readme.driver.contains("impl kernel::Module for WhoAmI"));
        assert_eq!(readme.makefile, "obj-m := whoami.o");
        assert!(
            readme.script.contains("insmod /whoami.ko"),
            "{}",
            readme.script
        );
    }

    #[test]
    fn the_guide_has_the_same_first_driver() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let readme = Readme::parse(&fs::read_to_string(root.join("README.md")).unwrap()).unwrap();
        let file = fs::read_to_string(root.join("samples/rust/guide/whoami.rs")).unwrap();
        let license = "// SPDX-License-Identifier: GPL-2.0\n\n";
        assert_eq!(file.strip_prefix(license), Some(&*readme.driver));
    }

    #[test]
    fn another_answer_than_the_pid_fails() {
        assert!(Readme::is_answered("12\n12\n"));
        assert!(!Readme::is_answered("12\n13\n"));
        assert!(!Readme::is_answered("12\n"));
        assert!(!Readme::is_answered("a\na\n"));
    }
}
