// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/rwsem.h>

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
