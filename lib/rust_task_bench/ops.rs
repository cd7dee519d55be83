// SPDX-License-Identifier: GPL-2.0

//! The operations of `main.c` in Rust.

use core::{
    arch::asm,
    ffi::{
        c_ulong,
        c_void, //
    },
    mem::{
        size_of,
        ManuallyDrop, //
    },
    ptr::NonNull, //
};
use kernel::{
    bindings, current,
    mm::{
        virt::{
            VmaMixedMap,
            VmaRef, //
        },
        Mm,
        MmWithUser,
        MmWithUserAsync, //
    },
    pid_namespace::PidNamespace,
    sync::aref::ARef,
    task::{
        Kuid,
        Task, //
    },
};

// Only a kernel of this repository has this Kconfig symbol. Mainline maps any `Page`.
#[cfg(CONFIG_RUST_TASK_BENCH)]
use kernel::mm::UserPage;
#[cfg(not(CONFIG_RUST_TASK_BENCH))]
use kernel::page::Page as UserPage;

/// The arguments of an operation. The layout is that of `struct bench` in `main.c`.
///
/// # Invariants
///
/// - `task` is the current task. `mm`, `ns` and `pid` are its `mm`, its active PID namespace and
///   its `thread_pid`.
/// - While the mmap lock of `mm` is held, `vma` and `device` are VMAs of `mm`, and `device` is
///   the driver's own, and has `VM_MIXEDMAP` and no huge pages.
/// - `page` is a page that was zeroed when it was allocated, and that is used for nothing else.
/// - With `CONFIG_RUST_TASK_BENCH`, `queue` is a `WaitQueue` that outlives this structure. In
///   `kthread_rows` of `main.c`, `kthread` is the `CurrentKThread` of the current task. `buffer` is
///   a page of memory that only one operation at a time uses. `mirror` is a result of
///   `rust_mirror_create()` that is not null, and is not freed before this structure.
#[repr(C)]
pub struct Bench {
    task: NonNull<bindings::task_struct>,
    mm: NonNull<bindings::mm_struct>,
    vma: NonNull<bindings::vm_area_struct>,
    device: NonNull<bindings::vm_area_struct>,
    ns: NonNull<bindings::pid_namespace>,
    // `struct page *`: a `UserPage` consists of such a pointer.
    page: ManuallyDrop<UserPage>,
    addr: c_ulong,
    // Used in `more.rs`.
    #[allow(dead_code)]
    pid: NonNull<bindings::pid>,
    #[allow(dead_code)]
    queue: *const c_void,
    #[allow(dead_code)]
    kthread: *const c_void,
    #[allow(dead_code)]
    user: c_ulong,
    #[allow(dead_code)]
    buffer: *mut c_void,
    #[allow(dead_code)]
    mirror: *const c_void,
}

const _: () = assert!(size_of::<UserPage>() == size_of::<*mut bindings::page>());

impl Bench {
    #[inline(always)]
    fn task(&self) -> &Task {
        // CAST: `Task` is a transparent wrapper of `task_struct`.
        // SAFETY: By the type invariants, `task` is the current task, which is valid while it runs.
        unsafe { self.task.cast().as_ref() }
    }

    #[inline(always)]
    fn mm(&self) -> &Mm {
        // SAFETY: By the type invariants, `mm` is the current task's. The task holds a reference to
        // it at least until it returns from the system call.
        unsafe { Mm::from_raw(self.mm.as_ptr()) }
    }

    #[inline(always)]
    fn users(&self) -> &MmWithUser {
        // SAFETY: By the type invariants, `mm` is the current task's. The task holds a reference of
        // `mm_users` to it at least until it returns from the system call.
        unsafe { MmWithUser::from_raw(self.mm.as_ptr()) }
    }

    /// # Safety
    ///
    /// The caller must hold the mmap lock of `mm` for as long as the result is used.
    #[inline(always)]
    unsafe fn vma(&self) -> &VmaRef {
        // SAFETY: The caller holds the mmap lock of `mm`, which has users. By the type invariants,
        // `vma` is a VMA of `mm` then.
        unsafe { VmaRef::from_raw(self.vma.as_ptr()) }
    }

    /// # Safety
    ///
    /// The caller must hold the mmap lock of `mm` for as long as the result is used.
    #[inline(always)]
    unsafe fn device(&self) -> &VmaMixedMap {
        // SAFETY: The caller holds the mmap lock of `mm`, which has users. By the type invariants,
        // `device` is a VMA of `mm` then, is the driver's own, and has `VM_MIXEDMAP` and no huge
        // pages.
        unsafe { VmaMixedMap::from_raw(self.device.as_ptr()) }
    }

    #[inline(always)]
    fn ns(&self) -> &PidNamespace {
        // SAFETY: The current task is attached to a `struct pid` of this namespace, which holds a
        // reference to it.
        unsafe { PidNamespace::from_ptr(self.ns.as_ptr()) }
    }
}

/// An assembly comment with the whole register of the operand.
#[cfg(target_arch = "x86_64")]
macro_rules! comment {
    () => {
        "/* {0:r} */"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! comment {
    () => {
        "/* {0:x} */"
    };
}

/// Makes the compiler compute the value and all memory. Emits no instruction.
macro_rules! keep {
    ($value:expr) => {
        // SAFETY: The assembly code is a comment.
        unsafe { asm!(comment!(), in(reg) $value, options(nostack, preserves_flags)) }
    };
}

/// Makes the compiler compute all memory. Emits no instruction.
#[inline(always)]
fn between() {
    // SAFETY: The assembly code is empty.
    unsafe { asm!("", options(nostack, preserves_flags)) }
}

macro_rules! operations {
    ($($name:ident: |$bench:pat_param| $body:expr;)*) => {
        $(
            #[no_mangle]
            extern "C" fn $name($bench: &Bench) {
                $body
            }
        )*
    };
}

operations! {
    rust_empty: |_| ();
    rust_current: |_| keep!(current!().as_ptr());
    rust_current_pid: |_| keep!(current!().pid());
    rust_current_tgid: |_| keep!(current!().tgid());
    rust_current_leader: |_| keep!(current!().group_leader().as_ptr());
    rust_current_mm: |_| if let Some(mm) = current!().mm() {
        keep!(mm.as_raw());
    };
    rust_current_ns: |_| if let Some(ns) = current!().active_pid_ns() {
        keep!(ns.as_ptr());
    };
    rust_current_euid: |_| keep!(Kuid::current_euid().into_raw().val);
    rust_task_pid: |b| keep!(b.task().pid());
    rust_task_tgid: |b| keep!(b.task().tgid());
    rust_task_uid: |b| keep!(b.task().uid().into_raw().val);
    rust_task_tgid_nr: |b| keep!(b.task().tgid_nr_ns(None));
    rust_task_tgid_nr_ns: |b| keep!(b.task().tgid_nr_ns(Some(b.ns())));
    rust_task_get_ns: |b| if let Some(ns) = b.task().get_pid_ns() {
        keep!(ns.as_ptr());
    };
    rust_signal_pending: |b| if b.task().signal_pending() {
        between();
    };
    rust_wake_up: |b| b.task().wake_up();
    rust_same_user: |b| if b.task().uid() == Kuid::current_euid() {
        between();
    };
    rust_uid_in_ns: |_| keep!(Kuid::current_euid().into_uid_in_current_ns());
    rust_task_clone: |b| {
        let _task = ARef::from(b.task());
        between();
    };
    rust_mm_clone: |b| {
        let _mm = ARef::from(b.mm());
        between();
    };
    rust_mm_users: |b| {
        let _mm = ARef::from(b.users());
        between();
    };
    rust_mm_users_async: |b| {
        let _mm: ARef<MmWithUserAsync> = MmWithUser::into_mmput_async(ARef::from(b.users()));
        between();
    };
    rust_mm_not_zero: |b| {
        let _mm = b.mm().mmget_not_zero();
        between();
    };
    rust_ns_clone: |b| {
        let _ns = ARef::from(b.ns());
        between();
    };
    rust_mmap_lock: |b| {
        let _guard = b.users().mmap_read_lock();
        between();
    };
    rust_mmap_trylock: |b| {
        let _guard = b.users().mmap_read_trylock();
        between();
    };
    rust_vma_lookup: |b| {
        let guard = b.users().mmap_read_lock();
        if let Some(vma) = guard.vma_lookup(b.addr as usize) {
            keep!(vma.as_ptr());
        }
    };
    rust_vma_lock: |b| {
        let _guard = b.users().lock_vma_under_rcu(b.addr as usize);
        between();
    };
    rust_vma_fields: |b| {
        // SAFETY: `main.c` runs `vma_rows` with the mmap lock held.
        let vma = unsafe { b.vma() };
        keep!(vma.start());
        keep!(vma.end());
        keep!(vma.flags());
        keep!(vma.mm().as_raw());
    };
    rust_page_insert: |b| {
        // SAFETY: `main.c` runs `vma_rows` with the mmap lock held.
        let vma = unsafe { b.device() };
        if let Err(err) = vma.vm_insert_page(vma.start(), &b.page) {
            keep!(err.to_errno());
        }
    };
}

// Mainline's `rust/kernel/` does not have these methods. Only a kernel of this repository has this
// Kconfig symbol.
#[cfg(CONFIG_RUST_TASK_BENCH)]
mod more;
#[cfg(CONFIG_RUST_TASK_BENCH)]
use more::LocalModule;
