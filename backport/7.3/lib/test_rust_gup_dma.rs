// SPDX-License-Identifier: GPL-2.0

//! Pinned pages that are mapped for DMA by a device.

use crate::abi;
use core::ptr::{
    addr_of_mut,
    null,
    null_mut,
    NonNull, //
};
use kernel::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    dma::{
        DataDirection,
        DmaAddress, //
    },
    ioctl,
    mm::pin::{
        Accounting,
        PinAccess,
        ReadOnly,
        ReadWrite, //
    },
    prelude::*,
    scatterlist::PinnedSGTable,
    str::CString,
    sync::atomic::{
        Atomic,
        Relaxed, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

const DMA_MAP: u32 = ioctl::_IOWR::<abi::Dma>(abi::MAGIC, abi::DMA_MAP);

/// A device that is bound to a driver, until this is dropped.
///
/// # Invariants
///
/// This is a faux device that has not been destroyed.
struct Faux(NonNull<bindings::faux_device>);

// SAFETY: Any task may use and destroy a faux device.
unsafe impl Send for Faux {}
// SAFETY: As above.
unsafe impl Sync for Faux {}

impl Faux {
    fn new() -> Result<Self> {
        static COUNT: Atomic<u32> = Atomic::new(0);
        let name = CString::try_from_fmt(fmt!("test_rust_gup.{}", COUNT.fetch_add(1, Relaxed)))?;
        // SAFETY: The name is copied. A faux device needs neither a parent nor operations.
        let faux = unsafe { bindings::faux_device_create(name.as_char_ptr(), null_mut(), null()) };
        let faux = Self(NonNull::new(faux).ok_or(ENODEV)?);
        let dev: *mut bindings::device = faux.0.as_ptr().cast();
        // SAFETY: The device is valid, and nothing else uses it yet. It does no DMA, so it can have
        // any mask.
        unsafe {
            (*dev).coherent_dma_mask = u64::MAX;
            (*dev).dma_mask = addr_of_mut!((*dev).coherent_dma_mask);
        }
        // INVARIANT: The device has been created above.
        Ok(faux)
    }

    fn as_bound(&self) -> &Device<Bound> {
        // SAFETY: A faux device begins with its `struct device`. By the type invariants, it has not
        // been destroyed, so it is valid and bound.
        unsafe { Device::from_raw(self.0.as_ptr().cast()) }
    }
}

impl Drop for Faux {
    fn drop(&mut self) {
        // SAFETY: By the type invariants, the device has not been destroyed. Nothing borrows it.
        unsafe { bindings::faux_device_destroy(self.0.as_ptr()) };
    }
}

enum Table {
    ReadOnly(PinnedSGTable<ReadOnly>),
    ReadWrite(PinnedSGTable<ReadWrite>),
}

/// Pages that are mapped for a device.
pub(crate) struct Mapped {
    device: Option<Faux>,
    table: Table,
}

fn pin<A: PinAccess>(
    device: &Faux,
    addr: usize,
    len: usize,
    dir: DataDirection,
) -> Result<PinnedSGTable<A>> {
    let pages = current!().pin_user_pages_longterm(addr, len, Accounting::PinnedVm)?;
    PinnedSGTable::new(device.as_bound(), pages, dir)
}

impl Mapped {
    /// Implements [`abi::DMA_MAP`].
    pub(crate) fn new(arg: usize) -> Result<Self> {
        let user = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(DMA_MAP));
        let (mut reader, mut writer) = user.reader_writer();
        let (addr, len) = (reader.read::<u64>()?, reader.read::<u64>()?);
        let (entries, count) = (reader.read::<u64>()?, reader.read::<u64>()?);
        let (dir, flags) = (reader.read::<u32>()?, reader.read::<u32>()?);
        let dir = match dir {
            0 => DataDirection::Bidirectional,
            1 => DataDirection::ToDevice,
            2 => DataDirection::FromDevice,
            _ => DataDirection::None,
        };
        let device = Faux::new()?;
        let table = match flags & abi::USE_WRITE {
            0 => Table::ReadOnly(pin(&device, addr as usize, len as usize, dir)?),
            _ => Table::ReadWrite(pin(&device, addr as usize, len as usize, dir)?),
        };
        let mapped = Self {
            device: Some(device),
            table,
        };
        let out = UserPtr::from_addr(entries as usize);
        let size = (count as usize).checked_mul(16).ok_or(EINVAL)?;
        let mut out = UserSlice::new(out, size).writer();
        let used = mapped.entries()?;
        for number in 0..used {
            let mut entry = [(0, 0)];
            mapped.copy_entries(number, &mut entry)?;
            let [(addr, len)] = entry;
            // On some architectures, an address has 32 bits.
            #[allow(clippy::useless_conversion)]
            out.write(&u64::from(addr))?;
            out.write(&(len as u64))?;
        }
        writer.write(&addr)?;
        writer.write(&len)?;
        writer.write(&entries)?;
        writer.write(&(used as u64))?;
        Ok(mapped)
    }

    fn entries(&self) -> Result<usize> {
        match &self.table {
            Table::ReadOnly(table) => table.entries(),
            Table::ReadWrite(table) => table.entries(),
        }
    }

    fn copy_entries(&self, first: usize, out: &mut [(DmaAddress, usize)]) -> Result<usize> {
        match &self.table {
            Table::ReadOnly(table) => table.copy_entries(first, out),
            Table::ReadWrite(table) => table.copy_entries(first, out),
        }
    }

    /// Unbinds the device, while the pages are mapped.
    pub(crate) fn unbind(&mut self) -> Result {
        let device = self.device.take().ok_or(ENODEV)?;
        self.entries()?;
        drop(device);
        match self.entries() {
            Err(ENXIO) => Ok(()),
            _ => Err(EIO),
        }
    }
}
