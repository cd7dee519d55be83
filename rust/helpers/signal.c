// SPDX-License-Identifier: GPL-2.0

#include <linux/sched/signal.h>

__rust_helper int rust_helper_signal_pending(struct task_struct *t)
{
	return signal_pending(t);
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

__rust_helper void rust_helper_set_tsk_notify_signal(struct task_struct *t)
{
	set_tsk_thread_flag(t, TIF_NOTIFY_SIGNAL);
}

__rust_helper int rust_helper_restart_syscall(void)
{
	return restart_syscall();
}

__rust_helper void rust_helper_allow_signal(int sig)
{
	allow_signal(sig);
}

__rust_helper unsigned long rust_helper_task_rlimit(const struct task_struct *t,
						    unsigned int limit)
{
	return task_rlimit(t, limit);
}
