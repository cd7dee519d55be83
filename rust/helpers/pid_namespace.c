// SPDX-License-Identifier: GPL-2.0

#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>

#ifndef __rust_helper
#define __rust_helper
#endif

__rust_helper struct pid_namespace *
rust_helper_get_pid_ns(struct pid_namespace *ns)
{
	return get_pid_ns(ns);
}

#ifndef CONFIG_PID_NS
__rust_helper void rust_helper_put_pid_ns(struct pid_namespace *ns)
{
	put_pid_ns(ns);
}
#endif

/*
 * The count may be taken while the RCU read lock keeps the task's struct pid:
 * until that is freed it owns one itself.
 */
__rust_helper struct pid_namespace *
rust_helper_task_get_pid_ns(struct task_struct *t)
{
	struct pid_namespace *ns;

	rcu_read_lock();
	ns = task_active_pid_ns(t);
	if (ns)
		get_pid_ns(ns);
	rcu_read_unlock();

	return ns;
}
