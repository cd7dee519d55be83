/* SPDX-License-Identifier: GPL-2.0 */
/* What rust/module_going.c and rust/kernel/module_going.rs call of each other. */
#ifndef _RUST_MODULE_GOING_H
#define _RUST_MODULE_GOING_H

struct module;

void rust_module_going_lock(void);
void rust_module_going_unlock(void);
void rust_module_decided(void);
void rust_module_going(struct module *module);

#endif
