// SPDX-License-Identifier: GPL-2.0

//! `/dev/rust_softdog`: a software watchdog.
//!
//! It has the interface of drivers/watchdog/softdog.c with `soft_noboot=1`, which
//! Documentation/watchdog/watchdog-api.rst describes: while a program has the device open, it must
//! write to it periodically. If it does not do so within the timeout, the driver logs a message. A
//! program that means to stop the watchdog writes `V` before it closes the file.
//! `rust_softdog_abi.rs` has the ioctls.
//!
//! The time is counted by a kthread worker with a real-time priority, so that a program with a high
//! load does not delay it.

use kernel::{
    c_str,
    cdev::{
        CharDevice,
        CharDeviceOptions,
        CharDeviceRegistration, //
    },
    fs::File,
    impl_has_kthread_delayed_work, ioctl,
    kthread::{
        CurrentKThread,
        KThreadDelayedWork,
        KThreadWorkItem,
        KThreadWorker, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex, //
    },
    time::msecs_to_jiffies,
    uaccess::{
        UserPtr,
        UserSlice,
        UserSliceReader, //
    },
};

#[path = "rust_softdog_abi.rs"]
mod abi;

module! {
    type: SoftdogModule,
    name: "rust_softdog",
    description: "A software watchdog",
    license: "GPL",
}

const GETSUPPORT: u32 = ioctl::_IOR::<abi::Info>(abi::MAGIC, abi::GETSUPPORT);
const GETSTATUS: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::GETSTATUS);
const GETBOOTSTATUS: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::GETBOOTSTATUS);
const SETOPTIONS: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::SETOPTIONS);
const KEEPALIVE: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::KEEPALIVE);
const SETTIMEOUT: u32 = ioctl::_IOWR::<u32>(abi::MAGIC, abi::SETTIMEOUT);
const GETTIMEOUT: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::GETTIMEOUT);
const SETPRETIMEOUT: u32 = ioctl::_IOWR::<u32>(abi::MAGIC, abi::SETPRETIMEOUT);
const GETPRETIMEOUT: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::GETPRETIMEOUT);
const GETTIMELEFT: u32 = ioctl::_IOR::<u32>(abi::MAGIC, abi::GETTIMELEFT);

/// The flags of [`abi::GETSUPPORT`].
const OPTIONS: u32 = abi::WDIOF_SETTIMEOUT | abi::WDIOF_MAGICCLOSE | abi::WDIOF_KEEPALIVEPING;
const IDENTITY: &[u8] = b"Software Watchdog";

/// The timeout after the module has been loaded, and the greatest one, in seconds.
const TIMEOUT: u32 = 60;
const MAX_TIMEOUT: u32 = 65535;

struct SoftdogModule {
    // Dropped first, so that no file can be opened while the worker stops. Stopping the worker
    // stops the watchdog.
    _device: Pin<KBox<CharDeviceRegistration<OpenFile>>>,
    _worker: KThreadWorker,
}

impl kernel::Module for SoftdogModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let worker = KThreadWorker::spawn(format_args!("rust_softdog"), |this| {
            if this.sched_set_fifo().is_err() {
                pr_warn!("The watchdog has no real-time priority\n");
            }
        })?;
        let dog = Arc::pin_init(Dog::new(&worker), GFP_KERNEL)?;
        let options = CharDeviceOptions {
            name: c_str!("rust_softdog"),
            class: None,
            minors: 1,
        };

        Ok(Self {
            _device: KBox::pin_init(CharDeviceRegistration::register(options, dog), GFP_KERNEL)?,
            _worker: worker,
        })
    }
}

/// The watchdog.
#[pin_data]
struct Dog {
    /// Serializes the file operations. The work must not lock it: `cancel_sync()` is called with it
    /// held.
    #[pin]
    state: Mutex<State>,
    /// The seconds until the timeout. The work writes it while the watchdog is running.
    left: Atomic<u32>,
    /// Runs each second.
    #[pin]
    second: KThreadDelayedWork<Dog>,
}

impl_has_kthread_delayed_work! {
    impl HasKThreadWork<0> for Dog { self.second }
}

struct State {
    is_open: bool,
    is_running: bool,
    /// In seconds.
    timeout: u32,
    /// Whether a program has written since the last [`abi::GETSTATUS`].
    was_pinged: bool,
    /// Whether the last bytes that were written contained an [`abi::MAGIC_CLOSE`].
    may_stop: bool,
}

impl KThreadWorkItem for Dog {
    fn run(this: Arc<Self>, _worker: &CurrentKThread) {
        let left = this.left.load(Relaxed).saturating_sub(1);
        this.left.store(left, Relaxed);
        if left == 0 {
            pr_crit!("{}\n", abi::TRIGGERED);
            return;
        }
        // Fails while `cancel_sync()` waits for this work. `restart()` then queues it itself.
        let _ = this.count();
    }
}

impl Dog {
    fn new(worker: &KThreadWorker) -> impl PinInit<Self, Error> + '_ {
        let state = State {
            is_open: false,
            is_running: false,
            timeout: TIMEOUT,
            was_pinged: false,
            may_stop: false,
        };
        try_pin_init!(Self {
            state <- new_mutex!(state),
            left: Atomic::new(0),
            second <- KThreadDelayedWork::new(worker),
        })
    }

    /// Queues the work to run in one second.
    fn count(self: Arc<Self>) -> Result {
        KThreadDelayedWork::queue(self, msecs_to_jiffies(1000)).map_err(|_| ENODEV)
    }

    /// Starts the timeout again.
    fn restart(self: &Arc<Self>, state: &mut State) -> Result {
        self.second.cancel_sync()?;
        self.left.store(state.timeout, Relaxed);
        state.was_pinged = true;
        self.clone().count()
    }

    fn start(self: &Arc<Self>, state: &mut State) -> Result {
        if !state.is_running {
            self.restart(state)?;
            state.is_running = true;
        }
        Ok(())
    }

    fn stop(&self, state: &mut State) -> Result {
        self.second.cancel_sync()?;
        state.is_running = false;
        Ok(())
    }

    /// A program is alive.
    fn ping(self: &Arc<Self>, state: &mut State) -> Result {
        match state.is_running {
            true => self.restart(state),
            false => Ok(()),
        }
    }

    fn close(self: &Arc<Self>) -> Result {
        let mut state = self.state.lock();
        state.is_open = false;
        if core::mem::take(&mut state.may_stop) {
            return self.stop(&mut state);
        }
        if state.is_running {
            pr_crit!("watchdog did not stop!\n");
        }
        self.ping(&mut state)
    }
}

/// The open file. There is one at most.
struct OpenFile(Arc<Dog>);

impl Drop for OpenFile {
    fn drop(&mut self) {
        if self.0.close().is_err() {
            pr_err!("The watchdog cannot be started again\n");
        }
    }
}

#[vtable]
impl CharDevice for OpenFile {
    type Ptr = KBox<Self>;
    type Data = Arc<Dog>;

    fn open(
        _file: &File,
        device: &CharDeviceRegistration<Self>,
        _minor: u32,
    ) -> Result<KBox<Self>> {
        let dog = device.data();
        let place = KBox::new_uninit(GFP_KERNEL)?;
        let mut state = dog.state.lock();
        if state.is_open {
            return Err(EBUSY);
        }
        dog.start(&mut state)?;
        state.is_open = true;
        Ok(KBox::write(place, Self(dog.clone())))
    }

    fn write(
        me: &Self,
        _file: &File,
        input: &mut UserSliceReader,
        _offset: &mut i64,
    ) -> Result<usize> {
        let len = input.len();
        if len == 0 {
            return Ok(0);
        }
        let dog = &me.0;
        // Only the last write counts, also if it fails.
        dog.state.lock().may_stop = false;
        let mut may_stop = false;
        let mut bytes = [0; 64];
        while !input.is_empty() {
            let part = input.len().min(bytes.len());
            input.read_slice(&mut bytes[..part])?;
            may_stop |= bytes[..part].contains(&abi::MAGIC_CLOSE);
        }

        let mut state = dog.state.lock();
        state.may_stop = may_stop;
        dog.ping(&mut state)?;
        Ok(len)
    }

    fn ioctl(me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        // A page fault may wait, so the argument is copied before the mutex is taken, and the
        // result after it has been released.
        let value = match cmd {
            SETOPTIONS | SETTIMEOUT | SETPRETIMEOUT => read_u32(arg)?,
            _ => 0,
        };
        let dog = &me.0;
        let mut state = dog.state.lock();
        let result = match cmd {
            GETSTATUS => {
                let flag = |is_set, flag: u32| if is_set { flag } else { 0 };
                let was_pinged = core::mem::take(&mut state.was_pinged);
                flag(state.may_stop, abi::WDIOF_MAGICCLOSE)
                    | flag(was_pinged, abi::WDIOF_KEEPALIVEPING)
            }
            SETOPTIONS => {
                if value & abi::WDIOS_DISABLECARD != 0 {
                    dog.stop(&mut state)?;
                }
                if value & abi::WDIOS_ENABLECARD != 0 {
                    dog.start(&mut state)?;
                }
                return Ok(0);
            }
            KEEPALIVE => return dog.ping(&mut state).map(|()| 0),
            SETTIMEOUT => {
                if !(1..=MAX_TIMEOUT).contains(&value) {
                    return Err(EINVAL);
                }
                state.timeout = value;
                dog.ping(&mut state)?;
                value
            }
            GETTIMEOUT => state.timeout,
            GETTIMELEFT => dog.left.load(Relaxed),
            // The reason of the last boot is unknown, and there is no pretimeout.
            GETBOOTSTATUS | GETPRETIMEOUT => 0,
            SETPRETIMEOUT => return Err(EOPNOTSUPP),
            GETSUPPORT => {
                drop(state);
                return write_bytes(arg, &info());
            }
            _ => return Err(ENOTTY),
        };
        drop(state);
        write_bytes(arg, &result.to_ne_bytes())
    }
}

fn info() -> abi::Info {
    let mut info = [0; 40];
    info[..4].copy_from_slice(&OPTIONS.to_ne_bytes());
    info[8..8 + IDENTITY.len()].copy_from_slice(IDENTITY);
    info
}

fn read_u32(arg: usize) -> Result<u32> {
    UserSlice::new(UserPtr::from_addr(arg), 4)
        .reader()
        .read::<u32>()
}

fn write_bytes(arg: usize, bytes: &[u8]) -> Result<isize> {
    UserSlice::new(UserPtr::from_addr(arg), bytes.len())
        .writer()
        .write_slice(bytes)?;
    Ok(0)
}
