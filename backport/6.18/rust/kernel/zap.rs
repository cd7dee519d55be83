// SPDX-License-Identifier: GPL-2.0

//! A method of `VmaRef` under the name that this kernel has for it, for its drivers.

#[cfg(CONFIG_RUST_VMA_OF_ANY_OWNER)]
impl crate::mm::virt::VmaRef {
    /// Removes the pages at `address .. address + size` from the page tables, as
    /// [`zap_vma_range`](Self::zap_vma_range) does.
    #[inline]
    pub fn zap_page_range_single(&self, address: usize, size: usize) {
        self.zap_vma_range(address, size);
    }
}
