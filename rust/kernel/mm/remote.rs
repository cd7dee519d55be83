// SPDX-License-Identifier: GPL-2.0

//! The memory of other processes.
//!
//! The page tables of the current task do not map it. A driver gets the address space of another
//! process by one of these functions:
//!
//! - [`Task::mm_access`] checks whether the current task may access the process, as
//!   `process_vm_readv()` and `/proc/<pid>/mem` do.
//! - [`Task::get_task_mm`] checks nothing. It is for a driver that has decided in another way that
//!   it may access the process.
//!
//! [`UserMemory`] copies from and to it. [`CurrentTask`] implements the trait as well, so code can
//! be written once for both.
//!
//! C does not export `mm_access()` and `access_remote_vm()` to modules, so these functions are part
//! of the crate, and are not inlined.
//!
//! C headers: [`include/linux/sched/mm.h`](srctree/include/linux/sched/mm.h),
//! [`include/linux/ptrace.h`](srctree/include/linux/ptrace.h)

use crate::{
    bindings,
    error::from_err_ptr,
    mm::MmWithUser,
    page::PAGE_SIZE,
    prelude::*,
    str::CStr,
    sync::aref::ARef,
    task::{
        check_user_access,
        cond_resched,
        in_task,
        may_sleep,
        CurrentTask,
        Task, //
    },
};
use core::ptr::NonNull;

/// The maximum number of bytes of one call of C, which takes an `int`.
const MAX_LEN: usize = 1 << 30;

/// How [`Task::mm_access`] checks the current task.
///
/// A task is permitted to attach to another one if it has all of its UIDs and GIDs, or
/// `CAP_SYS_PTRACE` in its user namespace; if the process is dumpable, or the task has that
/// capability in the user namespace of the address space; and if the security module agrees. Some
/// security modules ask for less if memory is to be read only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum PtraceMode {
    /// Read, with the filesystem UID and GID: an operation on a file, as `read()` of `/proc`.
    #[doc(alias = "PTRACE_MODE_READ_FSCREDS")]
    ReadFsCreds = bindings::PTRACE_MODE_READ_FSCREDS,
    /// Read, with the real UID and GID: a system call that names the process.
    #[doc(alias = "PTRACE_MODE_READ_REALCREDS")]
    ReadRealCreds = bindings::PTRACE_MODE_READ_REALCREDS,
    /// Attach, with the filesystem UID and GID.
    #[doc(alias = "PTRACE_MODE_ATTACH_FSCREDS")]
    AttachFsCreds = bindings::PTRACE_MODE_ATTACH_FSCREDS,
    /// Attach, with the real UID and GID, as `process_vm_readv()` and `process_vm_writev()` do.
    #[doc(alias = "PTRACE_MODE_ATTACH_REALCREDS")]
    AttachRealCreds = bindings::PTRACE_MODE_ATTACH_REALCREDS,
}

impl Task {
    /// Returns the address space of the task, if the current task may access it.
    ///
    /// An `execve()` of the task comes before or after the check and the reference, not between
    /// them. The address space stays the same after another `execve()`, which gives the task a new
    /// one. The current task keeps the access when it or the process changes its credentials.
    ///
    /// The credentials are those of the current task. A kthread has those of the kernel, so it may
    /// access all processes, unless a security module refuses. A task may access its own address
    /// space, and that of its thread group. On 6.18 and later, a task with `CAP_PERFMON` may access
    /// any in the two modes that read.
    ///
    /// This waits for an `execve()` of the task, which takes mmap locks and, on 6.12, calls the
    /// callbacks of the VMAs of the old address space. If the access is refused, C drops a
    /// reference by `mmput()`, which may call such callbacks here. So the caller must hold neither
    /// an mmap lock nor a lock that a callback of a VMA takes.
    ///
    /// # Errors
    ///
    /// - `ESRCH`: The task has no address space: it is exiting or has exited, is a kthread, or is a
    ///   usermode helper that has not called `execve()` yet.
    /// - `EACCES`: The current task may not access it.
    /// - `EINTR`: The current task has been killed.
    /// - `EBUSY`: The task may not sleep here.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         remote::{PtraceMode, UserMemory},
    ///         MmWithUser, //
    ///     },
    ///     pid::{Pid, PidType},
    ///     sync::aref::ARef, //
    /// };
    ///
    /// /// Reads a word of the process that has this PID in the PID namespace of the caller.
    /// fn peek(pid: i32, addr: usize) -> Result<u64> {
    ///     let pid = Pid::find_get_pid(pid).ok_or(ESRCH)?;
    ///     let task = pid.get_pid_task(PidType::Tgid).ok_or(ESRCH)?;
    ///     let mm: ARef<MmWithUser> = task.mm_access(PtraceMode::AttachRealCreds)?;
    ///     let mut word = [0; 8];
    ///     mm.read(addr, &mut word)?;
    ///     Ok(u64::from_ne_bytes(word))
    /// }
    /// # // init has no mm yet, or one in which nothing is mapped at address 0.
    /// # assert!(peek(1, 0).is_err());
    /// # assert_eq!(peek(-1, 0), Err(ESRCH));
    /// # let mode = PtraceMode::ReadFsCreds;
    /// # assert_eq!(current!().mm_access(mode).err(), Some(ESRCH));
    /// # Ok::<(), Error>(())
    /// ```
    // Not inlined, as C does not export `mm_access()`.
    #[inline(never)]
    pub fn mm_access(&self, mode: PtraceMode) -> Result<ARef<MmWithUser>> {
        if !may_sleep() {
            return Err(EBUSY);
        }
        // SAFETY: The task is allocated, as `self` is borrowed, and keeps its `signal_struct` and
        // its credentials until it is freed. `mm_access()` takes a reference to the mm under
        // `alloc_lock`, after which it does not matter whether the task exits. It may sleep, which
        // this task may. The mode has one of the two flags that choose credentials, without which
        // `__ptrace_may_access()` would warn.
        //
        // CAST: The mode is the value of the enum.
        let mm = from_err_ptr(unsafe { bindings::mm_access(self.as_ptr(), mode as c_uint) })?;
        // SAFETY: `mm_access()` does not return null, and has taken a reference on `mm_users`.
        Ok(unsafe { MmWithUser::from_taken(NonNull::new_unchecked(mm)) })
    }

    /// Returns the address space of the task, without a check.
    ///
    /// It returns `None` if the task has none: it exits, has exited, or is a kthread, also in
    /// `kthread_use_mm()`. It returns `None` in an interrupt, too.
    ///
    /// After `execve()`, the task has another address space, and perhaps more privileges. So a
    /// check of the task before or after this call says nothing on the address space that it
    /// returns. [`mm_access`](Self::mm_access) has the check that belongs to it. Of the current
    /// task, [`CurrentTask::mm`] is the address space without a reference.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::Mm,
    ///     sync::aref::ARef,
    ///     task::Task, //
    /// };
    ///
    /// /// Returns whether the task uses the address space that the driver serves.
    /// fn serves(served: &Mm, task: &Task) -> bool {
    ///     task.get_task_mm().is_some_and(|mm| **mm == *served)
    /// }
    /// # kernel::mm::kunit::with_user_mm(|mm, _| {
    /// #     // A kthread that uses an mm has none of its own.
    /// #     assert!(!serves(mm, current!()));
    /// #     Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get_task_mm(&self) -> Option<ARef<MmWithUser>> {
        // `task_lock()` takes a spinlock without disabling interrupts, which an interrupted task
        // may hold.
        if !in_task() {
            return None;
        }
        // SAFETY: The task is allocated, as `self` is borrowed. `get_task_mm()` takes a reference
        // under `alloc_lock`, which `exit_mm()` and `exec_mmap()` hold while they change the field.
        let mm = NonNull::new(unsafe { bindings::get_task_mm(self.as_ptr()) })?;
        // SAFETY: `get_task_mm()` has taken a reference on `mm_users`.
        Some(unsafe { MmWithUser::from_taken(mm) })
    }
}

impl CurrentTask {
    /// Returns the process that a file descriptor of the current task refers to.
    ///
    /// The task is the thread-group leader. On 6.18 and later, `PIDFD_SELF_THREAD` and
    /// `PIDFD_SELF_THREAD_GROUP` stand for the current task and its thread group.
    ///
    /// # Errors
    ///
    /// - `EBADF`: The file descriptor is not that of a pidfd. Or the task has released its files,
    ///   as it exits.
    /// - `ESRCH`: The process has been reaped, or the pidfd is that of a thread that is not a
    ///   thread-group leader.
    ///
    /// # Context
    ///
    /// Process context.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::{
    ///     mm::{
    ///         remote::PtraceMode,
    ///         MmWithUser, //
    ///     },
    ///     sync::aref::ARef, //
    /// };
    ///
    /// /// Returns the address space of the process that an argument of an ioctl refers to.
    /// fn target(pidfd: i32) -> Result<ARef<MmWithUser>> {
    ///     let task = current!().pidfd_get_task(pidfd)?;
    ///     task.mm_access(PtraceMode::AttachRealCreds)
    /// }
    /// # assert_eq!(target(-1).err(), Some(EBADF));
    /// # assert_eq!(target(i32::MAX).err(), Some(EBADF));
    /// # Ok::<(), Error>(())
    /// ```
    // Not inlined, as C does not export `pidfd_get_task()`.
    #[inline(never)]
    pub fn pidfd_get_task(&self, pidfd: c_int) -> Result<ARef<Task>> {
        // SAFETY: `current` is valid, and only the task itself sets the field to null.
        if !in_task() || !unsafe { bindings::current_has_files() } {
            return Err(EBADF);
        }
        let mut flags = 0;
        // SAFETY: The task has a table of file descriptors, as checked above, and only this task
        // removes it. `pidfd_get_task()` accepts any `int`, and writes the flags.
        let task = from_err_ptr(unsafe { bindings::pidfd_get_task(pidfd, &mut flags) })?;
        // CAST: `Task` is transparent around `task_struct`.
        //
        // SAFETY: `pidfd_get_task()` does not return null, and has taken a reference to the task.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(task).cast()) })
    }
}

/// A copy from or to userspace memory that ended before all bytes were copied.
///
/// The operator `?` converts it to its error.
///
/// # Examples
///
/// ```
/// use kernel::mm::remote::UserMemory;
///
/// /// Reads as much of a table as is mapped. Returns the number of bytes.
/// fn read_table(memory: &impl UserMemory, addr: usize, table: &mut [u8]) -> Result<usize> {
///     match memory.read(addr, table) {
///         Ok(()) => Ok(table.len()),
///         Err(partial) if partial.error == EFAULT => Ok(partial.copied),
///         Err(partial) => Err(partial.error),
///     }
/// }
/// # use kernel::page::PAGE_SIZE;
/// # kernel::mm::kunit::with_user_mm(|mm, addr| {
/// # for memory in [addr, addr + PAGE_SIZE - 8] {
/// #     let len = addr + PAGE_SIZE - memory;
/// #     let mut table = KVec::from_elem(1, len + 8, GFP_KERNEL)?;
/// #     assert_eq!(read_table(mm, memory, &mut table), Ok(len));
/// #     let own = read_table(current!(), memory, &mut table)?;
/// #     assert!(own <= len && table[..own].iter().all(|byte| *byte == 0));
/// # }
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialCopy {
    /// The number of bytes at the beginning that have been copied.
    pub copied: usize,
    /// Why no more have been copied.
    pub error: Error,
}

impl From<PartialCopy> for Error {
    #[inline]
    fn from(partial: PartialCopy) -> Self {
        partial.error
    }
}

/// The memory of a process: a [`CurrentTask`] has its own, and an [`MmWithUser`] may be that of
/// another process.
///
/// The process may change the memory at any time, also while it is copied, and may unmap it. Each
/// part of it that is copied is mapped, and the process may access it in this way, at that time.
/// Bytes are copied in no particular order.
///
/// A page fault takes the mmap lock, and the methods of an `MmWithUser` do so in any case. So the
/// caller must not hold it, nor a lock that is taken within it.
///
/// Of an `MmWithUser`, device memory is copied as well, if the driver that has mapped it permits
/// that ([`VmOperations::access`](super::vm_ops::VmOperations::access)). Pages that `userfaultfd()`
/// would have to provide are not. Protection keys do not matter.
///
/// # Examples
///
/// A driver that sends a message to a process, which may be the caller:
///
/// ```
/// use kernel::{mm::remote::UserMemory, page::PAGE_SIZE};
///
/// /// Writes the length, then the bytes, and clears the rest of the page.
/// fn send(memory: &impl UserMemory, page: usize, message: &[u8]) -> Result {
///     let len = message.len() as u64;
///     memory.write(page, &len.to_ne_bytes())?;
///     memory.write(page + 8, message)?;
///     let used = 8 + message.len();
///     memory.fill(page + used, PAGE_SIZE - used, 0)?;
///     Ok(())
/// }
/// # kernel::mm::kunit::with_user_mm(|mm, page| {
/// # send(mm, page, b"remote")?;
/// # send(current!(), page, b"own")?;
/// # let mut text = [1; 8];
/// # mm.read(page + 8, &mut text)?;
/// # assert_eq!(&text, b"own\0\0\0\0\0");
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
pub trait UserMemory {
    /// Copies bytes from the memory, beginning at `addr`.
    ///
    /// If fewer are copied, the contents of the rest of `out` are not specified.
    ///
    /// C: `access_remote_vm()`, or `copy_from_user()` for the current task.
    ///
    /// # Errors
    ///
    /// - `EFAULT`: The memory at `addr + copied` is not mapped or must not be read, or could not be
    ///   faulted in. Of the current task: it has no mm, or this is an interrupt, or interrupts are
    ///   disabled.
    /// - `EINTR`: The current task has been killed (of an [`MmWithUser`] only).
    /// - `EBUSY`: The task may not sleep here.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::remote::{PartialCopy, UserMemory};
    /// # use kernel::page::PAGE_SIZE;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// let mut bytes = [1; 8];
    /// mm.read(addr, &mut bytes)?;
    /// assert_eq!(bytes, [0; 8]);
    /// # let end = addr + PAGE_SIZE;
    /// # let partial = |copied| Err(PartialCopy { copied, error: EFAULT });
    /// # assert_eq!(mm.read(end - 3, &mut bytes), partial(3));
    /// # assert_eq!(current!().read(end - 3, &mut [0; 3]), Ok(()));
    /// # for addr in [0, end, usize::MAX, usize::MAX - 8, 1 << (usize::BITS - 1)] {
    /// #     assert_eq!(mm.read(addr, &mut bytes), partial(0));
    /// #     assert_eq!(current!().read(addr, &mut bytes), partial(0));
    /// #     assert_eq!(mm.read(addr, &mut []), Ok(()));
    /// # }
    /// # Ok(())
    /// # })?;
    /// # // The kthread uses no address space.
    /// # assert_eq!(current!().read(0, &mut [0]).map_err(Error::from), Err(EFAULT));
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("access_remote_vm", "copy_from_user", "access_process_vm"))]
    fn read(&self, addr: usize, out: &mut [u8]) -> Result<(), PartialCopy>;

    /// Copies bytes to the memory, beginning at `addr`.
    ///
    /// C: `access_remote_vm()` with `FOLL_WRITE`, or `copy_to_user()` for the current task.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read), for memory that must not be written.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::remote::{PartialCopy, UserMemory};
    /// # use kernel::page::PAGE_SIZE;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// mm.write(addr + 2, b"remote")?;
    /// # let mut bytes = [1; 10];
    /// # current!().read(addr, &mut bytes)?;
    /// # assert_eq!(&bytes, b"\0\0remote\0\0");
    /// # current!().write(addr + 4, b"own")?;
    /// # mm.read(addr, &mut bytes)?;
    /// # assert_eq!(&bytes, b"\0\0reowne\0\0");
    /// # let end = addr + PAGE_SIZE;
    /// # let partial = |copied| Err(PartialCopy { copied, error: EFAULT });
    /// # assert_eq!(mm.write(end - 3, b"past"), partial(3));
    /// # for addr in [0, end, usize::MAX, usize::MAX - 8, 1 << (usize::BITS - 1)] {
    /// #     assert_eq!(mm.write(addr, b"x"), partial(0));
    /// #     assert_eq!(current!().write(addr, b"x"), partial(0));
    /// # }
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("access_remote_vm", "copy_to_user", "FOLL_WRITE"))]
    fn write(&self, addr: usize, bytes: &[u8]) -> Result<(), PartialCopy>;

    /// Sets `len` bytes of the memory to `byte`, beginning at `addr`, by writes of 256 bytes.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::remote::UserMemory;
    /// # use kernel::page::PAGE_SIZE;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// mm.fill(addr, PAGE_SIZE, 7)?;
    /// # let mut page = KVec::from_elem(0, PAGE_SIZE, GFP_KERNEL)?;
    /// # current!().read(addr, &mut page)?;
    /// # assert!(page.iter().all(|byte| *byte == 7));
    /// # assert_eq!(mm.fill(addr, 0, 1), Ok(()));
    /// # let partial = mm.fill(addr + 300, PAGE_SIZE, 1).err().ok_or(EINVAL)?;
    /// # assert_eq!((partial.copied, partial.error), (PAGE_SIZE - 300, EFAULT));
    /// # current!().fill(addr, 300, 2)?;
    /// # mm.read(addr + 299, &mut page[..2])?;
    /// # assert_eq!(page[..2], [2, 1]);
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias = "clear_user")]
    fn fill(&self, addr: usize, len: usize, byte: u8) -> Result<(), PartialCopy> {
        let bytes = [byte; 256];
        let mut done = 0;
        while done < len {
            let step = bytes.len().min(len - done);
            self.write(addr.wrapping_add(done), &bytes[..step])
                .map_err(|partial| PartialCopy {
                    copied: done + partial.copied,
                    ..partial
                })?;
            done += step;
            cond_resched();
        }
        Ok(())
    }

    /// Copies a string that ends with a NUL byte.
    ///
    /// If the string does not fit into `buf`, the result is its beginning, with a NUL byte as the
    /// last element of `buf`. The memory is read up to the end of the page that has the NUL byte.
    ///
    /// It does what `strcpy_into_buf()` of [`UserSliceReader`](crate::uaccess::UserSliceReader)
    /// does.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read). A part of `buf` may then have been written. In addition:
    ///
    /// - `EINVAL`: `buf` is empty.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::mm::remote::UserMemory;
    /// # use kernel::page::PAGE_SIZE;
    ///
    /// # kernel::mm::kunit::with_user_mm(|mm, addr| {
    /// mm.write(addr, b"name\0")?;
    /// let mut buf = [1; 16];
    /// assert_eq!(mm.strcpy_into_buf(addr, &mut buf)?.to_str(), Ok("name"));
    /// # let task = current!();
    /// # assert_eq!(task.strcpy_into_buf(addr, &mut buf[..5])?.to_str(), Ok("name"));
    /// # assert_eq!(task.strcpy_into_buf(addr, &mut buf[..4])?.to_str(), Ok("nam"));
    /// # assert_eq!(task.strcpy_into_buf(addr, &mut buf[..1])?.to_str(), Ok(""));
    /// # assert_eq!(task.strcpy_into_buf(addr, &mut []).err(), Some(EINVAL));
    /// # let last = addr + PAGE_SIZE - 2;
    /// # mm.write(last, b"a\0")?;
    /// # assert_eq!(mm.strcpy_into_buf(last, &mut buf)?.to_str(), Ok("a"));
    /// # mm.write(last, b"ab")?;
    /// # assert_eq!(mm.strcpy_into_buf(last, &mut buf).err(), Some(EFAULT));
    /// # assert_eq!(mm.strcpy_into_buf(last, &mut buf[..2])?.to_str(), Ok("a"));
    /// # assert_eq!(mm.strcpy_into_buf(usize::MAX, &mut buf).err(), Some(EFAULT));
    /// # Ok(())
    /// # })?;
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("copy_remote_vm_str", "strncpy_from_user"))]
    fn strcpy_into_buf<'a>(&self, addr: usize, buf: &'a mut [u8]) -> Result<&'a CStr> {
        let last = buf.len().checked_sub(1).ok_or(EINVAL)?;
        let mut done = 0;
        let end = loop {
            let at = addr.wrapping_add(done);
            let step = (PAGE_SIZE - at % PAGE_SIZE).min(last - done);
            if step == 0 {
                buf[last] = 0;
                break last;
            }
            let part = &mut buf[done..done + step];
            self.read(at, part)?;
            if let Some(len) = part.iter().position(|byte| *byte == 0) {
                break done + len;
            }
            done += step;
        };
        CStr::from_bytes_with_nul(&buf[..=end]).map_err(|_| EINVAL)
    }
}

/// Copies `len` bytes by calls of `step`, which gets an offset and a number of bytes, and returns
/// how many of them it has copied. `error` tells why it has copied less.
#[inline]
fn copy(
    len: usize,
    step: impl Fn(usize, usize) -> usize,
    error: fn() -> Error,
) -> Result<(), PartialCopy> {
    let mut copied = 0;
    while copied < len {
        if !may_sleep() {
            return Err(PartialCopy {
                copied,
                error: EBUSY,
            });
        }
        let asked = MAX_LEN.min(len - copied);
        let done = step(copied, asked);
        copied += done;
        if done < asked {
            return Err(PartialCopy {
                copied,
                error: error(),
            });
        }
    }
    Ok(())
}

impl MmWithUser {
    /// Copies between memory of this address space and a buffer.
    ///
    /// # Safety
    ///
    /// `buf` must be valid for `len` bytes: for reads if `flags` is `FOLL_WRITE`, and for writes if
    /// it is 0. It must not be another value.
    unsafe fn access_remote(
        &self,
        addr: usize,
        buf: *mut u8,
        len: usize,
        flags: c_uint,
    ) -> Result<(), PartialCopy> {
        let step = |offset: usize, asked: usize| {
            // SAFETY: `mm_users` is not zero, and the task may sleep: `copy()` has checked that. C
            // looks up the address under the mmap lock, which it takes and releases, and checks
            // whether it may be accessed. The caller guarantees that the buffer has these bytes,
            // and may be accessed.
            //
            // CAST: `asked` is at most `MAX_LEN`, which is less than `c_int::MAX`. The result is a
            // number of bytes, at most `asked`.
            unsafe {
                bindings::access_remote_vm(
                    self.as_raw(),
                    addr.wrapping_add(offset),
                    buf.add(offset).cast(),
                    asked as c_int,
                    flags,
                ) as usize
            }
        };
        // C does not tell the reason.
        copy(len, step, || {
            match crate::current!().fatal_signal_pending() {
                true => EINTR,
                false => EFAULT,
            }
        })
    }
}

impl UserMemory for MmWithUser {
    // Neither is inlined, as C does not export `access_remote_vm()`.
    #[inline(never)]
    fn read(&self, addr: usize, out: &mut [u8]) -> Result<(), PartialCopy> {
        // SAFETY: The bytes of `out` may be written.
        unsafe { self.access_remote(addr, out.as_mut_ptr(), out.len(), 0) }
    }

    #[inline(never)]
    fn write(&self, addr: usize, bytes: &[u8]) -> Result<(), PartialCopy> {
        let start = bytes.as_ptr().cast_mut();
        // SAFETY: The bytes may be read. They are not written, as `FOLL_WRITE` is set.
        unsafe { self.access_remote(addr, start, bytes.len(), bindings::FOLL_WRITE) }
    }
}

/// Checks that userspace addresses are those of the current task.
fn check_own() -> Result<(), PartialCopy> {
    check_user_access().map_err(|error| PartialCopy { copied: 0, error })
}

impl UserMemory for CurrentTask {
    fn read(&self, addr: usize, out: &mut [u8]) -> Result<(), PartialCopy> {
        check_own()?;
        let (len, out) = (out.len(), out.as_mut_ptr());
        let step = |offset: usize, asked: usize| {
            // CAST: A userspace address.
            let from = addr.wrapping_add(offset) as *const c_void;
            // SAFETY: `out` has these bytes, which may be written. C checks the address, which is
            // one of this task, as checked above. It returns how many bytes have not been copied,
            // at most `asked`. That is less than `INT_MAX`, beyond which C warns.
            let rest = unsafe { bindings::copy_from_user(out.add(offset).cast(), from, asked) };
            // CAST: A number of bytes.
            asked - rest as usize
        };
        copy(len, step, || EFAULT)
    }

    fn write(&self, addr: usize, bytes: &[u8]) -> Result<(), PartialCopy> {
        check_own()?;
        let step = |offset: usize, asked: usize| {
            // CAST: A userspace address.
            let to = addr.wrapping_add(offset) as *mut c_void;
            let from = bytes[offset..].as_ptr().cast();
            // SAFETY: As in `read()`: `bytes` has these bytes.
            let rest = unsafe { bindings::copy_to_user(to, from, asked) };
            // CAST: A number of bytes.
            asked - rest as usize
        };
        copy(bytes.len(), step, || EFAULT)
    }
}
