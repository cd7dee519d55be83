/* SPDX-License-Identifier: GPL-2.0 */
/* Included by rust/layout.c: what only this kernel needs. */

FIELD(device, coherent_dma_mask);
FIELD(device, dma_mask);
FIELD(ns_common, __ns_ref);
FIELD_AT(vm_area_desc, vma_flags.__vma_flags, vma_flags.__vma_flags);

#ifdef CONFIG_MODULES
SIZE(module);
#endif
