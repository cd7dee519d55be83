// SPDX-License-Identifier: GPL-2.0

//! The ioctls of a watchdog: `include/uapi/linux/watchdog.h`.

// Each user needs only a part of it.
#![allow(dead_code, unreachable_pub)]

/// The type byte of each ioctl.
pub const MAGIC: u32 = b'W' as u32;
/// `options`, `firmware_version` and `identity`, which has 32 bytes.
pub type Info = [u8; 40];

/// `_IOR(MAGIC, 0, Info)`.
pub const GETSUPPORT: u32 = 0;
/// `_IOR(MAGIC, 1, u32)`: some of the `WDIOF_*` flags.
pub const GETSTATUS: u32 = 1;
/// `_IOR(MAGIC, 2, u32)`: the reason of the last boot.
pub const GETBOOTSTATUS: u32 = 2;
/// `_IOR(MAGIC, 4, u32)`, which is read: some of the `WDIOS_*` flags.
pub const SETOPTIONS: u32 = 4;
/// `_IOR(MAGIC, 5, u32)`: starts the timeout again.
pub const KEEPALIVE: u32 = 5;
/// `_IOWR(MAGIC, 6, u32)`: the timeout in seconds.
pub const SETTIMEOUT: u32 = 6;
/// `_IOR(MAGIC, 7, u32)`.
pub const GETTIMEOUT: u32 = 7;
/// `_IOWR(MAGIC, 8, u32)`.
pub const SETPRETIMEOUT: u32 = 8;
/// `_IOR(MAGIC, 9, u32)`.
pub const GETPRETIMEOUT: u32 = 9;
/// `_IOR(MAGIC, 10, u32)`: the seconds that are left.
pub const GETTIMELEFT: u32 = 10;

/// The timeout can be set.
pub const WDIOF_SETTIMEOUT: u32 = 0x80;
/// The watchdog stops if the file is closed after a [`MAGIC_CLOSE`].
pub const WDIOF_MAGICCLOSE: u32 = 0x100;
/// The timeout has been started again since the last look at this flag.
pub const WDIOF_KEEPALIVEPING: u32 = 0x8000;

/// Stops the watchdog.
pub const WDIOS_DISABLECARD: u32 = 1;
/// Starts the watchdog.
pub const WDIOS_ENABLECARD: u32 = 2;

/// The byte that a program writes before it closes the file.
pub const MAGIC_CLOSE: u8 = b'V';
/// The log message of a timeout that has passed.
pub const TRIGGERED: &str = "Triggered - Reboot ignored";
