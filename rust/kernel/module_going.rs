// SPDX-License-Identifier: GPL-2.0

//! Ending what a module leaves behind.
//!
//! Safe code can leave an object behind when its module goes: in a cycle of references, in a
//! `static`, by `mem::forget()`, or because `init()` fails. The kernel would then call code that
//! `free_module()` has freed. An object that the kernel calls therefore contains a [`Leftover`],
//! which is in a list while the object can be called. The module notifier of rust/module_going.c
//! calls [`rust_module_going`] at `MODULE_STATE_GOING`, after `exit()` or a failed `init()` and
//! before `free_module()`. It ends the objects of that module that are still in the list.
//!
//! No reference to the module is held, so it can be unloaded. Code that is built into the kernel
//! has no module, and its objects are not in the list.
//!
//! A module in `MODULE_STATE_COMING` is freed regardless of its refcount if `init()` fails.
//! [`check_open`] therefore refuses to open a file of such a module.
//!
//! C header: [`include/linux/module.h`](srctree/include/linux/module.h)

use crate::{
    bindings,
    prelude::*,
    sync::atomic::{
        Acquire,
        Atomic,
        Full, //
    },
    task::{
        TaskWork,
        TaskWorkItem, //
    },
};
use core::{
    cell::UnsafeCell,
    marker::PhantomPinned,
    mem::MaybeUninit,
    ptr::null_mut, //
};

extern "C" {
    fn rust_module_going_lock();
    fn rust_module_going_unlock();
}

/// A counter whose changes can be waited for.
struct Changes(Atomic<u32>);

impl Changes {
    /// Counts a change, and wakes the waiting tasks. The caller makes the change before this call.
    fn notify(&self) {
        // `wake_up_var()` requires a full barrier after the change.
        // MODEL: module-claim/notify, module-decided/notify
        self.0.fetch_add(1, Full);
        // SAFETY: `wake_up_var()` uses the address as a key and does not dereference it.
        unsafe { bindings::wake_up_var(self.0.as_ptr().cast()) };
    }

    /// Returns the value of the counter. The caller looks at the state after this call.
    fn current(&self) -> u32 {
        // MODEL: module-claim/current, module-decided/current
        self.0.load(Acquire)
    }

    /// Waits until the counter is not `seen`, or for a tenth of a second.
    fn wait(&self, seen: u32) {
        // SAFETY: `self` is a static, and C code reads it atomically. All callers are in process
        // context, may sleep, and do not hold the lock of rust/module_going.c.
        unsafe { bindings::wait_var_change(self.0.as_ptr(), seen) };
    }
}

/// Counts objects that leave [`State::Busy`] or the list.
static ENDED: Changes = Changes(Atomic::new(0));

/// Counts the modules that have become live or going.
static DECIDED: Changes = Changes(Atomic::new(0));

/// The kind of an object, which determines when it is ended: in this order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The object runs code of the module. It removes itself from the list.
    Thread,
    /// The object is registered with the kernel. It is ended when no [`Kind::Thread`] is left.
    Registration,
    /// Registrations use the object. It is ended when no [`Kind::Registration`] is left.
    Region,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The object is not in the list.
    Unlinked,
    /// The object is in the list.
    Linked,
    /// The object is in the list, and the notifier accesses it without the lock.
    Busy,
    /// The object is in the list, and its owner ends it.
    Claimed,
}

/// An object that is ended when its module goes.
///
/// # Invariants
///
/// - `module` is written by [`link`](Self::link) only, before the object is in the list.
/// - The other fields of `inner` are accessed by the holder of the lock only.
/// - While `state` is not [`State::Unlinked`], the object is in the list at [`HEAD`], it is pinned,
///   and its module has not been freed. `end` may be called for it when the list has no object of
///   an earlier [`Kind`] of its module.
pub(crate) struct Leftover {
    kind: Kind,
    end: unsafe fn(*mut Leftover),
    module: UnsafeCell<*mut bindings::module>,
    inner: UnsafeCell<Inner>,
    _pin: PhantomPinned,
}

struct Inner {
    state: State,
    prev: *mut Leftover,
    next: *mut Leftover,
}

// SAFETY: The lock protects the fields, and any task may hold it.
unsafe impl Send for Leftover {}
// SAFETY: As above. `module` does not change after `link()`.
unsafe impl Sync for Leftover {}

struct Head(UnsafeCell<*mut Leftover>);

// SAFETY: `Head` is accessed by the holder of the lock only.
unsafe impl Sync for Head {}

/// The first object of the list.
static HEAD: Head = Head(UnsafeCell::new(null_mut()));

/// A guard of the lock of rust/module_going.c.
///
/// # Invariants
///
/// The current task holds the lock.
pub(crate) struct Locked(());

impl Locked {
    pub(crate) fn lock() -> Self {
        // SAFETY: The callers are in process context and may sleep. None holds this lock.
        unsafe { rust_module_going_lock() };
        // INVARIANT: The lock has just been taken.
        Self(())
    }

    /// Returns the fields that the lock protects.
    ///
    /// # Safety
    ///
    /// `leftover` must be valid. The caller must not use another result of this function for the
    /// same object at the same time.
    #[expect(clippy::mut_from_ref, reason = "the lock makes the access exclusive")]
    unsafe fn inner(&self, leftover: *mut Leftover) -> &mut Inner {
        // SAFETY: The caller guarantees that the object is valid. By the type invariant, this task
        // holds the lock, so no other task accesses `inner`.
        unsafe { &mut *(*leftover).inner.get() }
    }

    /// Removes an object from the list.
    ///
    /// # Safety
    ///
    /// `leftover` must be in the list. No result of [`Self::inner`] must be in use.
    unsafe fn unlink(&self, leftover: *mut Leftover) {
        // SAFETY: The caller guarantees that the object is in the list, so it is valid.
        let inner = unsafe { self.inner(leftover) };
        let (prev, next) = (inner.prev, inner.next);
        // INVARIANT: The object is removed from the list below, before the lock is released.
        inner.state = State::Unlinked;
        if prev.is_null() {
            // SAFETY: This task holds the lock.
            unsafe { *HEAD.0.get() = next };
        } else {
            // SAFETY: `prev` is in the list, and is another object.
            unsafe { self.inner(prev) }.next = next;
        }
        if !next.is_null() {
            // SAFETY: `next` is in the list, and is another object.
            unsafe { self.inner(next) }.prev = prev;
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: By the type invariant, this task holds the lock.
        unsafe { rust_module_going_unlock() };
    }
}

impl Leftover {
    /// Creates an object that is not in the list.
    ///
    /// `end` is called without a lock. For a [`Kind::Thread`], it tells the thread to end and does
    /// not wait: it is called again until the thread has removed itself. For the other kinds, it
    /// ends the object, which is then removed from the list.
    pub(crate) const fn new(kind: Kind, end: unsafe fn(*mut Leftover)) -> Self {
        // INVARIANT: The object is not in the list.
        Self {
            kind,
            end,
            module: UnsafeCell::new(null_mut()),
            inner: UnsafeCell::new(Inner {
                state: State::Unlinked,
                prev: null_mut(),
                next: null_mut(),
            }),
            _pin: PhantomPinned,
        }
    }

    /// Adds the object to the list, unless `module` is null.
    ///
    /// # Safety
    ///
    /// - `this` must be valid and not in the list, and must not have been added before.
    /// - If `module` is not null, code of that module must be executing this call, and the object
    ///   must be pinned. It must be valid until [`Self::unlink`] or, unless it is a
    ///   [`Kind::Thread`], until `end` has returned. Until then, `end` must be allowed when the
    ///   list has no object of an earlier [`Kind`] of `module`.
    pub(crate) unsafe fn link(this: *mut Self, module: *mut bindings::module) {
        if module.is_null() {
            return;
        }
        // SAFETY: The caller guarantees that the object is valid, is not in the list and has not
        // been in it. So no other task accesses `module`.
        unsafe { *(*this).module.get() = module };

        let lock = Locked::lock();
        // SAFETY: This task holds the lock.
        let head = unsafe { HEAD.0.get().replace(this) };
        // SAFETY: The caller guarantees that the object is valid. No other result for it is in use.
        let inner = unsafe { lock.inner(this) };
        // INVARIANT: The object is the first of the list. The caller guarantees the rest.
        inner.state = State::Linked;
        inner.next = head;
        if !head.is_null() {
            // SAFETY: `head` is in the list, and is another object.
            unsafe { lock.inner(head) }.prev = this;
        }
    }

    /// Returns whether the object has a module.
    fn has_module(&self) -> bool {
        // SAFETY: By the type invariant, `module` has not changed since `link()`.
        !unsafe { *self.module.get() }.is_null()
    }

    /// Waits until the notifier does not access the object, and returns whether the caller must end
    /// it. If so, it must then call [`unlink`](Self::unlink). Otherwise it has been ended.
    pub(crate) fn claim(&self) -> bool {
        if !self.has_module() {
            return true;
        }
        let this: *mut Self = core::ptr::from_ref(self).cast_mut();
        loop {
            let lock = Locked::lock();
            let seen = ENDED.current();
            // SAFETY: The object is valid. `state` is the only result for it, and is not used after
            // the lock is released.
            let state = &mut unsafe { lock.inner(this) }.state;
            match *state {
                // MODEL: module-claim/busy
                State::Busy => (),
                State::Linked => {
                    *state = State::Claimed;
                    return true;
                }
                State::Unlinked | State::Claimed => return false,
            }
            drop(lock);
            ENDED.wait(seen);
        }
    }

    /// Removes the object from the list, after [`claim`](Self::claim) has returned `true`.
    ///
    /// After this, the module may be freed.
    pub(crate) fn unlink(&self) {
        if !self.has_module() {
            return;
        }
        let this: *mut Self = core::ptr::from_ref(self).cast_mut();
        let lock = Locked::lock();
        // SAFETY: The object is valid, and no other result for it is in use.
        if unsafe { lock.inner(this) }.state == State::Claimed {
            // SAFETY: An object that is claimed is in the list.
            unsafe { lock.unlink(this) };
            ENDED.notify();
        }
    }
}

/// Calls `end` for each object of a kind that `module` has left behind. Returns whether there was
/// one.
///
/// # Safety
///
/// The list must have no object of an earlier [`Kind`] of `module`.
unsafe fn end_each(module: *mut bindings::module, kind: Kind) -> bool {
    let mut found = false;
    let mut removed = false;
    let mut lock = Locked::lock();
    // SAFETY: This task holds the lock.
    let mut next = unsafe { *HEAD.0.get() };
    while !next.is_null() {
        let this = next;
        // SAFETY: `this` is in the list, so it is valid, and `module` does not change.
        let mine = unsafe { (*this).kind == kind && *(*this).module.get() == module };
        if mine {
            found = true;
            // SAFETY: `this` is in the list. The result is not used beyond this block.
            let state = &mut unsafe { lock.inner(this) }.state;
            if *state == State::Linked {
                *state = State::Busy;
                drop(lock);
                // SAFETY: The caller guarantees that the list has no object of an earlier kind. So,
                // by the type invariant, `end` may be called while the object is in the list. It
                // stays there while it is busy: `claim()` waits.
                unsafe { ((*this).end)(this) };
                lock = Locked::lock();
                // SAFETY: As above, the object is still in the list. `state` is not used any more.
                let inner = unsafe { lock.inner(this) };
                inner.state = State::Linked;
                next = inner.next;
                if kind != Kind::Thread {
                    // SAFETY: The object is in the list, and `inner` is not used any more.
                    unsafe { lock.unlink(this) };
                    removed = true;
                }
                ENDED.notify();
                continue;
            }
        }
        // SAFETY: `this` is in the list, and no other result for it is in use.
        next = unsafe { lock.inner(this) }.next;
    }
    let seen = ENDED.current();
    drop(lock);
    if found && !removed {
        ENDED.wait(seen);
    }
    found
}

/// Ends the objects that `module` has left behind.
///
/// It returns when one pass has found no thread, the next one no registration and the last one no
/// region, each with the lock held all the time. Only code of the module adds an object, and only
/// threads execute it by then. Work items that the module has queued and that do not end before
/// `exit()` returns are not found: see mainline's `workqueue`.
#[no_mangle]
extern "C" fn rust_module_going(module: *mut bindings::module) {
    loop {
        // SAFETY: There is no earlier kind.
        while unsafe { end_each(module, Kind::Thread) } {}
        // SAFETY: No thread has been found, and only a thread adds an object by now.
        if unsafe { end_each(module, Kind::Registration) } {
            continue;
        }
        // SAFETY: No registration has been found, either.
        if !unsafe { end_each(module, Kind::Region) } {
            return;
        }
    }
}

/// Wakes the tasks that wait for the end of the `init()` of a module.
#[no_mangle]
extern "C" fn rust_module_decided() {
    DECIDED.notify();
}

/// Returns the module that contains the code or data at `address`, or null if it is built in.
#[inline(never)]
pub(crate) fn module_of(address: usize) -> *mut bindings::module {
    // SAFETY: `__module_address()` accepts any address. The helper disables preemption and enters
    // an RCU read-side critical section.
    unsafe { bindings::module_of_address(address) }
}

/// Returns `EINVAL` if the code at `address` is not part of `module`.
pub(crate) fn check_owner(module: *mut bindings::module, address: usize) -> Result {
    if module_of(address) == module {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

/// Returns `EAGAIN` while `module` is in its `init()`: if that fails, the module is freed in spite
/// of the references to it.
///
/// # Safety
///
/// `module` must be null, or must not be freed during this call.
pub(crate) unsafe fn check_initialized(module: *mut bindings::module) -> Result {
    // SAFETY: The caller guarantees that the module is valid.
    if !module.is_null() && unsafe { bindings::module_is_coming(module) } {
        return Err(EAGAIN);
    }
    Ok(())
}

/// The file operations of a file that was not opened. They have no owner.
const NOT_OPENED: &bindings::file_operations = &{
    // SAFETY: The fields of `struct file_operations` are integers and nullable pointers. Zero is a
    // valid value of each.
    unsafe { MaybeUninit::<bindings::file_operations>::zeroed().assume_init() }
};

/// Waits until a module has changed its state, before the system call is restarted.
struct Restart {
    seen: u32,
}

#[vtable]
impl TaskWorkItem for Restart {
    fn run(self) {
        // A task that is killed does not restart the system call. One that exits, such as one that
        // dumps core into the file, cannot be killed any more.
        if current!().is_exiting() {
            return;
        }
        // SAFETY: The counter is a static, and C code reads it atomically. A task work may sleep.
        let _ = unsafe { bindings::wait_var_change_killable(DECIDED.0.as_ptr(), self.seen) };
    }
}

/// Checks whether a file of `module` can be opened. Must be called before any code of the driver.
///
/// While the module is in its `init()`, the system call is restarted: `get_signal()` runs the task
/// work, which waits until `init()` has returned. The file does not keep its reference to the
/// module, and no lock of the device is held during the wait.
///
/// If `init()` itself opens the device, with a function of C, it gets `ERESTARTNOINTR` as well. It
/// must not try again, as the task work runs after `init()` has returned. It must not return this
/// error, either: `init_module()` would be restarted, and load the module again, until the process
/// is killed.
///
/// # Errors
///
/// - `ERESTARTNOINTR`: the module is coming, and the system call will be restarted.
/// - `EAGAIN`: the module is coming, and the file is not opened by a system call that can be
///   restarted: the task is a kthread or a worker of io_uring, or it has used io_uring and opens
///   the file with `O_NONBLOCK`.
/// - `ENODEV`: the module is going.
/// - `ENOMEM`: the module is coming, and an allocation failed.
///
/// # Safety
///
/// - `->open()` of `file` must call this. The owner of `f_op` must be `module`, and it must have a
///   reference to it.
/// - The caller must hold a lock that the end of the registration takes: `misc_mtx`, which
///   `misc_open()` holds, or that of a character device.
/// - If this returns an error, `->open()` must return it and must not access `file`.
#[inline]
pub(crate) unsafe fn check_open(
    file: *mut bindings::file,
    module: *mut bindings::module,
) -> Result {
    // SAFETY: The reference of `f_op` keeps a live module. Others are freed by a task that waits
    // for the lock of the caller before: see `refuse_open()`.
    if module.is_null() || unsafe { bindings::module_is_ready(module) } {
        return Ok(());
    }
    // SAFETY: The caller keeps the requirements.
    unsafe { refuse_open(file, module) }
}

/// Refuses to open a file, unless the module has just become live.
///
/// # Safety
///
/// As for [`check_open`], and `module` must not be null.
#[inline(never)]
unsafe fn refuse_open(file: *mut bindings::file, module: *mut bindings::module) -> Result {
    // This must precede the checks of the state: if the state changes after them, the counter
    // changes after this.
    let seen = DECIDED.current();

    // SAFETY: The module is not freed before the caller has released its lock, even if `init()`
    // fails: its device is registered, and the registration takes the lock when it is dropped, or
    // when `rust_module_going()` ends it.
    if unsafe { bindings::module_is_ready(module) } {
        return Ok(());
    }
    // SAFETY: As above.
    let coming = unsafe { bindings::module_is_coming(module) };

    // After an error, `do_dentry_open()` calls `fops_put()`. The table of the driver may be freed
    // by then, as the reference to a module does not keep it while it is coming.
    //
    // SAFETY: `file` is being opened, so no other task uses it. The reference that belongs to the
    // replaced `f_op` is dropped, once.
    unsafe {
        (*file).f_op = NOT_OPENED;
        bindings::module_put(module);
    }

    if !coming {
        return Err(ENODEV);
    }
    // SAFETY: `file` is being opened.
    if !unsafe { bindings::open_can_restart(file) } {
        return Err(EAGAIN);
    }
    let work = TaskWork::new(Restart { seen }, GFP_KERNEL)?;
    current!().task_work_add(work).map_err(|_| EAGAIN)?;
    // The current task is in a system call. The flag that this sets makes it call `get_signal()`,
    // which runs the task work, before it returns to userspace.
    Err(current!().restart_syscall())
}
