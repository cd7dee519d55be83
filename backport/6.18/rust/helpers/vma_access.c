// SPDX-License-Identifier: GPL-2.0

#include <linux/errno.h>
#include <linux/kconfig.h>
#include <linux/mm.h>

#ifdef CONFIG_HAVE_IOREMAP_PROT
__rust_helper int rust_helper_access_phys(struct vm_area_struct *vma,
					  unsigned long addr, void *buf,
					  int len, int write)
{
	/*
	 * ioremap_prot() of arm64 maps the page with the bits of the PTE, and
	 * so for userspace: the kernel must not access it.
	 */
	if (IS_ENABLED(CONFIG_ARM64))
		return -EIO;
	return generic_access_phys(vma, addr, buf, len, write);
}
#endif
