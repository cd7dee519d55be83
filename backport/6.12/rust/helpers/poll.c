// SPDX-License-Identifier: GPL-2.0

#include <linux/poll.h>

__rust_helper void rust_helper_poll_wait(struct file *file,
					 struct wait_queue_head *wq_head,
					 struct poll_table_struct *table)
{
	poll_wait(file, wq_head, table);
}
