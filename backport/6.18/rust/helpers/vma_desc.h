/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The VMA description of ->mmap_prepare() hooks in later kernels. The struct of
 * this kernel with the same name has other fields and no action, so in C files
 * that include this header, the name stands for the later one.
 */
#ifndef _RUST_HELPERS_VMA_DESC_OF_LATER_KERNELS_H
#define _RUST_HELPERS_VMA_DESC_OF_LATER_KERNELS_H

/* The headers that mention this kernel's struct. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/mm_types.h>

#define vm_area_desc rust_vm_area_desc
#include "mmap_action.h"

#endif
