// SPDX-License-Identifier: GPL-2.0

#include <linux/mm.h>

#ifdef CONFIG_HAVE_IOREMAP_PROT
__rust_helper int rust_helper_access_phys(struct vm_area_struct *vma,
					  unsigned long addr, void *buf,
					  int len, int write)
{
	return generic_access_phys(vma, addr, buf, len, write);
}
#endif
