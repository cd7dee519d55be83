// SPDX-License-Identifier: GPL-2.0

#include <linux/pid.h>

__rust_helper struct pid *rust_helper_get_pid(struct pid *pid)
{
	return get_pid(pid);
}

__rust_helper struct pid_namespace *rust_helper_ns_of_pid(struct pid *pid)
{
	return ns_of_pid(pid);
}
