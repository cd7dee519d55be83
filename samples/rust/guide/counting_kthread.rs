// SPDX-License-Identifier: GPL-2.0

//! Each open file has a kthread, which does what an ioctl asks for.

use kernel::{
    c_str,
    fs::File,
    kthread::{
        CurrentKThread,
        KThread, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Relaxed,
            Release, //
        },
        Arc, //
    },
    task::{
        cond_resched,
        TaskState,
        WaitQueue,
        MAX_SCHEDULE_TIMEOUT, //
    }, //
};

module! {
    type: CountingModule,
    name: "counting_kthread",
    description: "A kthread for each open file",
    license: "GPL",
}

struct CountingModule {
    _device: Pin<KBox<MiscDeviceRegistration<Counter>>>,
}

impl kernel::Module for CountingModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("counting_kthread");
        let device = MiscDeviceRegistration::register(MiscDeviceOptions { name });
        let _device = KBox::pin_init(device, GFP_KERNEL)?;
        Ok(Self { _device })
    }
}

/// What the kthread and the file share.
#[pin_data]
struct Requests {
    asked: Atomic<u64>,
    done: Atomic<u64>,
    #[pin]
    waiters: WaitQueue,
}

/// The kthread. The result is that of `stop()`, which the driver does not call.
fn serve(this: &CurrentKThread, requests: &Requests) -> i32 {
    // Only this function stores to `done`.
    let next = || {
        let done = requests.done.load(Relaxed);
        (done < requests.asked.load(Acquire)).then_some(done + 1)
    };
    while let Ok(request) = this.wait_until(TaskState::Idle, MAX_SCHEDULE_TIMEOUT, next) {
        // A driver would do the work here.
        requests.done.store(request, Release);
        requests.waiters.wake_up();
        cond_resched();
    }
    0
}

/// An open file. Dropping the `KThread` stops the kthread, and waits for it.
struct Counter {
    thread: KThread,
    requests: Arc<Requests>,
}

#[vtable]
impl MiscDevice for Counter {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let requests = pin_init!(Requests {
            asked: Atomic::new(0),
            done: Atomic::new(0),
            waiters <- WaitQueue::new(),
        });
        let requests = Arc::pin_init(requests, GFP_KERNEL)?;
        let shared = requests.clone();
        let name = format_args!("counter/{}", current!().pid());
        let thread = KThread::spawn(name, move |this| serve(this, &shared))?;
        Ok(KBox::new(Self { thread, requests }, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, _file: &File, _cmd: u32, _arg: usize) -> Result<isize> {
        let mine = me.requests.asked.fetch_add(1, Release) + 1;
        me.thread.task().wake_up();

        let is_done = || (me.requests.done.load(Acquire) >= mine).then_some(mine as isize);
        let state = TaskState::Killable;
        let waiters = &me.requests.waiters;
        Ok(waiters.wait_event(state, MAX_SCHEDULE_TIMEOUT, is_done)?)
    }
}
