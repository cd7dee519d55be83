// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>
#include <linux/pfn_t.h>

/* vmf_insert_mixed() of 6.12 takes a pfn_t, so it is not in the bindings. */
__rust_helper vm_fault_t
rust_helper_vmf_insert_mixed(struct vm_area_struct *vma, unsigned long addr, unsigned long pfn)
{
	return vmf_insert_mixed(vma, addr, __pfn_to_pfn_t(pfn, PFN_DEV));
}
