// SPDX-License-Identifier: GPL-2.0

//! The architectures for which kernels are built and booted, and all that differs between them.

use anyhow::{bail, Context, Result};

/// An architecture.
pub struct Arch {
    /// `ARCH=`, which is also the name of the fragment in configs/ and a part of directory names.
    pub name: &'static str,
    /// The kernel, in the object directory. Its file name is the goal of the kernel's make.
    pub image: &'static str,
    /// The target of rustc for the programs of the guest.
    pub target: &'static str,
    /// Debian's name for it.
    pub debian: &'static str,
    /// The prefix of gcc and binutils, if they are not those of the build machine.
    pub cross: Option<&'static str>,
    /// Packages that only this architecture needs, each with a file that exists if it is installed.
    pub packages: &'static [(&'static str, &'static str)],
    /// What the kernel is booted on. `None`: the kernel is a program of the build machine.
    pub qemu: Option<Qemu>,
}

/// A machine of QEMU.
pub struct Qemu {
    /// The program that boots the kernel, and its options for the machine and the CPU.
    pub program: &'static str,
    pub machine: &'static [&'static str],
    /// The options for two CPUs.
    pub smp: &'static str,
    /// The device of the kernel log, which is the first serial port.
    pub console: &'static str,
    /// The device for the output of the programs.
    pub results: &'static str,
    /// The options for that device. The last one is followed by `results_file` and the path of a file.
    pub results_port: &'static [&'static str],
    pub results_file: &'static str,
}

/// The default is the first one.
const ALL: &[Arch] = &[
    Arch {
        name: "x86_64",
        image: "arch/x86/boot/bzImage",
        target: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        cross: None,
        packages: &[("qemu-system-x86", "/usr/bin/qemu-system-x86_64")],
        qemu: Some(Qemu {
            program: "qemu-system-x86_64",
            // While Linux 6.12 identifies the first CPU, it treats five-level page tables as disabled
            // for a moment; KASAN reports an interrupt that arrives then.
            machine: &["-cpu", "max,la57=off"],
            // Linux finds one CPU of each socket.
            smp: "2,sockets=2",
            console: "ttyS0",
            results: "ttyS1",
            results_port: &["-serial"],
            results_file: "file:",
        }),
    },
    Arch {
        name: "arm64",
        image: "arch/arm64/boot/Image",
        target: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        cross: Some("aarch64-linux-gnu-"),
        packages: &[
            ("qemu-system-arm", "/usr/bin/qemu-system-aarch64"),
            ("gcc-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-gcc"),
            ("libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/lib/libc.a"),
        ],
        qemu: Some(Qemu {
            program: "qemu-system-aarch64",
            // With the architecture's own algorithm for pointer authentication, which the kernel uses
            // in each function, emulation is several times slower.
            machine: &["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
            smp: "2",
            console: "ttyAMA0",
            // The machine has one serial port.
            results: "hvc0",
            results_port: &[
                "-device",
                "virtio-serial-device",
                "-device",
                "virtconsole,chardev=results",
                "-chardev",
            ],
            results_file: "file,id=results,path=",
        }),
    },
    // User-Mode Linux.
    Arch {
        name: "um",
        image: "linux",
        target: "x86_64-unknown-linux-gnu",
        debian: "amd64",
        cross: None,
        packages: &[],
        qemu: None,
    },
];

/// Returns the names of the architectures that `is_one` accepts, for a message.
fn names(is_one: impl Fn(&Arch) -> bool) -> String {
    let all = ALL.iter().filter(|arch| is_one(arch));
    let names: Vec<_> = all.map(|arch| arch.name).collect();
    match &names[..] {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => names.concat(),
    }
}

impl Arch {
    /// Returns the architecture with this name, or the default.
    pub fn find(name: Option<&str>) -> Result<&'static Self> {
        let Some(name) = name else {
            return Ok(&ALL[0]);
        };
        ALL.iter()
            .find(|arch| arch.name == name)
            .with_context(|| format!("ARCH={name}: not supported; use {}", names(|_| true)))
    }

    /// Returns an error if `command` cannot be used with this architecture.
    pub fn require_default(&self, command: &str) -> Result<()> {
        if !self.is_default() {
            bail!(
                "ARCH={}: make {command} supports only {}",
                self.name,
                ALL[0].name
            );
        }
        Ok(())
    }

    /// Returns the machine of QEMU.
    ///
    /// # Errors
    ///
    /// - The kernel is a program.
    pub fn qemu(&self) -> Result<&Qemu> {
        self.qemu.as_ref().with_context(|| {
            let others = names(|arch| arch.qemu.is_some());
            format!("ARCH={} has no virtual machine; use {others}", self.name)
        })
    }

    /// Returns whether this is the architecture without `ARCH`.
    pub fn is_default(&self) -> bool {
        self.name == ALL[0].name
    }

    /// Returns the `ARCH` that the kernel's make needs. Its default, the build machine's, is x86.
    pub fn variable(&self) -> Option<&'static str> {
        (!self.is_default()).then_some(self.name)
    }

    /// Returns the goal of the kernel's make.
    pub fn goal(&self) -> &'static str {
        let name = self.image.rsplit_once('/');
        name.map_or(self.image, |(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_default_is_x86_64() {
        assert_eq!(Arch::find(None).unwrap().name, "x86_64");
        assert_eq!(Arch::find(None).unwrap().variable(), None);
        for name in ["arm64", "um"] {
            assert_eq!(Arch::find(Some(name)).unwrap().variable(), Some(name));
        }
    }

    #[test]
    fn an_unknown_architecture_is_an_error_that_names_the_others() {
        let error = Arch::find(Some("riscv")).err().unwrap().to_string();
        assert_eq!(error, "ARCH=riscv: not supported; use x86_64, arm64 or um");
    }

    #[test]
    fn the_goal_is_the_name_of_the_image() {
        let goals: Vec<_> = ALL.iter().map(Arch::goal).collect();
        assert_eq!(goals, ["bzImage", "Image", "linux"]);
    }

    #[test]
    fn an_architecture_without_a_machine_names_the_others() {
        assert!(Arch::find(None).unwrap().qemu().is_ok());
        let um = Arch::find(Some("um")).unwrap();
        assert_eq!(
            um.qemu().err().unwrap().to_string(),
            "ARCH=um has no virtual machine; use x86_64 or arm64"
        );
    }

    #[test]
    fn each_architecture_has_a_fragment() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
        for arch in ALL {
            let name = format!("configs/{}.config", arch.name);
            assert!(root.unwrap().join(&name).exists(), "{name}");
        }
    }
}
