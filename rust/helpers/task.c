// SPDX-License-Identifier: GPL-2.0

#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uidgid.h>

#ifndef __rust_helper
#define __rust_helper
#endif

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

__rust_helper pid_t rust_helper_task_tgid_nr_ns(struct task_struct *t,
						struct pid_namespace *ns)
{
	return task_tgid_nr_ns(t, ns);
}

__rust_helper kuid_t rust_helper_current_euid(void)
{
	return current_euid();
}

__rust_helper struct user_namespace *rust_helper_current_user_ns(void)
{
	return current_user_ns();
}

__rust_helper bool rust_helper_uid_eq(kuid_t a, kuid_t b)
{
	return uid_eq(a, b);
}

#ifndef CONFIG_USER_NS
__rust_helper uid_t rust_helper_from_kuid(struct user_namespace *ns, kuid_t uid)
{
	return from_kuid(ns, uid);
}
#endif

__rust_helper void rust_helper_set_current_state(unsigned int state)
{
	set_current_state(state);
}

__rust_helper void rust_helper___set_current_state(unsigned int state)
{
	__set_current_state(state);
}

__rust_helper void rust_helper_get_task_comm(char *to, struct task_struct *t)
{
	char comm[TASK_COMM_LEN];

	get_task_comm(comm, t);
	memcpy(to, comm, sizeof(comm));
}

__rust_helper bool rust_helper_irqs_disabled(void)
{
	return irqs_disabled();
}

__rust_helper void rust_helper_allow_signal(int sig)
{
	allow_signal(sig);
}

__rust_helper int rust_helper_fatal_signal_pending(struct task_struct *t)
{
	return fatal_signal_pending(t);
}

__rust_helper int rust_helper_signal_pending_state(unsigned int state,
						   struct task_struct *t)
{
	return signal_pending_state(state, t);
}

__rust_helper unsigned int rust_helper_task_cpu(const struct task_struct *t)
{
	return task_cpu(t);
}

__rust_helper unsigned long rust_helper_task_rlimit(const struct task_struct *t,
						    unsigned int limit)
{
	return task_rlimit(t, limit);
}

__rust_helper const struct cpumask *rust_helper_cpumask_of(unsigned int cpu)
{
	return cpumask_of(cpu);
}

#ifndef CONFIG_SMP
__rust_helper int rust_helper_set_cpus_allowed_ptr(struct task_struct *p,
						   const struct cpumask *mask)
{
	return set_cpus_allowed_ptr(p, mask);
}
#endif

/* Any number will do. */
__rust_helper bool rust_helper_cpu_online(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_online(cpu);
}

__rust_helper void rust_helper_might_resched(void)
{
	might_resched();
}

__rust_helper bool rust_helper_module_is_coming(struct module *module)
{
	return module_is_coming(module);
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
