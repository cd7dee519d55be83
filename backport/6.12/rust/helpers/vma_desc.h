/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMA description of ->mmap_prepare() hooks in later kernels, limited to the
 * fields that Rust code uses.
 */
#ifndef _RUST_HELPERS_VMA_DESC_H
#define _RUST_HELPERS_VMA_DESC_H

#include <linux/mm_types.h>

enum mmap_action_type {
	MMAP_NOTHING,
	MMAP_REMAP_PFN,
	MMAP_IO_REMAP_PFN,
	MMAP_MAP_KERNEL_PAGES,
};

struct mmap_action {
	enum mmap_action_type type;
	unsigned long start_pfn;
	struct page **pages;
	unsigned long nr_pages;
};

struct vm_area_desc {
	struct file *file;
	unsigned long start;
	unsigned long end;
	pgoff_t pgoff;
	struct file *vm_file;
	struct {
		unsigned long __vma_flags[1];
	} vma_flags;
	pgprot_t page_prot;
	const struct vm_operations_struct *vm_ops;
	void *private_data;
	struct mmap_action action;
};

#endif
