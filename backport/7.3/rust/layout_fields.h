/* SPDX-License-Identifier: GPL-2.0 */
/* Included by rust/layout.c: what only this kernel needs. */

FIELD(device, coherent_dma_mask);
FIELD(device, dma_mask);
FIELD(file_operations, mmap_prepare);
FIELD_AT(ns_common, __bindgen_anon_1.__ns_ref, __ns_ref);
FIELD(vm_operations_struct, mapped);
SIZE_OF(vma_flags_t);
FIELD_OF(vma_flags_t, __vma_flags);
