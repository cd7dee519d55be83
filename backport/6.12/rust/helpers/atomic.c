// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel's atomic operations, for kernel::sync::atomic.
 *
 * The names are those of mainline's helpers only where the arguments are, too. No prototype of these
 * functions exists in C.
 */

#include <linux/atomic.h>
#include <linux/types.h>
#include <asm/barrier.h>

#define RUST_ATOMIC_LOAD_STORE(name, type)				\
	__rust_helper type						\
	rust_helper_atomic_##name##_load_acquire(const type *ptr)	\
	{								\
		return smp_load_acquire(ptr);				\
	}								\
	__rust_helper void						\
	rust_helper_atomic_##name##_store_release(type *ptr, type v)	\
	{								\
		smp_store_release(ptr, v);				\
	}

#define RUST_ATOMIC_EXCHANGE(name, type, order)				\
	__rust_helper type						\
	rust_helper_atomic_##name##_xchg##order(type *ptr, type v)	\
	{								\
		return xchg##order(ptr, v);				\
	}								\
	__rust_helper bool						\
	rust_helper_atomic_##name##_try_cmpxchg##order(type *ptr,	\
						       type *old,	\
						       type new)	\
	{								\
		return try_cmpxchg##order(ptr, old, new);		\
	}

#define RUST_ATOMIC_ADD(name, type, atomic, order)			\
	__rust_helper type						\
	rust_helper_atomic_##name##_fetch_add##order(type *ptr, type v)	\
	{								\
		return atomic##_fetch_add##order(v, (atomic##_t *)ptr);	\
	}

#define RUST_ATOMIC(name, type)						\
	RUST_ATOMIC_LOAD_STORE(name, type)				\
	RUST_ATOMIC_EXCHANGE(name, type,)				\
	RUST_ATOMIC_EXCHANGE(name, type, _acquire)			\
	RUST_ATOMIC_EXCHANGE(name, type, _release)			\
	RUST_ATOMIC_EXCHANGE(name, type, _relaxed)

#define RUST_ATOMIC_ADDS(name, type, atomic)				\
	RUST_ATOMIC_ADD(name, type, atomic,)				\
	RUST_ATOMIC_ADD(name, type, atomic, _acquire)			\
	RUST_ATOMIC_ADD(name, type, atomic, _release)			\
	RUST_ATOMIC_ADD(name, type, atomic, _relaxed)

RUST_ATOMIC(i8, s8)
RUST_ATOMIC(i32, int)
RUST_ATOMIC(i64, s64)
RUST_ATOMIC(ptr, const void *)

RUST_ATOMIC_ADDS(i32, int, atomic)
RUST_ATOMIC_ADDS(i64, s64, atomic64)
