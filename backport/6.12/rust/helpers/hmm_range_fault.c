// SPDX-License-Identifier: GPL-2.0

#include <linux/hmm.h>
#include <linux/jiffies.h>
#include <linux/mmu_notifier.h>
#include <linux/oom.h>
#include <linux/sched/signal.h>

/*
 * This has the name and the arguments of a function of 7.3. The mmap lock is
 * held during a page fault, so one that must release it fails: userfaultfd.
 */
#ifdef CONFIG_HMM_MIRROR
__rust_helper int
rust_helper_hmm_range_fault_unlocked_timeout(struct hmm_range *range,
					     unsigned long timeout)
{
	struct mm_struct *mm = range->notifier->mm;
	unsigned long deadline = jiffies + timeout;
	int ret;

	for (;;) {
		range->notifier_seq = mmu_interval_read_begin(range->notifier);
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = mmap_read_lock_killable(mm);
		if (ret)
			return ret;
		ret = -EFAULT;
		if (!check_stable_address_space(mm))
			ret = hmm_range_fault(range);
		mmap_read_unlock(mm);
		if (ret != -EBUSY || time_after(jiffies, deadline))
			return ret;
		cond_resched();
	}
}
#endif
