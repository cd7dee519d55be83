// SPDX-License-Identifier: GPL-2.0
/*
 * The lock and the module notifier of rust/kernel/module_going.rs.
 *
 * They are not in rust/helpers/: with CONFIG_RUST_INLINE_HELPERS, the helpers
 * are compiled twice, and there would be two of each variable.
 */

#include <linux/init.h>
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>

#include "module_going.h"

static DEFINE_MUTEX(module_going_mutex);

void rust_module_going_lock(void)
{
	mutex_lock(&module_going_mutex);
}

void rust_module_going_unlock(void)
{
	mutex_unlock(&module_going_mutex);
}

#ifdef CONFIG_MODULES
static int module_going_notify(struct notifier_block *nb, unsigned long state,
			       void *module)
{
	switch (state) {
	case MODULE_STATE_LIVE:
		rust_module_decided();
		break;
	case MODULE_STATE_GOING:
		rust_module_decided();
		rust_module_going(module);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block module_going_nb = {
	.notifier_call = module_going_notify,
	/*
	 * Other notifiers free what code of the module still uses, so this one
	 * is called first.
	 */
	.priority = INT_MAX,
};

static int __init module_going_init(void)
{
	return register_module_notifier(&module_going_nb);
}
core_initcall(module_going_init);
#endif /* CONFIG_MODULES */
