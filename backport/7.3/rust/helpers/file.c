// SPDX-License-Identifier: GPL-2.0

#include <linux/fs.h>

__rust_helper bool rust_helper_file_is_opened(const struct file *file)
{
	return file->f_mode & FMODE_OPENED;
}
