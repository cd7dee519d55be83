/* SPDX-License-Identifier: GPL-2.0 */
/* Included by rust/layout.c: what only this kernel needs. */

FIELD(ns_common, count);

#ifdef CONFIG_MODULES
SIZE(module);
#endif
