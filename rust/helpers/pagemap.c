// SPDX-License-Identifier: GPL-2.0

#include <linux/pagemap.h>

__rust_helper void rust_helper_lock_page(struct page *page)
{
	lock_page(page);
}
