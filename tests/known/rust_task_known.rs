// SPDX-License-Identifier: GPL-2.0

//! A safe driver that gives the wrong answer, or worse, on Linux 7.3's own files.
//!
//! It is built for both, and has nothing that one of them has not.

use kernel::{
    c_str,
    fs::File,
    impl_has_hr_timer, ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            ordering::Relaxed,
            Atomic, //
        },
    },
    task::Task,
    time::{
        delay::fsleep,
        hrtimer::{
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerRestart,
            RelativePinnedHardMode,
            ScopedHrTimerPointer, //
        },
        Delta,
        Monotonic, //
    },
    uaccess::UserSlice,
};
use pin_init::stack_pin_init;

#[path = "rust_task_known_abi.rs"]
mod abi;

module! {
    type: KnownModule,
    name: "rust_task_known",
    description: "What a safe driver can do to Linux 7.3",
    license: "GPL",
}

const WATCH_PID: u32 = ioctl::_IO(abi::MAGIC, abi::WATCH_PID);
const WATCH_FLAGS: u32 = ioctl::_IO(abi::MAGIC, abi::WATCH_FLAGS);
const ZAP: u32 = ioctl::_IOW::<abi::Zap>(abi::MAGIC, abi::ZAP);
const WATCH_LEADER: u32 = ioctl::_IO(abi::MAGIC, abi::WATCH_LEADER);

/// How often a loop looks. That is long enough for what should happen meanwhile.
const LOOKS: usize = 1 << 30;

struct KnownModule {
    _device: Pin<KBox<MiscDeviceRegistration<Known>>>,
}

impl kernel::Module for KnownModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("rust_task_known");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// An open file, which remembers who has opened it.
struct Known {
    opener: ARef<Task>,
}

#[vtable]
impl MiscDevice for Known {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        let opener = ARef::from(&**current!());

        Ok(KBox::new(Self { opener }, GFP_KERNEL)?)
    }

    fn ioctl(me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let task = current!();
        let mm = task.mm().ok_or(ESRCH)?;

        match cmd {
            WATCH_PID => Ok(watch(|| me.opener.pid())),
            WATCH_FLAGS => {
                let guard = mm.mmap_read_lock();
                let vma = guard.vma_lookup(arg).ok_or(ENOENT)?;
                Ok(watch(|| vma.flags()))
            }
            WATCH_LEADER => Ok(watch_leader(Delta::from_millis(arg as i64))),
            ZAP => {
                let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(cmd));
                let mut question = user.reader();
                let mut number = || Ok::<_, Error>(question.read::<u64>()? as usize);
                let (area, addr, len) = (number()?, number()?, number()?);

                let guard = mm.mmap_read_lock();
                guard
                    .vma_lookup(area)
                    .ok_or(ENOENT)?
                    .zap_vma_range(addr, len);
                Ok(0)
            }
            _ => Err(ENOTTY),
        }
    }
}

/// Returns 1 when `look` sees something new, and 0 if it does not for long.
fn watch<T: PartialEq>(look: impl Fn() -> T) -> isize {
    let first = look();
    for _ in 0..LOOKS {
        if look() != first {
            return 1;
        }
    }
    0
}

/// A timer that looks at the leader of the task it interrupts.
#[pin_data]
struct Look {
    #[pin]
    timer: HrTimer<Self>,
    #[pin]
    wiped: Atomic<i32>,
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Look {
        mode: RelativePinnedHardMode<Monotonic>, field: self.timer
    }
}

impl HrTimerCallback for Look {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(this: Pin<&Self>, mut ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let task = current!();
        // Only the idle tasks have no number, and each of them leads itself.
        if task.pid() != 0 && task.group_leader().pid() == 0 {
            this.wiped.store(1, Relaxed);
        }
        ctx.forward_now(Delta::from_millis(1));
        HrTimerRestart::Restart
    }
}

/// Returns 1 when a task that ran on this CPU had a leader in memory that is wiped, else 0.
fn watch_leader(time: Delta) -> isize {
    stack_pin_init!(let look = pin_init!(Look {
        timer <- HrTimer::new(),
        wiped <- Atomic::new(0),
    }));

    look.as_ref()
        .start_scoped(Delta::from_millis(1), || fsleep(time));
    look.wiped.load(Relaxed) as isize
}
