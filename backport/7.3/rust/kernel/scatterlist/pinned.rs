// SPDX-License-Identifier: GPL-2.0

//! Scatter-gather tables of pinned pages of userspace.

use super::{
    DmaMappedSgt,
    RawSGTable,
    SGTable, //
};
use crate::{
    bindings,
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    dma::{
        DataDirection,
        DmaAddress, //
    },
    error::to_result,
    mm::pin::{
        LongtermPages,
        PinAccess,
        PinnedPages, //
    },
    page::PAGE_SIZE,
    prelude::*,
    task::may_sleep,
    types::Opaque, //
};
use core::ptr::{
    addr_of,
    addr_of_mut,
    NonNull, //
};

/// A table that is mapped for DMA.
///
/// It is not generic, so that the callback that `Devres` registers is part of the crate: the module
/// of a driver that leaks the table may be freed before the device is unbound.
///
/// # Invariants
///
/// Unless `dma` has been revoked, the table is mapped for the device of `dma`.
#[pin_data]
struct Mapped {
    // Dropped first: the table is freed when it has been unmapped.
    #[pin]
    dma: Devres<DmaMappedSgt>,
    table: RawSGTable,
}

impl Mapped {
    /// Makes a table of the pages, of which the range begins at `offset` and has `len` bytes, and
    /// maps it.
    ///
    /// # Safety
    ///
    /// The pages must be those of the range, and must stay allocated until the table is dropped, or
    /// permanently if it is leaked. The device must be allowed to access them in this direction,
    /// which must not be `None`.
    #[inline(never)]
    unsafe fn new(
        dev: &Device<Bound>,
        pages: &[*mut bindings::page],
        offset: usize,
        len: usize,
        dir: DataDirection,
    ) -> Result<Pin<KBox<Self>>> {
        let raw = dev.as_raw();
        // SAFETY: The device is valid, and bound. Its bus sets the pointer before that.
        if unsafe { (*raw).dma_mask.is_null() } {
            return Err(EIO);
        }
        // SAFETY: The device is valid.
        let max_mapping = match unsafe { bindings::dma_max_mapping_size(raw) } {
            0 => usize::MAX,
            size => size,
        };
        // SAFETY: As above.
        let max_segment = unsafe { bindings::dma_get_max_seg_size(raw) };
        // CAST: The minimum is not greater than a `u32`.
        let max_segment = max_mapping.min(max_segment as usize) as c_uint;
        if (max_segment as usize) < PAGE_SIZE {
            return Err(EINVAL);
        }
        let table = Opaque::zeroed();
        // SAFETY: The pointer is valid for writes. The caller guarantees the pages, of which there
        // is at least one, and the range. C does not change the array. `max_segment` has at least
        // the size of a page.
        //
        // CAST: `kvmalloc()` has allocated the array, so there are fewer pages than `c_uint::MAX`.
        // The offset is less than the size of a page.
        to_result(unsafe {
            bindings::sg_alloc_table_from_pages_segment(
                table.get(),
                pages.as_ptr().cast_mut(),
                pages.len() as c_uint,
                offset as c_uint,
                len as c_ulong,
                max_segment,
                GFP_KERNEL.as_raw(),
            )
        })?;
        let table = RawSGTable(table);
        let mapped = KBox::try_pin_init(
            try_pin_init!(&this in Self {
                table,
                dma <- {
                    // SAFETY: `this` points to the value that is initialized.
                    let table = unsafe { addr_of_mut!((*this.as_ptr()).table) };
                    // CAST: `RawSGTable` is transparent around a `sg_table`.
                    //
                    // SAFETY: The pointer is not null, see above.
                    let table = unsafe { NonNull::new_unchecked(table.cast()) };
                    // SAFETY: The table is pinned, and is dropped after `dma`. It is unmapped by
                    // the drop of the `DmaMappedSgt` only.
                    //
                    // INVARIANT: `DmaMappedSgt::new()` maps the table.
                    Devres::new(dev, unsafe { DmaMappedSgt::new(table, dev, dir) })
                },
            }? Error),
            GFP_KERNEL,
        )?;
        // A handler may have a `Device<Bound>` while `devres_release_all()` runs, which releases
        // nothing that is added after it has taken the list. If the entry of `mapped` was added
        // later, the lock of the list orders this load after the store of the status by
        // `device_links_busy()` or `device_links_no_driver()`. Otherwise, it is released there.
        //
        // SAFETY: The device is valid. The status is an `int` that other tasks may change.
        let status = unsafe { addr_of!((*raw).links.status).read_volatile() };
        let is_unbinding = status == bindings::dl_dev_state_DL_DEV_UNBINDING
            || status == bindings::dl_dev_state_DL_DEV_NO_DRIVER;
        if is_unbinding {
            return Err(ENXIO);
        }
        Ok(mapped)
    }
}

/// The owner of [`LongtermPages`] that are mapped for DMA by a device.
///
/// [`copy_entries`](Self::copy_entries) copies the DMA addresses. They are those of the bytes of
/// the range only, also in the first and the last page.
///
/// The pages are unmapped when the driver is unbound from the device, or when the value is dropped,
/// and are unpinned after that. The driver must have stopped the device: a device that still
/// accesses the addresses may access memory that has another user. If the value is leaked, the
/// pages stay pinned. The context below is that of the drop. On 6.18, it must not be dropped by a
/// callback of `devres_release_all()`, nor by a handler that such a callback waits for: the drop of
/// a `Devres` waits there for a callback of the same list, which never runs.
///
/// # Context
///
/// Process context; may sleep.
///
/// # Invariants
///
/// The table is one of the range of `pages`. Only pages of
/// [`ReadWrite`](crate::mm::pin::ReadWrite) are mapped for a device that writes.
///
/// # Examples
///
/// A buffer that a process registers, for a device to write to:
///
/// ```
/// # use core::ptr::{addr_of_mut, null, null_mut};
/// # use kernel::{bindings, c_str};
/// use kernel::{
///     device::{Bound, Device},
///     dma::DataDirection,
///     mm::pin::{Accounting, ReadWrite},
///     page::PAGE_SIZE,
///     scatterlist::PinnedSGTable, //
/// };
///
/// /// Maps memory of the current process for DMA, and tells the device where it is.
/// fn register(
///     dev: &Device<Bound>,
///     addr: usize,
///     len: usize,
/// ) -> Result<PinnedSGTable<ReadWrite>> {
///     let pages = current!().pin_user_pages_longterm(addr, len, Accounting::PinnedVm)?;
///     let buffer = PinnedSGTable::new(dev, pages, DataDirection::FromDevice)?;
///     // The slots of the device.
///     let mut slots = [(0, 0); 16];
///     if buffer.copy_entries(0, &mut slots)? < buffer.entries()? {
///         return Err(E2BIG);
///     }
///     # let (dma_address, dma_len) = slots[0];
///     # assert_eq!(dma_address % PAGE_SIZE as u64, 8);
///     # assert_eq!(dma_len, 100);
///     # assert_eq!(buffer.entries(), Ok(1));
///     # assert_eq!(buffer.copy_entries(1, &mut slots), Ok(0));
///     # assert_eq!(buffer.copy_entries(0, &mut []), Ok(0));
///     Ok(buffer)
/// }
/// # let name = c_str!("rust_sgtable").as_char_ptr();
/// # // SAFETY: `name` is a string. A faux device needs neither a parent nor operations.
/// # let faux = unsafe { bindings::faux_device_create(name, null_mut(), null()) };
/// # assert!(!faux.is_null());
/// # // SAFETY: The faux device has not been destroyed. It begins with its `struct device`.
/// # let dev = unsafe { Device::get_device(faux.cast()) };
/// # // The closure is run by a kthread, which does not get raw pointers.
/// # let faux = faux as usize;
/// # kernel::mm::kunit::with_user_mm(|mm, addr| {
/// # let raw = faux as *mut bindings::device;
/// # // SAFETY: A faux device is bound until it is destroyed.
/// # let bound = unsafe { dev.as_bound() };
/// # assert_eq!(register(bound, addr + 8, 100).err(), Some(EIO));
/// # // SAFETY: Nothing else uses the mask.
/// # unsafe {
/// #     (*raw).coherent_dma_mask = u64::MAX;
/// #     (*raw).dma_mask = addr_of_mut!((*raw).coherent_dma_mask);
/// # }
/// let buffer = register(bound, addr + 8, 100)?;
/// # assert_eq!(buffer.pages().len(), 100);
/// # drop(buffer);
/// # assert_eq!(mm.pinned_vm(), 0);
/// # use kernel::mm::pin::{LongtermPages, ReadOnly};
/// # for dir in [DataDirection::FromDevice, DataDirection::Bidirectional, DataDirection::None] {
/// #     let pages: LongtermPages<ReadOnly> =
/// #         current!().pin_user_pages_longterm(addr, 1, Accounting::PinnedVm)?;
/// #     assert_eq!(PinnedSGTable::new(bound, pages, dir).err(), Some(EINVAL));
/// # }
/// # let pages: LongtermPages<ReadOnly> =
/// #     current!().pin_user_pages_longterm(addr, 1, Accounting::PinnedVm)?;
/// # let table = PinnedSGTable::new(bound, pages, DataDirection::ToDevice)?;
/// # assert_eq!(table.entries(), Ok(1));
/// # // SAFETY: The faux device has not been destroyed. This call unbinds it.
/// # unsafe { bindings::faux_device_destroy(raw.cast()) };
/// # assert_eq!(table.entries(), Err(ENXIO));
/// # assert_eq!(table.copy_entries(0, &mut [(0, 0)]), Err(ENXIO));
/// # let pages: LongtermPages<ReadOnly> =
/// #     current!().pin_user_pages_longterm(addr, 1, Accounting::None)?;
/// # // SAFETY: This stands for a handler that runs while the device is unbound.
/// # let unbinding = unsafe { dev.as_bound() };
/// # let late = PinnedSGTable::new(unbinding, pages, DataDirection::ToDevice);
/// # assert_eq!(late.err(), Some(ENXIO));
/// # assert_eq!(mm.pinned_vm(), 1);
/// # drop(table);
/// # assert_eq!(mm.pinned_vm(), 0);
/// # Ok(())
/// # })?;
/// # Ok::<(), Error>(())
/// ```
pub struct PinnedSGTable<A: PinAccess> {
    // Dropped first: the pages are unmapped while they are pinned.
    mapped: Pin<KBox<Mapped>>,
    pages: LongtermPages<A>,
}

impl<A: PinAccess> PinnedSGTable<A> {
    /// Maps pages for DMA by `dev`.
    ///
    /// `dir` is [`ToDevice`](DataDirection::ToDevice) if the device only reads the pages, which is
    /// the only one that pages of [`ReadOnly`](crate::mm::pin::ReadOnly) have. No segment is longer
    /// than `dma_get_max_seg_size()` and `dma_max_mapping_size()` of the device.
    ///
    /// C: `sg_alloc_table_from_pages_segment()` and `dma_map_sgtable()`.
    ///
    /// # Errors
    ///
    /// The pages are unpinned if this returns:
    ///
    /// - `EINVAL`: `dir` is `None`, or the device would write pages of `ReadOnly`. Or the segments
    ///   of the device must be shorter than a page, or the DMA API cannot map the pages.
    /// - `EIO`: The device has no DMA mask, or the DMA API fails.
    /// - `ENOMEM`: An allocation failed, or there are no addresses left.
    /// - `EREMOTEIO`: The device cannot access the memory of another device.
    /// - `ENXIO`: The driver is being unbound from the device.
    /// - `EBUSY`: The task may not sleep here.
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    #[doc(alias("sg_alloc_table_from_pages", "dma_map_sgtable", "dma_map_sg"))]
    pub fn new(dev: &Device<Bound>, pages: LongtermPages<A>, dir: DataDirection) -> Result<Self> {
        match dir {
            DataDirection::ToDevice => {}
            DataDirection::FromDevice | DataDirection::Bidirectional if A::WRITE => {}
            _ => return Err(EINVAL),
        }
        if !may_sleep() {
            return Err(EBUSY);
        }
        // SAFETY: These are the pages of the range, by the invariants of `PinnedPages`. They are
        // dropped after the table, and stay pinned if they are leaked with it. If they are those of
        // `ReadOnly`, the device only reads, see above.
        let mapped = unsafe { Mapped::new(dev, pages.as_raw(), pages.offset(), pages.len(), dir)? };
        // INVARIANT: The table has been made of the pages above.
        Ok(Self { mapped, pages })
    }

    /// Returns the number of entries, each of which is a range of DMA addresses.
    ///
    /// There may be fewer than pages, as the DMA API joins ranges.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: The driver has been unbound from the device since it mapped the pages.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    pub fn entries(&self) -> Result<usize> {
        self.with_table(|table| table.iter().count())
    }

    /// Copies the DMA address and the length in bytes of each entry, from the entry `first` on.
    ///
    /// Returns the number of entries that were copied: that of `out`, or fewer if there are not as
    /// many. A driver that is being unbound must have stopped the device before the pages are
    /// unmapped, as the addresses are those of other memory later.
    ///
    /// The entries are not borrowed: neither `&Device<Bound>` nor an RCU guard of the driver proves
    /// that the table stays mapped. A callback may have the former until its own registration is
    /// released, which may be later than the unmap. The latter can be leaked.
    ///
    /// # Errors
    ///
    /// - `ENXIO`: The driver has been unbound from the device since it mapped the pages.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    #[doc(alias("for_each_sgtable_dma_sg", "sg_dma_address", "sg_dma_len"))]
    pub fn copy_entries(&self, first: usize, out: &mut [(DmaAddress, usize)]) -> Result<usize> {
        self.with_table(|table| {
            let entries = table.iter().skip(first);
            let copied = entries.zip(out).map(|(entry, to)| {
                // CAST: C has an `unsigned int`.
                *to = (entry.dma_address(), entry.dma_len() as usize);
            });
            copied.count()
        })
    }

    /// Calls `f`, which must not sleep, with the table, which is mapped meanwhile.
    fn with_table<R>(&self, f: impl FnOnce(&SGTable) -> R) -> Result<R> {
        let mapped = &self.mapped;
        // The RCU read lock is held until the drop. `Revocable::revoke()` waits for the end of a
        // grace period before it drops the `DmaMappedSgt`, which unmaps the table.
        let _access = mapped.dma.try_access().ok_or(ENXIO)?;
        // SAFETY: The table is dropped with `self`, which is borrowed. By the invariants of
        // `Mapped`, it is mapped, and stays so until the drop of `_access`. Nothing else changes
        // it.
        Ok(f(unsafe { SGTable::from_raw(mapped.table.as_raw()) }))
    }

    /// Returns the pages.
    ///
    /// While they are mapped, the CPU may see other bytes there than the device does, except on
    /// systems in which DMA is coherent and without bounce buffers.
    ///
    /// # Context
    ///
    /// Any context, including NMI.
    pub fn pages(&self) -> &PinnedPages<A> {
        &self.pages
    }
}
