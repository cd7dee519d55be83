// SPDX-License-Identifier: GPL-2.0

#include <linux/module.h>

__rust_helper bool rust_helper_module_is_coming(struct module *module)
{
	return module_is_coming(module);
}

__rust_helper bool rust_helper_within_module(unsigned long addr,
					     const struct module *module)
{
	return within_module(addr, module);
}

#ifndef CONFIG_MODULES
__rust_helper bool rust_helper_is_module_address(unsigned long addr)
{
	return is_module_address(addr);
}
#endif

#ifndef CONFIG_MODULE_UNLOAD
__rust_helper bool rust_helper_try_module_get(struct module *module)
{
	return try_module_get(module);
}

__rust_helper void rust_helper_module_put(struct module *module)
{
	module_put(module);
}
#endif
