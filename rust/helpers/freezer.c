// SPDX-License-Identifier: GPL-2.0

#include <linux/freezer.h>

__rust_helper bool rust_helper_freezing(struct task_struct *p)
{
	return freezing(p);
}

#ifndef CONFIG_FREEZER
/* C's function returns nothing then. */
__rust_helper bool rust_helper_set_freezable(void)
{
	return false;
}
#endif
