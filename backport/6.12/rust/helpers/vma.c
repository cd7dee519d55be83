// SPDX-License-Identifier: GPL-2.0
/*
 * What mainline's mm offers under these names, and this kernel under others or
 * not to modules.
 */

#include <linux/export.h>
#include <linux/mm.h>
#include <linux/pfn_t.h>

void rust_helper_zap_vma_range(struct vm_area_struct *vma, unsigned long addr,
			       unsigned long size)
{
	zap_page_range_single(vma, addr, size, NULL);
}

/* This kernel's own is not in the bindings: it wants to be told what kind of frame it is. */
vm_fault_t rust_helper_vmf_insert_mixed(struct vm_area_struct *vma,
					unsigned long addr, unsigned long pfn)
{
	return vmf_insert_mixed(vma, addr, __pfn_to_pfn_t(pfn, PFN_DEV));
}

#ifdef CONFIG_PER_VMA_LOCK
/* Rust drivers call it from functions that are inlined into them. */
EXPORT_SYMBOL_GPL(lock_vma_under_rcu);
#endif
