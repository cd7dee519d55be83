/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The selftests of mm/ include this file, which their Makefile writes. It is
 * empty if there is no liburing.
 */
