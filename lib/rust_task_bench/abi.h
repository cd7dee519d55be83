/* SPDX-License-Identifier: GPL-2.0 */
/* What /dev/rust_task_bench and a program tell each other. */

#ifndef RUST_TASK_BENCH_ABI_H
#define RUST_TASK_BENCH_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct rust_task_bench_run {
	/* To the device: which operation, how often, and whether with interrupts off. */
	__u32 row;
	__u32 rounds;
	__u32 quiet;
	__u32 reserved;
	/* From the device: ticks of the time stamp counter in all, and the operation's name. */
	__u64 c;
	__u64 rust;
	char name[64];
};

/* The facts of the sample driver's GET_INFO. */
struct rust_task_bench_info {
	__u32 pid;
	__u32 tgid;
	__u32 uid;
	__u32 euid;
	__u32 leader;
	__u32 nr;
	__u32 has_mm;
	__u32 signal_pending;
};

#define RUST_TASK_BENCH_RUN _IOWR(0xb9, 1, struct rust_task_bench_run)
#define RUST_TASK_BENCH_INFO _IOR(0xb9, 2, struct rust_task_bench_info)

#endif
