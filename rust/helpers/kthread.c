// SPDX-License-Identifier: GPL-2.0

#include <linux/irqflags.h>
#include <linux/lockdep.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/spinlock.h>

/*
 * Ends the RCU read-side critical sections of the current task, and enables
 * preemption and interrupts. Without PREEMPT_RCU, such a section is preemption
 * that is disabled, and only lockdep knows about it.
 */
__rust_helper void rust_helper_kthread_end_sections(void)
{
#ifdef HARDIRQ_DISABLE_MASK	/* Linux 7.3 */
	while (preempt_count() & HARDIRQ_DISABLE_MASK)
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
	/* More than 255 sections count as disabled softirqs. */
	while (preempt_count() & (PREEMPT_MASK | SOFTIRQ_MASK))
		preempt_enable();
}
