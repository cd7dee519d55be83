// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>
#include <linux/sched.h>
#include <asm/barrier.h>

/*
 * Kthreads share a table, whose descriptors are never closed. A task that
 * exits has none any more.
 */
__rust_helper bool rust_helper_current_has_files(void)
{
	return current->files && !(current->flags & PF_KTHREAD);
}

/*
 * Returns whether ->open() has succeeded. If so, what it has stored is visible.
 * The flag is never cleared. overlayfs and FUSE map a backing file in place of
 * the one that userspace has opened.
 */
__rust_helper bool rust_helper_file_is_opened(const struct file *file)
{
	/* MODEL: file-opened/mode */
	const fmode_t mode = READ_ONCE(file->f_mode);

	/* Pairs with smp_wmb() in rust_helper_file_set_private_data(). */
	/* MODEL: file-opened/read */
	smp_rmb();
	return (mode & (FMODE_OPENED | FMODE_BACKING)) == FMODE_OPENED;
}

__rust_helper void rust_helper_file_set_private_data(struct file *file,
						     void *data)
{
	file->private_data = data;
	/* do_dentry_open() sets FMODE_OPENED without a barrier. */
	/* MODEL: file-opened/write */
	smp_wmb();
}

__rust_helper void rust_helper_file_clear_lseek(struct file *file)
{
	file->f_mode &= ~FMODE_LSEEK;
}
