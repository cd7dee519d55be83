// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's atomic operations, for kernel::sync::atomic.
 *
 * C's own are macros, or take an atomic_t. Each function here is the one of
 * the same name for a type that Rust has a name for, too.
 */

#include <linux/atomic.h>
#include <linux/types.h>
#include <asm/barrier.h>

__rust_helper s8 rust_helper_atomic_i8_load_acquire(s8 *ptr)
{
	/* The user of the variable in Rust names what this pairs with. */
	return smp_load_acquire(ptr);
}

__rust_helper void rust_helper_atomic_i8_store_release(s8 *ptr, s8 v)
{
	/* The user of the variable in Rust names what this pairs with. */
	smp_store_release(ptr, v);
}

__rust_helper s8 rust_helper_atomic_i8_xchg(s8 *ptr, s8 v)
{
	return xchg(ptr, v);
}

__rust_helper s8 rust_helper_atomic_i8_xchg_acquire(s8 *ptr, s8 v)
{
	return xchg_acquire(ptr, v);
}

__rust_helper s8 rust_helper_atomic_i8_xchg_release(s8 *ptr, s8 v)
{
	return xchg_release(ptr, v);
}

__rust_helper s8 rust_helper_atomic_i8_xchg_relaxed(s8 *ptr, s8 v)
{
	return xchg_relaxed(ptr, v);
}

__rust_helper bool rust_helper_atomic_i8_try_cmpxchg(s8 *ptr, s8 *old, s8 new)
{
	return try_cmpxchg(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i8_try_cmpxchg_acquire(s8 *ptr, s8 *old, s8 new)
{
	return try_cmpxchg_acquire(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i8_try_cmpxchg_release(s8 *ptr, s8 *old, s8 new)
{
	return try_cmpxchg_release(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i8_try_cmpxchg_relaxed(s8 *ptr, s8 *old, s8 new)
{
	return try_cmpxchg_relaxed(ptr, old, new);
}

__rust_helper int rust_helper_atomic_i32_load_acquire(int *ptr)
{
	/* The user of the variable in Rust names what this pairs with. */
	return smp_load_acquire(ptr);
}

__rust_helper void rust_helper_atomic_i32_store_release(int *ptr, int v)
{
	/* The user of the variable in Rust names what this pairs with. */
	smp_store_release(ptr, v);
}

__rust_helper int rust_helper_atomic_i32_xchg(int *ptr, int v)
{
	return xchg(ptr, v);
}

__rust_helper int rust_helper_atomic_i32_xchg_acquire(int *ptr, int v)
{
	return xchg_acquire(ptr, v);
}

__rust_helper int rust_helper_atomic_i32_xchg_release(int *ptr, int v)
{
	return xchg_release(ptr, v);
}

__rust_helper int rust_helper_atomic_i32_xchg_relaxed(int *ptr, int v)
{
	return xchg_relaxed(ptr, v);
}

__rust_helper bool rust_helper_atomic_i32_try_cmpxchg(int *ptr, int *old, int new)
{
	return try_cmpxchg(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i32_try_cmpxchg_acquire(int *ptr, int *old, int new)
{
	return try_cmpxchg_acquire(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i32_try_cmpxchg_release(int *ptr, int *old, int new)
{
	return try_cmpxchg_release(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i32_try_cmpxchg_relaxed(int *ptr, int *old, int new)
{
	return try_cmpxchg_relaxed(ptr, old, new);
}

__rust_helper s64 rust_helper_atomic_i64_load_acquire(s64 *ptr)
{
	/* The user of the variable in Rust names what this pairs with. */
	return smp_load_acquire(ptr);
}

__rust_helper void rust_helper_atomic_i64_store_release(s64 *ptr, s64 v)
{
	/* The user of the variable in Rust names what this pairs with. */
	smp_store_release(ptr, v);
}

__rust_helper s64 rust_helper_atomic_i64_xchg(s64 *ptr, s64 v)
{
	return xchg(ptr, v);
}

__rust_helper s64 rust_helper_atomic_i64_xchg_acquire(s64 *ptr, s64 v)
{
	return xchg_acquire(ptr, v);
}

__rust_helper s64 rust_helper_atomic_i64_xchg_release(s64 *ptr, s64 v)
{
	return xchg_release(ptr, v);
}

__rust_helper s64 rust_helper_atomic_i64_xchg_relaxed(s64 *ptr, s64 v)
{
	return xchg_relaxed(ptr, v);
}

__rust_helper bool rust_helper_atomic_i64_try_cmpxchg(s64 *ptr, s64 *old, s64 new)
{
	return try_cmpxchg(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i64_try_cmpxchg_acquire(s64 *ptr, s64 *old, s64 new)
{
	return try_cmpxchg_acquire(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i64_try_cmpxchg_release(s64 *ptr, s64 *old, s64 new)
{
	return try_cmpxchg_release(ptr, old, new);
}

__rust_helper bool rust_helper_atomic_i64_try_cmpxchg_relaxed(s64 *ptr, s64 *old, s64 new)
{
	return try_cmpxchg_relaxed(ptr, old, new);
}

__rust_helper const void *rust_helper_atomic_ptr_load_acquire(const void **ptr)
{
	/* The user of the variable in Rust names what this pairs with. */
	return smp_load_acquire(ptr);
}

__rust_helper void rust_helper_atomic_ptr_store_release(const void **ptr, const void *v)
{
	/* The user of the variable in Rust names what this pairs with. */
	smp_store_release(ptr, v);
}

__rust_helper const void *rust_helper_atomic_ptr_xchg(const void **ptr, const void *v)
{
	return xchg(ptr, v);
}

__rust_helper const void *rust_helper_atomic_ptr_xchg_acquire(const void **ptr, const void *v)
{
	return xchg_acquire(ptr, v);
}

__rust_helper const void *rust_helper_atomic_ptr_xchg_release(const void **ptr, const void *v)
{
	return xchg_release(ptr, v);
}

__rust_helper const void *rust_helper_atomic_ptr_xchg_relaxed(const void **ptr, const void *v)
{
	return xchg_relaxed(ptr, v);
}

__rust_helper bool
rust_helper_atomic_ptr_try_cmpxchg(const void **ptr, const void **old, const void *new)
{
	return try_cmpxchg(ptr, old, new);
}

__rust_helper bool
rust_helper_atomic_ptr_try_cmpxchg_acquire(const void **ptr, const void **old, const void *new)
{
	return try_cmpxchg_acquire(ptr, old, new);
}

__rust_helper bool
rust_helper_atomic_ptr_try_cmpxchg_release(const void **ptr, const void **old, const void *new)
{
	return try_cmpxchg_release(ptr, old, new);
}

__rust_helper bool
rust_helper_atomic_ptr_try_cmpxchg_relaxed(const void **ptr, const void **old, const void *new)
{
	return try_cmpxchg_relaxed(ptr, old, new);
}

__rust_helper int rust_helper_atomic_i32_fetch_add(int *ptr, int v)
{
	return atomic_fetch_add(v, (atomic_t *)ptr);
}

__rust_helper int rust_helper_atomic_i32_fetch_add_acquire(int *ptr, int v)
{
	return atomic_fetch_add_acquire(v, (atomic_t *)ptr);
}

__rust_helper int rust_helper_atomic_i32_fetch_add_release(int *ptr, int v)
{
	return atomic_fetch_add_release(v, (atomic_t *)ptr);
}

__rust_helper int rust_helper_atomic_i32_fetch_add_relaxed(int *ptr, int v)
{
	return atomic_fetch_add_relaxed(v, (atomic_t *)ptr);
}

__rust_helper s64 rust_helper_atomic_i64_fetch_add(s64 *ptr, s64 v)
{
	return atomic64_fetch_add(v, (atomic64_t *)ptr);
}

__rust_helper s64 rust_helper_atomic_i64_fetch_add_acquire(s64 *ptr, s64 v)
{
	return atomic64_fetch_add_acquire(v, (atomic64_t *)ptr);
}

__rust_helper s64 rust_helper_atomic_i64_fetch_add_release(s64 *ptr, s64 v)
{
	return atomic64_fetch_add_release(v, (atomic64_t *)ptr);
}

__rust_helper s64 rust_helper_atomic_i64_fetch_add_relaxed(s64 *ptr, s64 v)
{
	return atomic64_fetch_add_relaxed(v, (atomic64_t *)ptr);
}
