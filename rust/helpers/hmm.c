// SPDX-License-Identifier: GPL-2.0

#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/uaccess.h>

#ifdef CONFIG_HMM_MIRROR
__rust_helper unsigned int
rust_helper_hmm_pfn_to_map_order(unsigned long hmm_pfn)
{
	return hmm_pfn_to_map_order(hmm_pfn);
}

/*
 * C has no functions for these. A page that is mapped by userspace may be
 * missing in the direct map: that of memfd_secret() is.
 */
__rust_helper long rust_helper_hmm_pfn_read(void *to, unsigned long hmm_pfn,
					    size_t offset, size_t len)
{
	char *page;
	long result;

	if (!pfn_valid(hmm_pfn & ~HMM_PFN_FLAGS))
		return -EFAULT;
	page = kmap_local_page(hmm_pfn_to_page(hmm_pfn));
	result = copy_from_kernel_nofault(to, page + offset, len);
	kunmap_local(page);
	return result;
}

__rust_helper long rust_helper_hmm_pfn_write(unsigned long hmm_pfn,
					     size_t offset, const void *from,
					     size_t len)
{
	char *page;
	long result;

	if (!pfn_valid(hmm_pfn & ~HMM_PFN_FLAGS))
		return -EFAULT;
	page = kmap_local_page(hmm_pfn_to_page(hmm_pfn));
	result = copy_to_kernel_nofault(page + offset, from, len);
	flush_dcache_page(hmm_pfn_to_page(hmm_pfn));
	kunmap_local(page);
	set_page_dirty(hmm_pfn_to_page(hmm_pfn));
	return result;
}
#endif
