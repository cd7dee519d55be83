// SPDX-License-Identifier: GPL-2.0
/*
 * What mainline's mm offers under these names, and this kernel under others or
 * not to modules.
 */

#include <linux/export.h>
#include <linux/mm.h>

void rust_helper_zap_vma_range(struct vm_area_struct *vma, unsigned long addr,
			       unsigned long size)
{
	zap_page_range_single(vma, addr, size, NULL);
}

#ifdef CONFIG_PER_VMA_LOCK
/* Rust drivers call it from functions that are inlined into them. */
EXPORT_SYMBOL_GPL(lock_vma_under_rcu);
#endif
