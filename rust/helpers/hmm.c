// SPDX-License-Identifier: GPL-2.0

#include <linux/highmem.h>
#include <linux/hmm.h>
#include <linux/huge_mm.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/pgtable.h>
#include <linux/uaccess.h>

/* As in rust/kernel/mm.rs */
#if defined(CONFIG_HMM_MIRROR) && \
	(defined(CONFIG_64BIT) || !defined(CONFIG_PHYS_ADDR_T_64BIT))
__rust_helper unsigned int
rust_helper_hmm_pfn_to_map_order(unsigned long hmm_pfn)
{
	return hmm_pfn_to_map_order(hmm_pfn);
}

/*
 * Returns the page of a PFN, unless nothing maps its folio with a reference.
 * HMM does not call vm_normal_page_pmd(), so a driver may have inserted any PFN
 * by vmf_insert_pfn_pmd(). A folio that is also mapped elsewhere passes. The
 * driver that has inserted it keeps it allocated.
 */
static struct page *hmm_user_page(unsigned long hmm_pfn)
{
	unsigned long pfn = hmm_pfn & ~HMM_PFN_FLAGS;
	struct folio *folio;

	if (!pfn_valid(pfn))
		return NULL;
	folio = page_folio(pfn_to_page(pfn));
	if (!folio_mapped(folio) && !is_zero_pfn(pfn) &&
	    !is_huge_zero_folio(folio) && !folio_is_zone_device(folio))
		return NULL;
	return pfn_to_page(pfn);
}

/*
 * C has no functions for these. A page that is mapped by userspace may be
 * missing in the direct map: that of memfd_secret() is.
 */
__rust_helper long rust_helper_hmm_pfn_read(void *to, unsigned long hmm_pfn,
					    size_t offset, size_t len)
{
	struct page *page = hmm_user_page(hmm_pfn);
	char *from;
	long result;

	if (!page)
		return -EFAULT;
	flush_dcache_page(page);
	from = kmap_local_page(page);
	result = copy_from_kernel_nofault(to, from + offset, len);
	kunmap_local(from);
	return result;
}

__rust_helper long rust_helper_hmm_pfn_write(unsigned long hmm_pfn,
					     size_t offset, const void *from,
					     size_t len)
{
	struct page *page = hmm_user_page(hmm_pfn);
	char *to;
	long result;

	if (!page)
		return -EFAULT;
	to = kmap_local_page(page);
	result = copy_to_kernel_nofault(to + offset, from, len);
	flush_dcache_page(page);
	kunmap_local(to);
	set_page_dirty(page);
	return result;
}
#endif
