// SPDX-License-Identifier: GPL-2.0

#include <linux/build_bug.h>
#include <linux/eventpoll.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/rwsem.h>

/* The constants of rust/kernel/cdev.rs, which bindgen cannot evaluate. */
static_assert((__force u32)EPOLLIN == 0x1);
static_assert((__force u32)EPOLLPRI == 0x2);
static_assert((__force u32)EPOLLOUT == 0x4);
static_assert((__force u32)EPOLLERR == 0x8);
static_assert((__force u32)EPOLLHUP == 0x10);
static_assert((__force u32)EPOLLRDNORM == 0x40);
static_assert((__force u32)EPOLLWRNORM == 0x100);
static_assert((__force u32)EPOLLRDHUP == 0x2000);

__rust_helper void rust_helper_init_rwsem(struct rw_semaphore *sem)
{
	init_rwsem(sem);
}

__rust_helper struct cdev *rust_helper_inode_cdev(const struct inode *inode)
{
	return inode->i_cdev;
}

__rust_helper unsigned int rust_helper_iminor(const struct inode *inode)
{
	return iminor(inode);
}

__rust_helper void rust_helper_ida_init(struct ida *ida)
{
	ida_init(ida);
}
