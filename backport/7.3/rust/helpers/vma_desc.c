// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

__rust_helper void rust_helper_mmap_action_remap_full(struct vm_area_desc *desc,
						      unsigned long start_pfn)
{
	mmap_action_remap_full(desc, start_pfn);
}

__rust_helper void
rust_helper_mmap_action_ioremap_full(struct vm_area_desc *desc,
				     unsigned long start_pfn)
{
	mmap_action_ioremap_full(desc, start_pfn);
}

__rust_helper void
rust_helper_mmap_action_map_kernel_pages(struct vm_area_desc *desc,
					 unsigned long start,
					 struct page **pages,
					 unsigned long nr_pages)
{
	mmap_action_map_kernel_pages(desc, start, pages, nr_pages);
}
