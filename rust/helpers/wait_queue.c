// SPDX-License-Identifier: GPL-2.0

#include <linux/build_bug.h>
#include <linux/eventpoll.h>
#include <linux/wait.h>

/* The constants of rust/kernel/task/poll_events.rs, which bindgen cannot evaluate. */
static_assert((__force u32)EPOLLIN == 0x1);
static_assert((__force u32)EPOLLPRI == 0x2);
static_assert((__force u32)EPOLLOUT == 0x4);
static_assert((__force u32)EPOLLERR == 0x8);
static_assert((__force u32)EPOLLHUP == 0x10);
static_assert((__force u32)EPOLLRDNORM == 0x40);
static_assert((__force u32)EPOLLRDBAND == 0x80);
static_assert((__force u32)EPOLLWRNORM == 0x100);
static_assert((__force u32)EPOLLWRBAND == 0x200);
static_assert((__force u32)EPOLLRDHUP == 0x2000);

__rust_helper void
rust_helper_init_waitqueue_head(struct wait_queue_head *wq_head)
{
	init_waitqueue_head(wq_head);
}

__rust_helper void
rust_helper_init_waitqueue_entry(struct wait_queue_entry *wq_entry,
				 struct task_struct *p)
{
	init_waitqueue_entry(wq_entry, p);
}

__rust_helper bool rust_helper_wq_has_sleeper(struct wait_queue_head *wq_head)
{
	/* MODEL: wait-queue/sleeper */
	return wq_has_sleeper(wq_head);
}
