/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The counter of the CPU that is read for a measurement. In QEMU, a tick is a
 * nanosecond of the guest's clock, and with -icount shift=0, an instruction.
 */

#ifdef CONFIG_X86_64
#include <asm/msr.h>

static inline u64 counter_read(void)
{
	return rdtsc_ordered();
}

static inline void counter_enable(void)
{
}
#else
#include <linux/bits.h>
#include <linux/smp.h>

#include <asm/barrier.h>
#include <asm/sysreg.h>

/* The cycle counter: the generic timer's counter has fewer ticks. */
static inline u64 counter_read(void)
{
	u64 ticks;

	isb();
	ticks = read_sysreg(pmccntr_el0);
	isb();
	return ticks;
}

static inline void counter_enable_cpu(void *unused)
{
	/* All counters; 64 bits. Then this counter. */
	write_sysreg(BIT(0) | BIT(6), pmcr_el0);
	write_sysreg(BIT(31), pmcntenset_el0);
	/* Userspace may read it. */
	write_sysreg(BIT(2), pmuserenr_el0);
	isb();
}

static inline void counter_enable(void)
{
	on_each_cpu(counter_enable_cpu, NULL, true);
}
#endif
