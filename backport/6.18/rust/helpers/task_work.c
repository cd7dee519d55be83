// SPDX-License-Identifier: GPL-2.0

#include <linux/export.h>
#include <linux/task_work.h>

/* Modules call it from Rust functions that are inlined into them. */
EXPORT_SYMBOL_GPL(task_work_add);
