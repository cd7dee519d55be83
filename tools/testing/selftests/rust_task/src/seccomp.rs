// SPDX-License-Identifier: GPL-2.0

//! Filters of system calls.

use anyhow::Result;
use nix::errno::Errno;

/// Returns whether the kernel has filters.
pub fn is_there() -> bool {
    let mode = libc::c_ulong::from(libc::SECCOMP_MODE_FILTER);
    let no_program: libc::c_ulong = 0;
    // SAFETY: There is no program at this address, so the call fails.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, no_program) };
    Errno::result(result) == Err(Errno::EFAULT)
}

/// Installs a filter in all threads. An `ioctl()` then kills the process by `SIGSYS`.
pub fn forbid_ioctl() -> Result<()> {
    let statement = |code: u32, k: u32, jt| libc::sock_filter {
        code: code as u16,
        jt,
        jf: 0,
        k,
    };
    // The number of the system call is the first field of `struct seccomp_data`.
    let mut program = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            libc::SYS_ioctl as u32,
            1,
        ),
        statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW, 0),
        statement(
            libc::BPF_RET | libc::BPF_K,
            libc::SECCOMP_RET_KILL_PROCESS,
            0,
        ),
    ];
    let program = libc::sock_fprog {
        len: program.len() as u16,
        filter: program.as_mut_ptr(),
    };
    let (mode, flags) = (
        libc::SECCOMP_SET_MODE_FILTER,
        libc::SECCOMP_FILTER_FLAG_TSYNC,
    );
    // SAFETY: The kernel only reads the program.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const program) };
    Errno::result(result)?;
    Ok(())
}
