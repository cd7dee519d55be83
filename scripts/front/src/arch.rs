// SPDX-License-Identifier: GPL-2.0

//! The architectures for which kernels are built and booted, and all that differs between them.

use anyhow::{bail, Context, Result};

/// An architecture.
pub struct Arch {
    /// `ARCH=`, which is also the name of the fragment in configs/ and a part of directory names.
    pub name: &'static str,
    /// The directory in the kernel's arch/.
    pub folder: &'static str,
    /// The goal of the kernel's make, and the name of the file in `boot/`.
    pub image: &'static str,
    /// The target of rustc for the programs of the guest.
    pub target: &'static str,
    /// The prefix of gcc and binutils, if they are not those of the build machine.
    pub cross: Option<&'static str>,
    /// Packages that only this architecture needs, each with a file that exists if it is installed.
    pub packages: &'static [(&'static str, &'static str)],
    /// The program that boots the kernel, and its options for the machine and the CPU.
    pub qemu: &'static str,
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
        folder: "x86",
        image: "bzImage",
        target: "x86_64-unknown-linux-gnu",
        cross: None,
        packages: &[],
        qemu: "qemu-system-x86_64",
        // While Linux 6.12 identifies the first CPU, it treats five-level page tables as disabled for
        // a moment; KASAN reports an interrupt that arrives then.
        machine: &["-cpu", "max,la57=off"],
        // Linux finds one CPU of each socket.
        smp: "2,sockets=2",
        console: "ttyS0",
        results: "ttyS1",
        results_port: &["-serial"],
        results_file: "file:",
    },
    Arch {
        name: "arm64",
        folder: "arm64",
        image: "Image",
        target: "aarch64-unknown-linux-gnu",
        cross: Some("aarch64-linux-gnu-"),
        packages: &[
            ("qemu-system-arm", "/usr/bin/qemu-system-aarch64"),
            ("gcc-aarch64-linux-gnu", "/usr/bin/aarch64-linux-gnu-gcc"),
            ("libc6-dev-arm64-cross", "/usr/aarch64-linux-gnu/lib/libc.a"),
        ],
        qemu: "qemu-system-aarch64",
        // With the architecture's own algorithm for pointer authentication, which the kernel uses in
        // each function, emulation is several times slower.
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
    },
];

impl Arch {
    /// Returns the architecture with this name, or the default.
    pub fn find(name: Option<&str>) -> Result<&'static Self> {
        let Some(name) = name else {
            return Ok(&ALL[0]);
        };
        ALL.iter().find(|arch| arch.name == name).with_context(|| {
            let names: Vec<_> = ALL.iter().map(|arch| arch.name).collect();
            format!("ARCH={name}: not supported; use {}", names.join(" or "))
        })
    }

    /// Returns an error if `command` cannot be used with this architecture.
    pub fn require_default(&self, command: &str) -> Result<()> {
        if self.name != ALL[0].name {
            bail!(
                "ARCH={}: make {command} supports only {}",
                self.name,
                ALL[0].name
            );
        }
        Ok(())
    }

    /// Returns the `ARCH` that the kernel's make needs. Its default, the build machine's, is x86.
    pub fn variable(&self) -> Option<&'static str> {
        self.cross.map(|_| self.name)
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
        assert_eq!(Arch::find(Some("arm64")).unwrap().variable(), Some("arm64"));
    }

    #[test]
    fn an_unknown_architecture_is_an_error_that_names_the_others() {
        let error = Arch::find(Some("riscv")).err().unwrap().to_string();
        assert_eq!(error, "ARCH=riscv: not supported; use x86_64 or arm64");
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
