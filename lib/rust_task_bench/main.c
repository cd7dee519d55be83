// SPDX-License-Identifier: GPL-2.0
/*
 * What an operation of the Rust abstractions costs, beside the same in C.
 *
 * A read of /dev/rust_task_bench has each operation done ROUNDS times in both
 * languages, with interrupts off, and tells the ticks of the time stamp counter
 * that went by. QEMU with -icount shift=0 makes it one tick an instruction.
 */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/uidgid.h>

#include <asm/msr.h>
#include <asm/tsc.h>

#define ROUNDS 1000

/* What an operation is done with. ops.rs has the same. */
struct bench {
	struct task_struct *task;
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	struct pid_namespace *ns;
	unsigned long addr;
};

/* The value has to be there, and so has all memory. Emits nothing. */
#define use(x) asm volatile("" : : "r"(x) : "memory")
#define between() asm volatile("" : : : "memory")

static noinline void c_empty(struct bench *b)
{
}

static noinline void c_current(struct bench *b)
{
	use(current);
}

static noinline void c_current_pid(struct bench *b)
{
	use(current->pid);
}

static noinline void c_current_tgid(struct bench *b)
{
	use(current->tgid);
}

static noinline void c_current_leader(struct bench *b)
{
	use(current->group_leader);
}

static noinline void c_current_mm(struct bench *b)
{
	if (current->mm)
		use(current->mm);
}

static noinline void c_current_ns(struct bench *b)
{
	use(task_active_pid_ns(current));
}

static noinline void c_current_euid(struct bench *b)
{
	use(__kuid_val(current_euid()));
}

static noinline void c_task_pid(struct bench *b)
{
	use(READ_ONCE(b->task->pid));
}

static noinline void c_task_tgid(struct bench *b)
{
	use(b->task->tgid);
}

static noinline void c_task_uid(struct bench *b)
{
	use(__kuid_val(task_uid(b->task)));
}

static noinline void c_task_number(struct bench *b)
{
	use(task_tgid_nr_ns(b->task, NULL));
}

static noinline void c_task_number_in_ns(struct bench *b)
{
	use(task_tgid_nr_ns(b->task, b->ns));
}

static noinline void c_task_ns_counted(struct bench *b)
{
	struct pid_namespace *ns;

	rcu_read_lock();
	ns = task_active_pid_ns(b->task);
	if (ns)
		get_pid_ns(ns);
	rcu_read_unlock();
	if (ns) {
		use(ns);
		put_pid_ns(ns);
	}
}

static noinline void c_signal_pending(struct bench *b)
{
	if (signal_pending(b->task))
		between();
}

static noinline void c_wake_up(struct bench *b)
{
	wake_up_process(b->task);
}

static noinline void c_same_user(struct bench *b)
{
	if (uid_eq(task_uid(b->task), current_euid()))
		between();
}

static noinline void c_uid_in_ns(struct bench *b)
{
	use(from_kuid(current_user_ns(), current_euid()));
}

static noinline void c_task_count(struct bench *b)
{
	struct task_struct *task = b->task;

	get_task_struct(task);
	between();
	put_task_struct(task);
}

static noinline void c_mm_count(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmgrab(mm);
	between();
	mmdrop(mm);
}

static noinline void c_mm_users(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmget(mm);
	between();
	mmput(mm);
}

static noinline void c_mm_users_async(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmget(mm);
	between();
	mmput_async(mm);
}

static noinline void c_mm_not_zero(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	if (mmget_not_zero(mm)) {
		between();
		mmput(mm);
	}
}

static noinline void c_ns_count(struct bench *b)
{
	struct pid_namespace *ns = get_pid_ns(b->ns);

	between();
	put_pid_ns(ns);
}

static noinline void c_mmap_lock(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmap_read_lock(mm);
	between();
	mmap_read_unlock(mm);
}

static noinline void c_mmap_trylock(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	if (mmap_read_trylock(mm)) {
		between();
		mmap_read_unlock(mm);
	}
}

static noinline void c_vma_lookup(struct bench *b)
{
	struct mm_struct *mm = b->mm;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	vma = vma_lookup(mm, b->addr);
	if (vma)
		use(vma);
	mmap_read_unlock(mm);
}

static noinline void c_vma_lock(struct bench *b)
{
	struct vm_area_struct *vma = lock_vma_under_rcu(b->mm, b->addr);

	if (vma) {
		between();
		vma_end_read(vma);
	}
}

static noinline void c_vma_fields(struct bench *b)
{
	struct vm_area_struct *vma = b->vma;

	use(vma->vm_start);
	use(vma->vm_end);
	use(READ_ONCE(vma->vm_flags));
	use(vma->vm_mm);
}

static noinline void c_vma_mixedmap(struct bench *b)
{
	if (b->vma->vm_flags & VM_MIXEDMAP)
		use(b->vma);
}

/* The name of each in both languages, and in the table. */
#define OPERATIONS(op)							\
	op(current, "current")						\
	op(current_pid, "current's pid")				\
	op(current_tgid, "current's tgid")				\
	op(current_leader, "current's group leader")			\
	op(current_mm, "current's mm")					\
	op(current_ns, "current's active PID namespace")		\
	op(current_euid, "current's euid")				\
	op(task_pid, "a task's pid")					\
	op(task_tgid, "a task's tgid")					\
	op(task_uid, "a task's uid")					\
	op(task_number, "a task's number in the initial namespace")	\
	op(task_number_in_ns, "a task's number in a namespace")		\
	op(task_ns_counted, "a task's namespace, counted and dropped")	\
	op(signal_pending, "signal_pending()")				\
	op(wake_up, "wake_up_process(), running")			\
	op(same_user, "a task's uid is current's euid")			\
	op(uid_in_ns, "euid in the current user namespace")		\
	op(task_count, "task: clone and drop")				\
	op(mm_count, "mm: clone and drop")				\
	op(mm_users, "mm with users: clone and drop")			\
	op(mm_users_async, "mm with users: clone, drop asynchronously")	\
	op(mm_not_zero, "mmget_not_zero() and drop")			\
	op(ns_count, "PID namespace: clone and drop")			\
	op(mmap_lock, "mmap read lock and unlock")			\
	op(mmap_trylock, "mmap read trylock and unlock")		\
	op(vma_lookup, "mmap read lock, vma_lookup(), unlock")		\
	op(vma_lock, "lock_vma_under_rcu() and unlock")			\
	op(vma_fields, "start, end, flags and mm of an area")		\
	op(vma_mixedmap, "is an area VM_MIXEDMAP")

#define declare(id, name) void rust_##id(struct bench *b);
void rust_empty(struct bench *b);
OPERATIONS(declare)

static const struct {
	const char *name;
	void (*c)(struct bench *b);
	void (*rust)(struct bench *b);
} operations[] = {
#define row(id, name) { name, c_##id, rust_##id },
	OPERATIONS(row)
};

static noinline u64 ticks(void (*operation)(struct bench *b), struct bench *b)
{
	unsigned long flags;
	u64 begin, end;
	int i;

	/* Whatever happens only once happens now. */
	operation(b);
	local_irq_save(flags);
	begin = rdtsc_ordered();
	for (i = 0; i < ROUNDS; i++)
		operation(b);
	end = rdtsc_ordered();
	local_irq_restore(flags);

	return end - begin;
}

static int rust_task_bench_show(struct seq_file *m, void *unused)
{
	struct bench b = {
		.task = current,
		.mm = current->mm,
		.ns = task_active_pid_ns(current),
	};
	u64 c, rust;
	int i;

	if (!b.mm)
		return -ESRCH;
	b.addr = b.mm->start_stack;
	/* This process has one thread, so nobody changes its areas. */
	mmap_read_lock(b.mm);
	b.vma = vma_lookup(b.mm, b.addr);
	mmap_read_unlock(b.mm);
	if (!b.vma)
		return -ENOENT;

	c = ticks(c_empty, &b);
	rust = ticks(rust_empty, &b);
	seq_printf(m, "rounds\t%d\n", ROUNDS);
	for (i = 0; i < ARRAY_SIZE(operations); i++)
		seq_printf(m, "%s\t%lld\t%lld\n", operations[i].name,
			   ticks(operations[i].c, &b) - c,
			   ticks(operations[i].rust, &b) - rust);
	return 0;
}

static int rust_task_bench_open(struct inode *inode, struct file *file)
{
	/* A misc device finds its own here. */
	file->private_data = NULL;
	return single_open_size(file, rust_task_bench_show, NULL, SZ_16K);
}

static const struct file_operations rust_task_bench_fops = {
	.owner = THIS_MODULE,
	.open = rust_task_bench_open,
	.read = seq_read,
	.llseek = seq_lseek,
	.release = single_release,
};

static struct miscdevice rust_task_bench_device = {
	.minor = MISC_DYNAMIC_MINOR,
#ifdef MODULE
	.name = "rust_task_bench_module",
#else
	.name = "rust_task_bench",
#endif
	.fops = &rust_task_bench_fops,
};
module_misc_device(rust_task_bench_device);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Instructions of the Rust abstractions, beside those of C");
