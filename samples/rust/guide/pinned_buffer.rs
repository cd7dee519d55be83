// SPDX-License-Identifier: GPL-2.0

//! A process registers a page of its memory, to which the driver writes later, as a device would.

use kernel::{
    c_str,
    fs::File,
    ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::pin::{
        Accounting,
        LongtermPages,
        ReadWrite, //
    },
    new_mutex,
    page::PAGE_SIZE,
    prelude::*,
    sync::Mutex, //
};

module! {
    type: PinnedBufferModule,
    name: "pinned_buffer",
    description: "Pinned memory of a process",
    license: "GPL",
}

const REGISTER: u32 = ioctl::_IO(b'g' as u32, 0);
const COMPLETE: u32 = ioctl::_IO(b'g' as u32, 1);
const UNREGISTER: u32 = ioctl::_IO(b'g' as u32, 2);

struct PinnedBufferModule {
    _device: Pin<KBox<MiscDeviceRegistration<PinnedBuffer>>>,
}

impl kernel::Module for PinnedBufferModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("pinned_buffer");
        let device = MiscDeviceRegistration::register(MiscDeviceOptions { name });
        let _device = KBox::pin_init(device, GFP_KERNEL)?;
        Ok(Self { _device })
    }
}

/// An open file. When it is closed, the drop unpins the page.
#[pin_data]
struct PinnedBuffer {
    #[pin]
    pages: Mutex<Option<LongtermPages<ReadWrite>>>,
}

#[vtable]
impl MiscDevice for PinnedBuffer {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(pin_init!(Self { pages <- new_mutex!(None) }), GFP_KERNEL)
    }

    fn ioctl(me: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        match cmd {
            REGISTER => {
                // Not under the lock, as this may fault in the page, and wait for long.
                let pages =
                    current!().pin_user_pages_longterm(arg, PAGE_SIZE, Accounting::PinnedVm)?;
                let mut registered = me.pages.lock();
                if registered.is_some() {
                    return Err(EBUSY);
                }
                *registered = Some(pages);
            }
            COMPLETE => {
                let registered = me.pages.lock();
                let pages = registered.as_ref().ok_or(ENXIO)?;
                pages.write(0, &(arg as u32).to_ne_bytes())?;
            }
            UNREGISTER => {
                // The lock is held for this statement only.
                let registered = me.pages.lock().take();
                drop(registered.ok_or(ENXIO)?);
            }
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}
