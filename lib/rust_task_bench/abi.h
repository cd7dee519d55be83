/* SPDX-License-Identifier: GPL-2.0 */
/* The ioctls of /dev/rust_task_bench. */

#ifndef RUST_TASK_BENCH_ABI_H
#define RUST_TASK_BENCH_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

struct rust_task_bench_run {
	/* In: the index of the operation, and how often to run it. */
	__u32 row;
	__u32 rounds;
	/* In: whether interrupts are disabled, unless the operation may sleep. */
	__u32 irqs_off;
	__u32 reserved;
	/* Out: the ticks of the time stamp counter for all rounds, and the operation's name. */
	__u64 c;
	__u64 rust;
	char name[64];
};

/* The same as the result of GET_INFO of samples/rust/rust_task_info.rs. */
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
