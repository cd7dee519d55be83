// SPDX-License-Identifier: GPL-2.0

#include <linux/wait.h>

__rust_helper void
rust_helper_init_waitqueue_head(struct wait_queue_head *wq_head)
{
	init_waitqueue_head(wq_head);
}

__rust_helper void
rust_helper_init_waitqueue_entry(struct wait_queue_entry *wq_entry,
				 struct task_struct *p)
{
	init_waitqueue_entry(wq_entry, p);
}

__rust_helper bool rust_helper_wq_has_sleeper(struct wait_queue_head *wq_head)
{
	return wq_has_sleeper(wq_head);
}
