// SPDX-License-Identifier: GPL-2.0

#include <linux/pgtable.h>

__rust_helper pgprot_t rust_helper_pgprot_noncached(pgprot_t prot)
{
	return pgprot_noncached(prot);
}

__rust_helper pgprot_t rust_helper_pgprot_writecombine(pgprot_t prot)
{
	return pgprot_writecombine(prot);
}

/* Constants on some architectures, and expressions with variables on others. */
__rust_helper pgprot_t rust_helper_PAGE_KERNEL(void)
{
	return PAGE_KERNEL;
}

__rust_helper pgprot_t rust_helper_PAGE_KERNEL_RO(void)
{
	return PAGE_KERNEL_RO;
}
