// SPDX-License-Identifier: GPL-2.0

//! Operations for which mainline's `rust/kernel/` has no methods.

use super::*;
use core::{
    ffi::{
        c_int,
        c_void, //
    },
    ptr::{
        from_ref,
        null,
        null_mut, //
    },
    slice::from_raw_parts_mut, //
};
use kernel::{
    c_str,
    capability::{
        capable,
        ns_capable,
        ns_capable_noaudit,
        Capability, //
    },
    impl_has_vm_ops,
    kthread::{
        CurrentKThread,
        KThread, //
    },
    mm::{
        fault::{
            FaultResult,
            VmFault, //
        },
        mmu_notifier::{
            InvalidatedRange,
            MmuIntervalNotifier,
            MmuIntervalRegistration, //
        },
        pin::{
            Accounting,
            LongtermPages,
            PinnedPages,
            ReadWrite, //
        },
        remote::UserMemory,
        virt::VmaNew,
        vm_ops::{
            MmapHook,
            VmOperations, //
        },
    },
    page::PAGE_SIZE,
    pid::{
        Pid,
        PidType, //
    },
    prelude::*,
    str::CStr,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        Arc, //
    },
    task::{
        cond_resched,
        memalloc_noio,
        need_resched,
        Kuid,
        Rlimit,
        TaskState,
        WaitQueue,
        MAX_SCHEDULE_TIMEOUT, //
    },
    ModuleMetadata, //
};

/// The module of a `#[vtable]` implementation. `main.c` has the rest of the module.
pub(crate) struct LocalModule;

impl ModuleMetadata for LocalModule {
    const NAME: &'static CStr = c_str!("rust_task_bench");
    // SAFETY: A null `struct module` stands for the kernel itself. A `vm_operations_struct` has no
    // owner, so the pointer is not used.
    const THIS_MODULE: ThisModule = unsafe { ThisModule::from_ptr(null_mut()) };
}

/// The `vm_private_data` of a VMA.
struct Data {
    page: UserPage,
}

impl_has_vm_ops!(Data);

#[vtable]
impl VmOperations for Data {
    type Hook = MmapHook;

    fn fault<'a>(vmf: &'a mut VmFault<'a, Self>) -> FaultResult<'a> {
        vmf.return_page(&vmf.data().page)
    }
}

/// Sets the `vm_ops` of a VMA.
///
/// # Safety
///
/// `vma` must be the VMA that `->mmap()` in `main.c` has been called for, and `->mmap()` must
/// return the result of this function.
#[no_mangle]
unsafe extern "C" fn rust_mmap(vma: *mut bindings::vm_area_struct) -> c_int {
    let mmap = |vma: &VmaNew| {
        let page = UserPage::alloc_page(GFP_KERNEL)?;
        vma.set_ops(Arc::new(Data { page }, GFP_KERNEL)?)?;
        Ok(())
    };
    // SAFETY: By the safety requirements of this function, `vma` is being mapped and the result is
    // returned from `->mmap()`. `main.c` has not changed the VMA before this call.
    unsafe { VmaNew::run_mmap_hook(vma, mmap) }
}

/// Returns a new queue, or null if it cannot be allocated.
#[no_mangle]
extern "C" fn rust_queue_create() -> *const c_void {
    let queue = Arc::pin_init(WaitQueue::new(), GFP_KERNEL);
    queue.map_or(null(), |queue| Arc::into_raw(queue).cast())
}

/// # Safety
///
/// `queue` must be a result of `rust_queue_create()` that is not null, and must not be used again.
#[no_mangle]
unsafe extern "C" fn rust_queue_free(queue: *const c_void) {
    // SAFETY: By the safety requirements, this is the pointer of `Arc::into_raw()`, and its
    // reference is given up once.
    drop(unsafe { Arc::from_raw(queue.cast::<WaitQueue>()) });
}

/// What a driver has for a range that it mirrors.
struct Mirror;

impl MmuIntervalNotifier for Mirror {
    type State = usize;

    fn invalidate(&self, state: &mut usize, _range: &InvalidatedRange<'_>) {
        *state += 1;
    }

    fn try_invalidate(&self, state: &mut usize, range: &InvalidatedRange<'_>) -> bool {
        self.invalidate(state, range);
        true
    }
}

/// Returns a new notifier for memory of the current process, or null if it cannot be registered.
#[no_mangle]
extern "C" fn rust_mirror_create(addr: usize, len: usize) -> *const c_void {
    let insert = || -> Result<_> {
        let task = current!();
        let mm = task.mm().ok_or(EINVAL)?;
        let mirror = mm.mmu_interval_notifier_insert(addr, len, Mirror, 0)?;
        Ok(KBox::new(mirror, GFP_KERNEL)?)
    };
    insert().map_or(null(), |mirror| KBox::into_raw(mirror).cast_const().cast())
}

/// # Safety
///
/// `mirror` must be a result of `rust_mirror_create()` that is not null, and must not be used
/// again.
#[no_mangle]
unsafe extern "C" fn rust_mirror_free(mirror: *const c_void) {
    let mirror = mirror.cast_mut().cast::<MmuIntervalRegistration<Mirror>>();
    // SAFETY: By the safety requirements, this is the pointer of `KBox::into_raw()`, and the box is
    // created again once.
    drop(unsafe { KBox::from_raw(mirror) });
}

/// A function of `main.c`, and its first argument.
struct Call {
    f: unsafe extern "C" fn(*mut c_void, *const c_void),
    data: *mut c_void,
}

// SAFETY: By the safety requirements of `rust_call_in_kthread()`, which creates it, another task
// may make the call.
unsafe impl Send for Call {}

impl Call {
    /// # Safety
    ///
    /// `rust_call_in_kthread()` must not have returned.
    unsafe fn make(self, this: &CurrentKThread) {
        // SAFETY: By the safety requirements of both functions. `this` is valid during the call.
        unsafe { (self.f)(self.data, from_ref(this).cast()) };
    }
}

/// Makes the call in a kthread, and returns after the kthread has exited.
fn call_in_kthread(call: Call) -> Result {
    let done = Arc::new(Atomic::new(false), GFP_KERNEL)?;
    let of_kthread = done.clone();
    let reader: &Task = current!();
    let reader = ARef::from(reader);
    let thread = KThread::spawn(format_args!("rust_task_bench"), move |this| {
        // SAFETY: The other task drops `thread` before it returns from `rust_call_in_kthread()`.
        // It may sleep, so the drop waits until this kthread has exited.
        unsafe { call.make(this) };
        of_kthread.store(true, Release);
        reader.wake_up();
        0
    })?;
    // `should_stop()` takes fewer instructions once the kthread is stopped.
    let is_done = || done.load(Acquire).then_some(());
    current!().wait_until(TaskState::Uninterruptible, MAX_SCHEDULE_TIMEOUT, is_done)?;
    drop(thread);
    Ok(())
}

/// # Safety
///
/// Must be called where the task may sleep. Another task must be allowed to call `f` with `data`
/// and a pointer to its `CurrentKThread`, until this function returns.
#[no_mangle]
unsafe extern "C" fn rust_call_in_kthread(
    f: unsafe extern "C" fn(*mut c_void, *const c_void),
    data: *mut c_void,
) -> c_int {
    match call_in_kthread(Call { f, data }) {
        Ok(()) => 0,
        Err(err) => err.to_errno(),
    }
}

impl Bench {
    #[inline(always)]
    fn queue(&self) -> &WaitQueue {
        // SAFETY: By the type invariants, this is a queue that outlives `self`.
        unsafe { &*self.queue.cast() }
    }

    #[inline(always)]
    fn mirror(&self) -> &MmuIntervalRegistration<Mirror> {
        // SAFETY: By the type invariants, this is a notifier that outlives `self`.
        unsafe { &*self.mirror.cast() }
    }

    /// # Safety
    ///
    /// The caller must be an operation of `kthread_rows` in `main.c`.
    #[inline(always)]
    unsafe fn kthread(&self) -> &CurrentKThread {
        // SAFETY: By the safety requirements and the type invariants, this is the `CurrentKThread`
        // of the current task, which is valid until `kthread_show()` returns.
        unsafe { &*self.kthread.cast() }
    }

    #[inline(always)]
    #[allow(clippy::mut_from_ref)]
    fn buffer(&self) -> &mut [u8] {
        // SAFETY: By the type invariants, this is a page that no other operation uses. Each
        // operation calls this once.
        unsafe { from_raw_parts_mut(self.buffer.cast(), PAGE_SIZE) }
    }

    /// Pins pages for a long time, and unpins them.
    #[inline(always)]
    fn pin(&self, pages: usize) {
        let addr = self.user as usize;
        let pinned: Result<LongtermPages<ReadWrite>> =
            current!().pin_user_pages_longterm(addr, pages * PAGE_SIZE, Accounting::PinnedVm);
        between();
        drop(pinned);
    }

    #[inline(always)]
    fn pid(&self) -> &Pid {
        // SAFETY: `main.c` has set it to `task_pid(current)`. The current task is attached to that
        // `struct pid`, which holds a reference.
        unsafe { Pid::from_ptr(self.pid.as_ptr()) }
    }
}

operations! {
    rust_task_parent: |b| if let Some(task) = b.task().real_parent() {
        keep!(task.as_ptr());
    };
    rust_task_nice: |b| keep!(b.task().nice());
    rust_task_cpu: |b| keep!(b.task().cpu());
    rust_task_start: |b| keep!(b.task().start_time());
    rust_task_exit_state: |b| keep!(u32::from(b.task().exit_state().is_none()));
    rust_task_rlimit: |b| keep!(b.task().rlimit(Rlimit::Memlock));
    rust_task_cred: |b| {
        let _cred = b.task().get_task_cred();
        between();
    };
    rust_cred: |_| keep!(current!().cred().as_ptr());
    rust_uid: |_| {
        if let Some(uid) = Kuid::current_euid().into_uid(current!().user_ns()) {
            keep!(uid);
        }
    };
    rust_kuid: |b| {
        if let Some(user) = current!().user_ns().make_kuid(b.addr as u32) {
            keep!(user.into_raw().val);
        }
    };
    rust_user_ns: |_| {
        let _ns = ARef::from(current!().user_ns());
        between();
    };
    rust_capable: |_| if capable(Capability::SYS_ADMIN) {
        keep!(1);
    };
    rust_ns_capable: |_| if ns_capable(current!().user_ns(), Capability::SYS_ADMIN) {
        keep!(1);
    };
    rust_wait: |b| {
        let condition = || Some(b.addr).filter(|addr| *addr != 0);
        if let Ok(addr) = current!().wait_until(TaskState::Interruptible, 1, condition) {
            keep!(addr);
        }
    };
    rust_ns_capable_noaudit: |_| {
        if ns_capable_noaudit(current!().user_ns(), Capability::SYS_ADMIN) {
            keep!(1);
        }
    };
    rust_current_uid: |_| keep!(current!().cred().uid().into_raw().val);
    rust_current_fsuid: |_| keep!(current!().cred().fsuid().into_raw().val);
    rust_uid_munged: |_| {
        let task = current!();
        keep!(task.cred().uid().into_uid_munged(task.user_ns()));
    };
    rust_compat: |_| if current!().in_compat_syscall() {
        between();
    };
    rust_set_nice: |b| {
        let _ = b.task().set_user_nice(b.task().nice());
    };
    rust_noio: |_| memalloc_noio(between);
    rust_need_resched: |_| if need_resched() {
        between();
    };
    rust_cond_resched: |_| {
        cond_resched();
    };
    rust_wait_event: |b| {
        let condition = || Some(b.addr).filter(|addr| *addr != 0);
        let state = TaskState::Interruptible;
        if let Ok(addr) = b.queue().wait_event(state, MAX_SCHEDULE_TIMEOUT, condition) {
            keep!(addr);
        }
    };
    rust_wait_event_exclusive: |b| {
        let condition = || Some(b.addr).filter(|addr| *addr != 0);
        let state = TaskState::Interruptible;
        if let Ok(addr) = b.queue().wait_event_exclusive(state, MAX_SCHEDULE_TIMEOUT, condition) {
            keep!(addr);
        }
    };
    rust_task_mm: |b| if let Some(_mm) = b.task().get_task_mm() {
        between();
    };
    rust_remote_read: |b| if let Some(mm) = b.task().get_task_mm() {
        let _ = mm.read(b.user as usize, b.buffer());
    };
    rust_remote_write: |b| if let Some(mm) = b.task().get_task_mm() {
        let _ = mm.write(b.user as usize, b.buffer());
    };
    rust_pin: |b| b.pin(1);
    rust_pin_many: |b| b.pin(512);
    rust_pin_short: |b| {
        let f = |_: &PinnedPages<ReadWrite>| between();
        let _ = current!().with_pinned_user_pages(b.user as usize, PAGE_SIZE, f);
    };
    rust_read_section: |b| if let Ok(section) = b.mirror().read_begin() {
        between();
        let _ = section.commit(|state| keep!(*state));
    };
    rust_queue_wake_up: |b| b.queue().wake_up();
    rust_queue_has_sleeper: |b| if b.queue().has_sleeper() {
        between();
    };
    rust_should_stop: |b| {
        // SAFETY: This is an operation of `kthread_rows`.
        if unsafe { b.kthread() }.should_stop() {
            between();
        }
    };
    rust_use_mm: |b| {
        let _ = b.users().kthread_use_mm(between);
    };
    rust_pid_clone: |b| {
        let _pid = ARef::from(b.pid());
        between();
    };
    rust_pid_of_task: |b| if let Some(_pid) = b.task().get_task_pid(PidType::Pid) {
        between();
    };
    rust_pid_find: |_| if let Some(_pid) = Pid::find_get_pid(1) {
        between();
    };
    rust_pid_task: |b| if let Some(_task) = b.pid().get_pid_task(PidType::Pid) {
        between();
    };
    rust_pid_nr: |b| keep!(b.pid().pid_nr_ns(b.ns()));
    rust_group_each: |b| for task in b.ns().processes() {
        keep!(task.as_ptr());
    };
    rust_thread_each: |b| for task in b.task().threads() {
        keep!(task.as_ptr());
    };
    rust_mmap_write_lock: |b| {
        let _guard = b.users().mmap_write_lock();
        between();
    };
    rust_vma_each: |b| {
        let guard = b.users().mmap_read_lock();
        for vma in guard.vmas(0..usize::MAX) {
            keep!(vma.as_ptr());
        }
    };
    rust_vma_file: |b| {
        // SAFETY: `main.c` runs `vma_rows` with the mmap lock held.
        let vma = unsafe { b.device() };
        keep!(vma.vma_pages());
        if let Some(file) = vma.file() {
            keep!(core::ptr::from_ref(file));
        }
    };
    rust_vma_typed: |b| {
        // SAFETY: `main.c` runs `vma_rows` with the mmap lock held.
        if let Some(vma) = unsafe { b.vma() }.downcast::<Data>() {
            keep!(vma.as_ptr());
        }
    };
}
