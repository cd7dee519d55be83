// SPDX-License-Identifier: GPL-2.0

#include <linux/cleanup.h>
#include <linux/irqflags.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/nodemask.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/task_stack.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/topology.h>

/* timer_delete_sync_try() and timer_container_of() came with the same release. */
#ifndef timer_container_of	/* Linux 6.12 */
#define timer_delete_sync_try(timer) try_to_del_timer_sync(timer)
#endif

/* node_online() reads beyond the mask if there is no such node. */
__rust_helper bool rust_helper_node_online(unsigned int node)
{
	return node < MAX_NUMNODES && node_online(node);
}

__rust_helper int rust_helper_cpu_to_node(unsigned int cpu)
{
	return cpu_to_node(cpu);
}

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

__rust_helper void
rust_helper_kthread_init_delayed_work(struct kthread_delayed_work *dwork,
				      kthread_work_func_t func)
{
	/*
	 * Safe code may put a work on the stack, where it cannot be queued.
	 * CONFIG_DEBUG_OBJECTS_TIMERS warns about a timer there, unless it is
	 * initialized in another way.
	 */
	if (object_is_on_stack(dwork)) {
		kthread_init_work(&dwork->work, func);
		timer_setup_on_stack(&dwork->timer,
				     kthread_delayed_work_timer_fn,
				     TIMER_IRQSAFE);
		return;
	}
	kthread_init_delayed_work(dwork, func);
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

/*
 * Stops the timer of a pending work and removes the work from its list. Returns
 * false if the timer function is running: the caller must release the lock and
 * retry.
 *
 * kthread_cancel_delayed_work_timer() sets ->canceling and waits instead. The
 * timer function then removes the work, and the caller cannot tell that the work
 * was pending, so it would leak the reference of the list.
 */
static bool remove_delayed_work(struct kthread_delayed_work *dwork)
{
	if (timer_delete_sync_try(&dwork->timer) < 0)
		return false;
	list_del_init(&dwork->work.node);
	return true;
}

/*
 * Removes a work from the list that it is in, if it is in one, and returns
 * whether this call has done that.
 */
__rust_helper bool
rust_helper_kthread_worker_remove_delayed(struct kthread_worker *worker,
					  struct kthread_delayed_work *dwork)
{
	for (;;) {
		scoped_guard(raw_spinlock_irqsave, &worker->lock) {
			if (list_empty(&dwork->work.node))
				return false;
			if (remove_delayed_work(dwork))
				return true;
		}
		cpu_relax();
	}
}

/*
 * Like kthread_cancel_delayed_work_sync(), but returns true if and only if this
 * call has removed the work from a list.
 */
__rust_helper bool
rust_helper_kthread_worker_cancel_delayed(struct kthread_worker *worker,
					  struct kthread_delayed_work *dwork)
{
	struct kthread_work *work = &dwork->work;
	unsigned long flags;
	bool pending;

	raw_spin_lock_irqsave(&worker->lock, flags);
	while ((pending = !list_empty(&work->node)) &&
	       !remove_delayed_work(dwork)) {
		raw_spin_unlock_irqrestore(&worker->lock, flags);
		cpu_relax();
		raw_spin_lock_irqsave(&worker->lock, flags);
	}
	if (worker->current_work == work) {
		/* Its timer is not set, as it cannot be queued meanwhile. */
		work->canceling++;
		raw_spin_unlock_irqrestore(&worker->lock, flags);
		kthread_flush_work(work);
		raw_spin_lock_irqsave(&worker->lock, flags);
		work->canceling--;
	}
	raw_spin_unlock_irqrestore(&worker->lock, flags);
	return pending;
}

/*
 * Removes a work that waits for its timer. The worker must not take new works.
 */
__rust_helper struct kthread_work *
rust_helper_kthread_worker_next_delayed(struct kthread_worker *worker)
{
	struct list_head *list = &worker->delayed_work_list;
	struct kthread_delayed_work *dwork;

	for (;;) {
		scoped_guard(raw_spinlock_irqsave, &worker->lock) {
			dwork = list_first_entry_or_null(list,
							 struct kthread_delayed_work,
							 work.node);
			if (!dwork)
				return NULL;
			if (remove_delayed_work(dwork))
				return &dwork->work;
		}
		cpu_relax();
	}
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
