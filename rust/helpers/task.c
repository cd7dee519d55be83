// SPDX-License-Identifier: GPL-2.0

#include <linux/compat.h>
#include <linux/compiler.h>
#include <linux/cred.h>
#include <linux/kernel.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/string.h>
#include <linux/time_namespace.h>

__rust_helper bool rust_helper_in_compat_syscall(void)
{
	return in_compat_syscall();
}

__rust_helper void rust_helper_might_resched(void)
{
	might_resched();
}

__rust_helper bool rust_helper_need_resched(void)
{
	return need_resched();
}

__rust_helper int rust_helper__cond_resched(void)
{
	return _cond_resched();
}

/* A task that exits has no namespaces any more. */
__rust_helper ktime_t rust_helper_timens_monotonic_to_host(ktime_t time)
{
	if (!current->nsproxy)
		return time;

	return timens_ktime_to_host(CLOCK_MONOTONIC, time);
}

/* A bit-field, for which bindgen has no address. */
__rust_helper bool rust_helper_current_in_execve(void)
{
	return current->in_execve;
}

__rust_helper struct task_struct *rust_helper_get_current(void)
{
	return current;
}

__rust_helper void rust_helper_get_task_struct(struct task_struct *t)
{
	get_task_struct(t);
}

__rust_helper void rust_helper_put_task_struct(struct task_struct *t)
{
	put_task_struct(t);
}

__rust_helper kuid_t rust_helper_task_uid(struct task_struct *t)
{
	return task_uid(t);
}

__rust_helper kuid_t rust_helper_current_euid(void)
{
	return current_euid();
}

__rust_helper struct user_namespace *rust_helper_current_user_ns(void)
{
	return current_user_ns();
}

__rust_helper pid_t rust_helper_task_tgid_nr_ns(struct task_struct *t,
						struct pid_namespace *ns)
{
	return task_tgid_nr_ns(t, ns);
}

/* Linux 6.12's get_task_comm() takes task_lock(), which is not IRQ-safe. */
__rust_helper void rust_helper_get_task_comm(char *to, struct task_struct *t)
{
	/* strscpy_pad() may read the name twice, and does not pad if it grows between. */
	char comm[TASK_COMM_LEN] = {};

	/* The task may change its name meanwhile: the copy may be torn. */
	data_race(strscpy_pad(comm, t->comm));
	memcpy(to, comm, sizeof(comm));
}

__rust_helper unsigned int rust_helper_task_cpu(const struct task_struct *t)
{
	return task_cpu(t);
}

__rust_helper void rust_helper_set_current_state(unsigned int state)
{
	/* MODEL: wait-wake/helper */
	set_current_state(state);
}

__rust_helper void rust_helper___set_current_state(unsigned int state)
{
	__set_current_state(state);
}

#ifndef CONFIG_SMP
__rust_helper int rust_helper_set_cpus_allowed_ptr(struct task_struct *p,
						   const struct cpumask *mask)
{
	return set_cpus_allowed_ptr(p, mask);
}
#endif

__rust_helper unsigned int rust_helper_memalloc_flags_save(unsigned int flags)
{
	return memalloc_flags_save(flags);
}

__rust_helper void rust_helper_memalloc_flags_restore(unsigned int flags)
{
	memalloc_flags_restore(flags);
}
