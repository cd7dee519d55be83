// SPDX-License-Identifier: GPL-2.0

//! Mistakes that the kernel's checkers report. The guide, `debugging.rst`, has the reports.

use kernel::{
    bindings, new_mutex, new_spinlock,
    prelude::*,
    sync::{Arc, Mutex, SpinLock},
};

module! {
    type: Wrong,
    name: "wrong",
    description: "Mistakes that the kernel's checkers report",
    license: "GPL",
}

#[pin_data]
struct Locks {
    #[pin]
    first: Mutex<u32>,
    #[pin]
    second: Mutex<u32>,
    #[pin]
    spin: SpinLock<u32>,
}

struct Wrong;

impl kernel::Module for Wrong {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let locks = Arc::pin_init(
            pin_init!(Locks {
                first <- new_mutex!(0),
                second <- new_mutex!(0),
                spin <- new_spinlock!(0),
            }),
            GFP_KERNEL,
        )?;
        lock_in_order(&locks);
        lock_in_reverse(&locks);
        allocate_under_spinlock(&locks)?;
        read_freed_memory()?;
        count_from_zero();
        Ok(Wrong)
    }
}

#[inline(never)]
fn lock_in_order(locks: &Locks) {
    let mut first = locks.first.lock();
    *first += *locks.second.lock();
}

#[inline(never)]
fn lock_in_reverse(locks: &Locks) {
    let mut second = locks.second.lock();
    *second += *locks.first.lock();
}

#[inline(never)]
fn allocate_under_spinlock(locks: &Locks) -> Result {
    let mut guard = locks.spin.lock();
    *guard += *KBox::new(1, GFP_KERNEL)?;
    Ok(())
}

#[inline(never)]
fn read_freed_memory() -> Result {
    let freed = KBox::into_raw(KBox::new([1_u32; 16], GFP_KERNEL)?);
    // SAFETY: The box was taken apart just before.
    drop(unsafe { KBox::from_raw(freed) });
    // SAFETY: None: this is the mistake.
    let value = unsafe { freed.cast::<u32>().add(3).read_volatile() };
    pr_info!("{value}\n");
    Ok(())
}

#[inline(never)]
fn count_from_zero() {
    let mut count = bindings::refcount_t::default();
    // SAFETY: The variable is valid. A count of zero means that the object has been freed.
    unsafe { bindings::refcount_inc(&mut count) };
}
