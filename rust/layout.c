// SPDX-License-Identifier: GPL-2.0
/*
 * Sizes and field offsets, as computed by the C compiler, of the structs whose
 * fields rust/kernel accesses.
 *
 * bindgen is known to misplace fields without an error, so each build compares
 * its layout with this one: rust/Makefile.layout turns the assembly of this
 * file into Rust assertions, which rust/kernel/layout.rs compiles. Each field
 * that Rust code of this project accesses, and each struct that it has by value,
 * must be listed here. `make LLVM=1 lint` finds those that are missing.
 */

#define COMPILE_OFFSETS

#include <linux/build_bug.h>
#include <linux/cdev.h>
#include <linux/compiler.h>
#include <linux/cred.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/hmm.h>
#include <linux/idr.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rwsem.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/shrinker.h>
#include <linux/stddef.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <uapi/linux/sched/types.h>

/* Present only if the kernel itself does not define struct vm_area_desc. */
#if __has_include("helpers/vma_desc.h")
#include "helpers/vma_desc.h"
#endif

/* bindgen has no value for BIT(). */
static_assert(SHRINKER_NUMA_AWARE == 1 << 2);

#define SIZE(type)							\
	({								\
		asm volatile("\n.ascii \"->size " #type " %c0\""		\
			     : : "i" (sizeof(struct type)));		\
	})

/* SIZE() for a typedef of a struct. */
#define SIZE_OF(type)							\
	({								\
		asm volatile("\n.ascii \"->size " #type " %c0\""		\
			     : : "i" (sizeof(type)));			\
	})

#define FIELD(type, member)						\
	({								\
		asm volatile("\n.ascii \"->field " #type " " #member " %c0\"" \
			     : : "i" (offsetof(struct type, member)));	\
	})

/* FIELD() for a typedef of a struct. */
#define FIELD_OF(type, member)						\
	({								\
		asm volatile("\n.ascii \"->field " #type " " #member " %c0\"" \
			     : : "i" (offsetof(type, member)));		\
	})

/* FIELD() for a member of an unnamed struct or union; `path` is its name in bindgen's output. */
#define FIELD_AT(type, path, member)					\
	({								\
		asm volatile("\n.ascii \"->field " #type " " #path " %c0\"" \
			     : : "i" (offsetof(struct type, member)));	\
	})

static void __used rust_layout(void)
{
	SIZE(task_struct);
	FIELD(task_struct, flags);
	FIELD(task_struct, pid);
	FIELD(task_struct, tgid);
	FIELD(task_struct, mm);
	FIELD(task_struct, files);
	FIELD(task_struct, group_leader);
	FIELD(task_struct, real_parent);
	FIELD(task_struct, signal);
	FIELD(task_struct, tasks);
	FIELD(task_struct, thread_node);
	FIELD(task_struct, thread_pid);
	FIELD(task_struct, cred);
	FIELD(task_struct, exit_state);
	FIELD(task_struct, start_time);
	FIELD(task_struct, static_prio);
	FIELD(task_struct, policy);
	FIELD(task_struct, rt_priority);
	FIELD(task_struct, usage);
	FIELD(task_struct, __state);
	FIELD(task_struct, alloc_lock);

	SIZE(sched_param);
	FIELD(sched_param, sched_priority);

	SIZE(wait_queue_head);
	SIZE(wait_queue_entry);

	SIZE(kthread_worker);
	FIELD(kthread_worker, current_work);
	SIZE(kthread_work);
	FIELD(kthread_work, func);
	FIELD(kthread_work, worker);
	SIZE(kthread_delayed_work);
	FIELD(kthread_delayed_work, work);

	SIZE(callback_head);
	FIELD(callback_head, next);
	FIELD(callback_head, func);

	FIELD(signal_struct, thread_head);
	FIELD(list_head, next);

	SIZE(mm_struct);
	FIELD_AT(mm_struct, __bindgen_anon_1.__bindgen_anon_1.mm_count,
		 mm_count);
	FIELD_AT(mm_struct, __bindgen_anon_1.mm_users, mm_users);
	FIELD_AT(mm_struct, __bindgen_anon_1.total_vm, total_vm);
	FIELD_AT(mm_struct, __bindgen_anon_1.locked_vm, locked_vm);

	SIZE(vm_area_struct);
	FIELD_AT(vm_area_struct, __bindgen_anon_1.__bindgen_anon_1.vm_start,
		 vm_start);
	FIELD_AT(vm_area_struct, __bindgen_anon_1.__bindgen_anon_1.vm_end,
		 vm_end);
	FIELD_AT(vm_area_struct, __bindgen_anon_2.vm_flags, vm_flags);
	FIELD(vm_area_struct, vm_mm);
	FIELD(vm_area_struct, vm_page_prot);
	FIELD(vm_area_struct, vm_file);
	FIELD(vm_area_struct, vm_ops);
	FIELD(vm_area_struct, vm_pgoff);
	FIELD(vm_area_struct, vm_private_data);

	SIZE(vm_area_desc);
	FIELD(vm_area_desc, file);
	FIELD(vm_area_desc, start);
	FIELD(vm_area_desc, end);
	FIELD(vm_area_desc, pgoff);
	FIELD(vm_area_desc, vm_file);
	FIELD(vm_area_desc, vma_flags);
	FIELD(vm_area_desc, page_prot);
	FIELD(vm_area_desc, vm_ops);
	FIELD(vm_area_desc, private_data);
	FIELD(vm_area_desc, action);
	SIZE(mmap_action);
	FIELD_AT(mmap_action, type_, type);

#ifdef CONFIG_MMU_NOTIFIER
	SIZE(mutex);
	SIZE(work_struct);
	SIZE(mmu_interval_notifier);
	FIELD(mmu_interval_notifier, interval_tree);
	FIELD(mmu_interval_notifier, mm);
	FIELD(interval_tree_node, start);
	FIELD(interval_tree_node, last);
	SIZE(mmu_interval_notifier_ops);
	FIELD(mmu_interval_notifier_ops, invalidate);
	SIZE(mmu_notifier_range);
	FIELD(mmu_notifier_range, mm);
	FIELD(mmu_notifier_range, start);
	FIELD(mmu_notifier_range, end);
	FIELD(mmu_notifier_range, event);
#endif

#ifdef CONFIG_HMM_MIRROR
	SIZE(hmm_range);
	FIELD(hmm_range, notifier);
	FIELD(hmm_range, notifier_seq);
	FIELD(hmm_range, start);
	FIELD(hmm_range, end);
	FIELD(hmm_range, hmm_pfns);
	FIELD(hmm_range, default_flags);
	FIELD(hmm_range, pfn_flags_mask);
	FIELD(hmm_range, dev_private_owner);
#endif

	SIZE_OF(pgprot_t);
	SIZE_OF(refcount_t);

	FIELD_OF(atomic_t, counter);

	SIZE_OF(sigval_t);

	SIZE(vma_iterator);
	FIELD(vma_iterator, mas);

	SIZE(vm_operations_struct);
	FIELD(vm_operations_struct, open);
	FIELD(vm_operations_struct, close);
	FIELD(vm_operations_struct, may_split);
	FIELD(vm_operations_struct, mremap);
	FIELD(vm_operations_struct, fault);
	FIELD(vm_operations_struct, map_pages);
	FIELD(vm_operations_struct, huge_fault);
	FIELD(vm_operations_struct, page_mkwrite);
	FIELD(vm_operations_struct, access);
	FIELD(vm_operations_struct, name);

	SIZE(vm_fault);
	FIELD_AT(vm_fault, __bindgen_anon_1.vma, vma);
	FIELD_AT(vm_fault, __bindgen_anon_1.pgoff, pgoff);
	FIELD_AT(vm_fault, __bindgen_anon_1.address, address);
	FIELD(vm_fault, flags);
	FIELD(vm_fault, page);

	FIELD(page, _refcount);

	SIZE(pid);

	SIZE(pid_namespace);
	FIELD(pid_namespace, level);
	FIELD(pid_namespace, parent);
	FIELD(pid_namespace, ns);

	SIZE(cred);
	FIELD(cred, usage);
	FIELD(cred, uid);
	FIELD(cred, gid);
	FIELD(cred, suid);
	FIELD(cred, sgid);
	FIELD(cred, euid);
	FIELD(cred, egid);
	FIELD(cred, fsuid);
	FIELD(cred, fsgid);
	FIELD(cred, user_ns);

	SIZE_OF(kuid_t);
	FIELD_OF(kuid_t, val);
	SIZE_OF(kgid_t);
	FIELD_OF(kgid_t, val);

	SIZE(user_namespace);
	FIELD(user_namespace, ns);

	SIZE(file);
	FIELD(file, f_cred);
	FIELD(file, f_flags);
	FIELD(file, f_mapping);
	FIELD(file, f_op);
	FIELD(file, private_data);

	SIZE(file_operations);
	FIELD(file_operations, owner);
	FIELD(file_operations, open);
	FIELD(file_operations, release);
	FIELD(file_operations, read);
	FIELD(file_operations, write);
	FIELD(file_operations, poll);
	FIELD(file_operations, llseek);
	FIELD(file_operations, mmap);
	FIELD(file_operations, unlocked_ioctl);
	FIELD(file_operations, compat_ioctl);

	SIZE(cdev);
	FIELD(class, devnode);
	FIELD(device, driver);
	FIELD(device, driver_data);
	FIELD(device, links);
	FIELD(dev_links_info, status);
	FIELD(device_driver, owner);
	SIZE(device_driver);
	SIZE(ida);
	SIZE(kobject);
	SIZE(kobj_type);
	FIELD(kobj_type, release);
	SIZE(rw_semaphore);

	FIELD(shrinker, count_objects);
	FIELD(shrinker, scan_objects);
	FIELD(shrinker, seeks);
	FIELD(shrinker, batch);
	FIELD(shrinker, private_data);
	FIELD(shrink_control, gfp_mask);
	FIELD(shrink_control, nid);
	FIELD(shrink_control, nr_to_scan);
	FIELD(shrink_control, nr_scanned);

	SIZE(miscdevice);
	FIELD(miscdevice, minor);
	FIELD(miscdevice, name);
	FIELD(miscdevice, fops);
	FIELD(miscdevice, this_device);

	/* What not all kernels need. */
#include "layout_fields.h"
}
