// SPDX-License-Identifier: GPL-2.0

#include <linux/cleanup.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>

__rust_helper void
rust_helper_kthread_init_worker(struct kthread_worker *worker)
{
	kthread_init_worker(worker);
}

__rust_helper void rust_helper_kthread_init_work(struct kthread_work *work,
						 kthread_work_func_t func)
{
	kthread_init_work(work, func);
}

/*
 * The parts of kthread_worker_fn() that need the lock of the worker, for a loop
 * in Rust.
 */

__rust_helper void
rust_helper_kthread_worker_set_task(struct kthread_worker *worker,
				    struct task_struct *task)
{
	guard(raw_spinlock_irqsave)(&worker->lock);
	worker->task = task;
}

/* Takes the first work from the list and makes it the current one. */
__rust_helper struct kthread_work *
rust_helper_kthread_worker_next(struct kthread_worker *worker)
{
	struct kthread_work *work;

	guard(raw_spinlock_irqsave)(&worker->lock);
	work = list_first_entry_or_null(&worker->work_list, struct kthread_work,
					node);
	if (work)
		list_del_init(&work->node);
	worker->current_work = work;
	return work;
}

/* Says that no work is running. */
__rust_helper void
rust_helper_kthread_worker_idle(struct kthread_worker *worker)
{
	guard(raw_spinlock_irqsave)(&worker->lock);
	worker->current_work = NULL;
}

/*
 * Ends the RCU read-side critical sections of the current task, and enables
 * preemption, migration and interrupts. Without PREEMPT_RCU, such a section is
 * preemption that is disabled, and only lockdep knows about it.
 */
__rust_helper void rust_helper_kthread_end_sections(void)
{
	int count;

#ifdef HARDIRQ_DISABLE_MASK	/* Linux 7.3 */
	/* 256 leaked guards count as a hard IRQ, and 4096 as an NMI. */
	while (preempt_count() &
	       (HARDIRQ_DISABLE_MASK | HARDIRQ_MASK | NMI_MASK))
		local_interrupt_enable();
#endif
	if (irqs_disabled())
		local_irq_enable();
#ifdef CONFIG_DEBUG_LOCK_ALLOC
	while (lock_is_held(&rcu_lock_map) == LOCK_STATE_HELD)
		rcu_lock_release(&rcu_lock_map);
#endif
	while (rcu_preempt_depth() > 0)
		__rcu_read_unlock();
	/*
	 * 256 sections count as disabled softirqs. CONFIG_DEBUG_PREEMPT refuses
	 * to count down from there.
	 */
	count = preempt_count() & (PREEMPT_MASK | SOFTIRQ_MASK);
	if (count > 1)
		__preempt_count_sub(count - 1);
	if (count)
		preempt_enable();
#ifdef CONFIG_SMP
	/* On RT, a spinlock disables migration instead of preemption. */
	while (current->migration_disabled)
		migrate_enable();
#endif
}
