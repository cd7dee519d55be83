// SPDX-License-Identifier: GPL-2.0
/*
 * Functions of later kernels that this one has under other names, does not have,
 * or does not export to modules. Also those for ->mmap_prepare() hooks.
 */

#include <linux/export.h>
#include <linux/mm.h>

#include "vma_desc.h"

__rust_helper void
rust_helper_zap_vma_range(struct vm_area_struct *vma, unsigned long addr, unsigned long size)
{
	zap_page_range_single(vma, addr, size, NULL);
}

#ifdef CONFIG_PER_VMA_LOCK
/* Modules call it from Rust functions that are inlined into them. */
EXPORT_SYMBOL_GPL(lock_vma_under_rcu);
#endif

__rust_helper void
rust_helper_mmap_action_remap_full(struct vm_area_desc *desc, unsigned long start_pfn)
{
	desc->action.type = MMAP_REMAP_PFN;
	desc->action.start_pfn = start_pfn;
}

__rust_helper void
rust_helper_mmap_action_ioremap_full(struct vm_area_desc *desc, unsigned long start_pfn)
{
	desc->action.type = MMAP_IO_REMAP_PFN;
	desc->action.start_pfn = start_pfn;
}

/* Rust code maps the pages from the start of the VMA only. */
__rust_helper void
rust_helper_mmap_action_map_kernel_pages(struct vm_area_desc *desc,
					 unsigned long start,
					 struct page **pages,
					 unsigned long nr_pages)
{
	desc->action.type = MMAP_MAP_KERNEL_PAGES;
	desc->action.pages = pages;
	desc->action.nr_pages = nr_pages;
}

/* Applies a description to the VMA of an ->mmap() hook. */
__rust_helper int
rust_helper___compat_vma_mmap(struct vm_area_desc *desc, struct vm_area_struct *vma)
{
	struct mmap_action *action = &desc->action;
	unsigned long size = vma->vm_end - vma->vm_start;

	vm_flags_init(vma, desc->vma_flags.__vma_flags[0]);
	vma->vm_page_prot = desc->page_prot;
	vma->vm_ops = desc->vm_ops;
	vma->vm_private_data = desc->private_data;

	switch (action->type) {
	case MMAP_NOTHING:
		return 0;
	case MMAP_REMAP_PFN:
		return remap_pfn_range(vma, vma->vm_start, action->start_pfn,
				       size, vma->vm_page_prot);
	case MMAP_IO_REMAP_PFN:
		return io_remap_pfn_range(vma, vma->vm_start,
					  action->start_pfn, size,
					  vma->vm_page_prot);
	case MMAP_MAP_KERNEL_PAGES:
		return vm_insert_pages(vma, vma->vm_start, action->pages,
				       &action->nr_pages);
	}
	return -EINVAL;
}
