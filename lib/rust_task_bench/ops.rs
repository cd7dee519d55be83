// SPDX-License-Identifier: GPL-2.0

//! The operations of `main.c` as a driver in Rust has them.

use core::{
    arch::asm,
    ffi::c_ulong,
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
    page::Page,
    pid_namespace::PidNamespace,
    sync::aref::ARef,
    task::{
        Kuid,
        Task, //
    },
};

/// What an operation is done with.
///
/// # Invariants
///
/// All of it is that of the current task, which `main.c` calls it in. `vma` and `device` are areas
/// of `mm` while the mmap lock is held, and `device` is `VM_MIXEDMAP` and has no huge pages then.
#[repr(C)]
pub struct Bench {
    task: NonNull<bindings::task_struct>,
    mm: NonNull<bindings::mm_struct>,
    vma: NonNull<bindings::vm_area_struct>,
    device: NonNull<bindings::vm_area_struct>,
    ns: NonNull<bindings::pid_namespace>,
    // `struct page *`, which is what `Page` has, and nothing else.
    page: ManuallyDrop<Page>,
    addr: c_ulong,
    // For `more.rs`.
    #[allow(dead_code)]
    pid: NonNull<bindings::pid>,
}

const _: () = assert!(size_of::<Page>() == size_of::<*mut bindings::page>());

impl Bench {
    #[inline(always)]
    fn task(&self) -> &Task {
        // SAFETY: The current task is there while it runs this. CAST: `Task` is transparent around
        // `task_struct`.
        unsafe { self.task.cast().as_ref() }
    }

    #[inline(always)]
    fn mm(&self) -> &Mm {
        // SAFETY: The current task keeps its `mm_struct` at least until it returns from `read()`.
        unsafe { Mm::from_raw(self.mm.as_ptr()) }
    }

    #[inline(always)]
    fn users(&self) -> &MmWithUser {
        // SAFETY: As for `mm`: of its own, a task has `mm_users`.
        unsafe { MmWithUser::from_raw(self.mm.as_ptr()) }
    }

    /// # Safety
    ///
    /// The mmap lock is held for as long as the result is used.
    #[inline(always)]
    unsafe fn vma(&self) -> &VmaRef {
        // SAFETY: It is an area of a living address space by the type invariant and the caller's
        // lock.
        unsafe { VmaRef::from_raw(self.vma.as_ptr()) }
    }

    /// # Safety
    ///
    /// As for [`Self::vma`].
    #[inline(always)]
    unsafe fn device(&self) -> &VmaMixedMap {
        // SAFETY: As for `vma`, and the rest is the type invariant.
        unsafe { VmaMixedMap::from_raw(self.device.as_ptr()) }
    }

    #[inline(always)]
    fn ns(&self) -> &PidNamespace {
        // SAFETY: The current task is attached to a `struct pid` of it, which owns a count.
        unsafe { PidNamespace::from_ptr(self.ns.as_ptr()) }
    }
}

/// The value has to be there, and so has all memory. Emits nothing.
macro_rules! keep {
    ($value:expr) => {
        // SAFETY: This is a comment.
        unsafe { asm!("/* {0:r} */", in(reg) $value, options(nostack, preserves_flags)) }
    };
}

/// All memory has to be there. Emits nothing.
#[inline(always)]
fn between() {
    // SAFETY: This is nothing.
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
    rust_task_number: |b| keep!(b.task().tgid_nr_ns(None));
    rust_task_number_in_ns: |b| keep!(b.task().tgid_nr_ns(Some(b.ns())));
    rust_task_ns_counted: |b| if let Some(ns) = b.task().get_pid_ns() {
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
    rust_task_count: |b| {
        let _task = ARef::from(b.task());
        between();
    };
    rust_mm_count: |b| {
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
    rust_ns_count: |b| {
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
        // SAFETY: `main.c` does `rows_of_areas` under the lock.
        let vma = unsafe { b.vma() };
        keep!(vma.start());
        keep!(vma.end());
        keep!(vma.flags());
        keep!(vma.mm().as_raw());
    };
    rust_vma_mixedmap: |b| {
        // SAFETY: As for `rust_vma_fields`.
        if let Some(vma) = unsafe { b.device() }.as_mixedmap_vma() {
            keep!(vma.as_ptr());
        }
    };
    rust_page_insert: |b| {
        // SAFETY: As for `rust_vma_fields`.
        let area = unsafe { b.device() };
        if let Err(err) = area.vm_insert_page(area.start(), &b.page) {
            keep!(err.to_errno());
        }
    };
}

// What mainline's files do not offer. Only a kernel with ours has this symbol.
#[cfg(CONFIG_RUST_TASK_BENCH)]
mod more;
#[cfg(CONFIG_RUST_TASK_BENCH)]
use more::LocalModule;
