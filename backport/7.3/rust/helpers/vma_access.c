// SPDX-License-Identifier: GPL-2.0

#include <linux/minmax.h>
#include <linux/mm.h>

#ifdef CONFIG_HAVE_IOREMAP_PROT
__rust_helper int rust_helper_access_phys(struct vm_area_struct *vma,
					  unsigned long addr, void *buf,
					  int len, int write)
{
	/* Up to Linux 7.2, the function does not stop at the end of the page. */
	len = min_t(int, len, PAGE_SIZE - offset_in_page(addr));
	return generic_access_phys(vma, addr, buf, len, write);
}
#endif
