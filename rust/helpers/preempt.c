// SPDX-License-Identifier: GPL-2.0

#include <linux/preempt.h>
#include <linux/rcupdate.h>

__rust_helper bool rust_helper_in_task(void)
{
	return in_task();
}

/* Also true with softirqs disabled. */
__rust_helper bool rust_helper_in_interrupt(void)
{
	return in_interrupt();
}

__rust_helper bool rust_helper_preemptible(void)
{
	return preemptible();
}

__rust_helper int rust_helper_rcu_preempt_depth(void)
{
	return rcu_preempt_depth();
}
