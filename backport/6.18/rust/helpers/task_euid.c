// SPDX-License-Identifier: GPL-2.0

#include <linux/cred.h>

__rust_helper kuid_t rust_helper_task_euid(struct task_struct *task)
{
	return task_euid(task);
}
