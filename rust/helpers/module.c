// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/wait_bit.h>

__rust_helper bool rust_helper_module_is_coming(struct module *module)
{
	return module_is_coming(module);
}

/* Unlike module_is_live(), this is false while init() runs. */
__rust_helper bool rust_helper_module_is_ready(struct module *module)
{
#ifdef CONFIG_MODULES
	/* MODEL: module-decided/ready */
	return READ_ONCE(module->state) == MODULE_STATE_LIVE;
#else
	/* No module exists, and on Linux 6.12 the type is incomplete. */
	return true;
#endif
}

/* Returns the module that contains `addr`, or NULL if it is built in. */
__rust_helper struct module *rust_helper_module_of_address(unsigned long addr)
{
	struct module *module;

	/* Linux 6.12 requires the former, Linux 7.3 the latter. */
	preempt_disable();
	rcu_read_lock();
	module = __module_address(addr);
	rcu_read_unlock();
	preempt_enable();
	return module;
}

/* Waits until `*var` is not `old`, or for a tenth of a second. */
__rust_helper void rust_helper_wait_var_change(u32 *var, u32 old)
{
	/* Pairs with the full barrier in Changes::notify(). */
	/* MODEL: module-claim/change */
	wait_var_event_timeout(var, smp_load_acquire(var) != old, HZ / 10);
}

/* Waits until `*var` is not `old`, or until the task is killed. */
__rust_helper int rust_helper_wait_var_change_killable(u32 *var, u32 old)
{
	/* Pairs with the full barrier in Changes::notify(). */
	/* MODEL: module-decided/change */
	return wait_var_event_killable(var, smp_load_acquire(var) != old);
}

/*
 * Returns whether the result of ->open() is that of a system call, so that
 * -ERESTARTNOINTR restarts it.
 */
__rust_helper bool rust_helper_open_can_restart(struct file *file)
{
	if (current->flags & (PF_KTHREAD | PF_USER_WORKER | PF_IO_WORKER))
		return false;
#ifdef CONFIG_IO_URING
	/* io_uring_enter() sets O_NONBLOCK, and has a worker open the file on -EAGAIN. */
	if (current->io_uring && (file->f_flags & O_NONBLOCK))
		return false;
#endif
	return true;
}

#ifndef CONFIG_MODULE_UNLOAD
__rust_helper bool rust_helper_try_module_get(struct module *module)
{
	return try_module_get(module);
}

__rust_helper void rust_helper_module_put(struct module *module)
{
	module_put(module);
}
#endif
