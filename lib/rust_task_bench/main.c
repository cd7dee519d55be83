// SPDX-License-Identifier: GPL-2.0
/*
 * Compares the cost of operations of the Rust abstractions with the same in C.
 *
 * A read of /dev/rust_task_bench runs each operation ROUNDS times in both
 * languages, with interrupts disabled unless it may sleep, and returns the elapsed
 * ticks of the CPU's counter. With QEMU's -icount shift=0, a tick is an instruction.
 * RUST_TASK_BENCH_RUN runs one operation for a given number of rounds.
 */

#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/capability.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <linux/user_namespace.h>
#include <linux/wait.h>

#include "abi.h"
#include "counter.h"

#define ROUNDS 1000
#define PINNED 512

/*
 * The arguments of an operation; ops.rs has the same layout. The VMAs are only
 * valid while the mmap lock is held.
 */
struct bench {
	struct task_struct *task;
	struct mm_struct *mm;
	struct vm_area_struct *vma;
	struct vm_area_struct *device;
	struct pid_namespace *ns;
	struct page *page;
	unsigned long addr;
	struct pid *pid;
	/* A WaitQueue of more.rs, and the CurrentKThread of the kthread. */
	const void *rust_queue;
	const void *kthread;
	/* Anonymous memory of PINNED pages in userspace, and a page of the kernel. */
	unsigned long user;
	void *buffer;
	/* The notifier of more.rs for this memory. */
	const void *rust_mirror;
	/* The rest is not in ops.rs. */
	struct wait_queue_head *c_queue;
	struct c_mirror *c_mirror;
	/* VMAs with a fault handler in C and in Rust. */
	struct vm_area_struct *c_faults;
	struct vm_area_struct *rust_faults;
};

/* The VMAs that userspace maps from the device, by page offset. */
enum { DEVICE, C_FAULTS, RUST_FAULTS, NR_VMAS };

/* The start addresses of these VMAs. */
struct state {
	unsigned long start[NR_VMAS];
};

typedef void operation(struct bench *b);

/* Defined in ops.rs. */
operation rust_empty, rust_current, rust_current_pid, rust_current_tgid,
	rust_current_leader, rust_current_mm, rust_current_ns,
	rust_current_euid, rust_task_pid, rust_task_tgid, rust_task_uid,
	rust_task_tgid_nr, rust_task_tgid_nr_ns, rust_task_get_ns,
	rust_signal_pending, rust_wake_up, rust_same_user, rust_uid_in_ns,
	rust_task_clone, rust_mm_clone, rust_mm_users, rust_mm_users_async,
	rust_mm_not_zero, rust_ns_clone, rust_mmap_lock, rust_mmap_trylock,
	rust_vma_lookup, rust_vma_lock, rust_vma_fields,
	rust_page_insert;

/* Defined in more.rs. Mainline does not have the methods that these call. */
operation rust_mmap_write_lock, rust_vma_each, rust_vma_file, rust_vma_typed,
	rust_pid_clone, rust_pid_of_task, rust_pid_find,
	rust_pid_task, rust_pid_nr, rust_group_each, rust_thread_each,
	rust_task_parent, rust_task_nice, rust_task_cpu, rust_task_start,
	rust_task_exit_state, rust_task_rlimit, rust_task_cred, rust_cred,
	rust_uid, rust_kuid, rust_user_ns, rust_capable, rust_ns_capable,
	rust_wait, rust_use_mm, rust_wait_event, rust_wait_event_exclusive,
	rust_queue_wake_up, rust_queue_has_sleeper, rust_cond_resched,
	rust_need_resched, rust_noio, rust_set_nice, rust_compat,
	rust_current_uid, rust_current_fsuid, rust_uid_munged,
	rust_ns_capable_noaudit, rust_should_stop, rust_task_mm,
	rust_remote_read, rust_remote_write, rust_pin, rust_pin_many,
	rust_pin_short, rust_read_section;
typedef int hook(struct vm_area_struct *vma);
hook rust_mmap;
typedef const void *(create)(void);
create rust_queue_create;
typedef void destroy(const void *object);
destroy rust_queue_free, rust_mirror_free;
/* Registers a notifier for memory of the current process. */
typedef const void *(mirror)(unsigned long addr, unsigned long len);
mirror rust_mirror_create;
/* Calls f in a kthread, with data and the CurrentKThread. */
typedef void in_kthread(void *data, const void *kthread);
typedef int call(in_kthread *f, void *data);
call rust_call_in_kthread;

/* Makes the compiler compute x and all memory. Emits no instruction. */
#define use(x) ({ asm volatile("" : : "r"(x) : "memory"); })

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

static noinline void c_task_tgid_nr(struct bench *b)
{
	use(task_tgid_nr_ns(b->task, NULL));
}

static noinline void c_task_tgid_nr_ns(struct bench *b)
{
	use(task_tgid_nr_ns(b->task, b->ns));
}

static noinline void c_task_get_ns(struct bench *b)
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
		barrier();
}

static noinline void c_wake_up(struct bench *b)
{
	wake_up_process(b->task);
}

static noinline void c_same_user(struct bench *b)
{
	if (uid_eq(task_uid(b->task), current_euid()))
		barrier();
}

static noinline void c_uid_in_ns(struct bench *b)
{
	use(from_kuid(current_user_ns(), current_euid()));
}

static noinline void c_task_clone(struct bench *b)
{
	struct task_struct *task = b->task;

	get_task_struct(task);
	barrier();
	put_task_struct(task);
}

static noinline void c_mm_clone(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmgrab(mm);
	barrier();
	mmdrop(mm);
}

static noinline void c_mm_users(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmget(mm);
	barrier();
	mmput(mm);
}

static noinline void c_mm_users_async(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmget(mm);
	barrier();
	mmput_async(mm);
}

static noinline void c_mm_not_zero(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	if (mmget_not_zero(mm)) {
		barrier();
		mmput(mm);
	}
}

static noinline void c_ns_clone(struct bench *b)
{
	struct pid_namespace *ns = get_pid_ns(b->ns);

	barrier();
	put_pid_ns(ns);
}

static noinline void c_mmap_lock(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmap_read_lock(mm);
	barrier();
	mmap_read_unlock(mm);
}

static noinline void c_mmap_trylock(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	if (mmap_read_trylock(mm)) {
		barrier();
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
		barrier();
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

#ifdef CONFIG_RUST_TASK_BENCH
static noinline void c_mmap_write_lock(struct bench *b)
{
	struct mm_struct *mm = b->mm;

	mmap_write_lock(mm);
	barrier();
	mmap_write_unlock(mm);
}

static noinline void c_vma_each(struct bench *b)
{
	VMA_ITERATOR(vmi, b->mm, 0);
	struct mm_struct *mm = b->mm;
	struct vm_area_struct *vma;

	mmap_read_lock(mm);
	for_each_vma(vmi, vma)
		use(vma);
	mmap_read_unlock(mm);
}

static noinline void c_task_parent(struct bench *b)
{
	struct task_struct *parent = NULL;

	rcu_read_lock();
	if (pid_alive(b->task))
		parent = get_task_struct(rcu_dereference(b->task->real_parent));
	rcu_read_unlock();
	if (parent) {
		use(parent);
		put_task_struct(parent);
	}
}

static noinline void c_task_nice(struct bench *b)
{
	use(task_nice(b->task));
}

static noinline void c_task_cpu(struct bench *b)
{
	use(task_cpu(b->task));
}

static noinline void c_task_start(struct bench *b)
{
	use(b->task->start_time);
}

static noinline void c_task_exit_state(struct bench *b)
{
	use(!READ_ONCE(b->task->exit_state));
}

static noinline void c_task_rlimit(struct bench *b)
{
	use(task_rlimit(b->task, RLIMIT_MEMLOCK));
}

static noinline void c_task_cred(struct bench *b)
{
	const struct cred *cred = get_task_cred(b->task);

	barrier();
	put_cred(cred);
}

static noinline void c_cred(struct bench *b)
{
	use(current_cred());
}

static noinline void c_uid(struct bench *b)
{
	uid_t uid = from_kuid(current_user_ns(), current_euid());

	if (uid != (uid_t)-1)
		use(uid);
}

static noinline void c_kuid(struct bench *b)
{
	kuid_t user = make_kuid(current_user_ns(), READ_ONCE(b->addr));

	if (uid_valid(user))
		use(user.val);
}

static noinline void c_user_ns(struct bench *b)
{
	struct user_namespace *ns = get_user_ns(current_user_ns());

	barrier();
	put_user_ns(ns);
}

static noinline void c_capable(struct bench *b)
{
	if (capable(CAP_SYS_ADMIN))
		use(1);
}

static noinline void c_ns_capable(struct bench *b)
{
	if (ns_capable(current_user_ns(), CAP_SYS_ADMIN))
		use(1);
}

static noinline void c_wait(struct bench *b)
{
	unsigned long addr = READ_ONCE(b->addr);
	long left = 1;

	while (!addr && left && !signal_pending(current)) {
		set_current_state(TASK_INTERRUPTIBLE);
		addr = READ_ONCE(b->addr);
		if (!addr)
			left = schedule_timeout(left);
		__set_current_state(TASK_RUNNING);
	}
	if (addr)
		use(addr);
}

/* The queues of the operations. No task is on them. */
static DECLARE_WAIT_QUEUE_HEAD(c_queue);
static const void *rust_queue;

static noinline void c_wait_event(struct bench *b)
{
	unsigned long addr;
	int err;

	err = wait_event_interruptible(*b->c_queue, (addr = READ_ONCE(b->addr)));
	if (!err)
		use(addr);
}

static noinline void c_wait_event_exclusive(struct bench *b)
{
	unsigned long addr;
	int err;

	err = wait_event_interruptible_exclusive(*b->c_queue,
						 (addr = READ_ONCE(b->addr)));
	if (!err)
		use(addr);
}

static noinline void c_task_mm(struct bench *b)
{
	struct mm_struct *mm = get_task_mm(b->task);

	if (mm) {
		barrier();
		mmput(mm);
	}
}

static noinline void c_remote_read(struct bench *b)
{
	access_process_vm(b->task, b->user, b->buffer, PAGE_SIZE, 0);
}

static noinline void c_remote_write(struct bench *b)
{
	access_process_vm(b->task, b->user, b->buffer, PAGE_SIZE, FOLL_WRITE);
}

/* What a driver keeps of pinned pages. */
struct c_pins {
	struct page **pages;
	struct mm_struct *mm;
	long count;
};

static int c_pin_pages(struct c_pins *pins, unsigned long addr, int count)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	struct mm_struct *mm = current->mm;
	long charged = atomic64_add_return(count, &mm->pinned_vm);

	if (charged > limit && !capable(CAP_IPC_LOCK))
		goto uncharge;
	pins->pages = kvmalloc_array(count, sizeof(*pins->pages),
				     GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!pins->pages)
		goto uncharge;
	pins->count = pin_user_pages_fast(addr, count,
					  FOLL_WRITE | FOLL_LONGTERM,
					  pins->pages);
	if (pins->count != count)
		goto unpin;
	mmgrab(mm);
	pins->mm = mm;
	return 0;

unpin:
	if (pins->count > 0)
		unpin_user_pages(pins->pages, pins->count);
	kvfree(pins->pages);
uncharge:
	atomic64_sub(count, &mm->pinned_vm);
	return -ENOMEM;
}

static void c_unpin_pages(struct c_pins *pins)
{
	unpin_user_pages_dirty_lock(pins->pages, pins->count, true);
	kvfree(pins->pages);
	atomic64_sub(pins->count, &pins->mm->pinned_vm);
	mmdrop(pins->mm);
}

static noinline void c_pin(struct bench *b)
{
	struct c_pins pins;

	if (!c_pin_pages(&pins, b->user, 1))
		c_unpin_pages(&pins);
}

static noinline void c_pin_many(struct bench *b)
{
	struct c_pins pins;

	if (!c_pin_pages(&pins, b->user, PINNED))
		c_unpin_pages(&pins);
}

static noinline void c_pin_short(struct bench *b)
{
	struct page **pages = kvmalloc_array(1, sizeof(*pages),
					     GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	int count;

	if (!pages)
		return;
	count = pin_user_pages_fast(b->user, 1, FOLL_WRITE, pages);
	barrier();
	if (count > 0)
		unpin_user_pages_dirty_lock(pages, count, true);
	kvfree(pages);
}

/* What a driver in C has for a range that it mirrors. */
struct c_mirror {
	struct mmu_interval_notifier notifier;
	/* Protects state, and the sequence number of the notifier. */
	struct mutex lock;
	unsigned long state;
};

static bool c_invalidate(struct mmu_interval_notifier *notifier,
			 const struct mmu_notifier_range *range,
			 unsigned long seq)
{
	struct c_mirror *mirror =
		container_of(notifier, struct c_mirror, notifier);

	if (mmu_notifier_range_blockable(range))
		mutex_lock(&mirror->lock);
	else if (!mutex_trylock(&mirror->lock))
		return false;
	mmu_interval_set_seq(notifier, seq);
	mirror->state++;
	mutex_unlock(&mirror->lock);
	return true;
}

static const struct mmu_interval_notifier_ops c_mirror_ops = {
	.invalidate = c_invalidate,
};

static struct c_mirror *c_mirror_create(unsigned long addr, unsigned long len)
{
	struct c_mirror *mirror = kzalloc(sizeof(*mirror), GFP_KERNEL);

	if (!mirror)
		return NULL;
	mutex_init(&mirror->lock);
	if (mmu_interval_notifier_insert(&mirror->notifier, current->mm, addr,
					 len, &c_mirror_ops)) {
		kfree(mirror);
		return NULL;
	}
	return mirror;
}

static void c_mirror_free(struct c_mirror *mirror)
{
	mmu_interval_notifier_remove(&mirror->notifier);
	kfree(mirror);
}

static noinline void c_read_section(struct bench *b)
{
	struct c_mirror *mirror = b->c_mirror;
	unsigned long seq = mmu_interval_read_begin(&mirror->notifier);

	barrier();
	mutex_lock(&mirror->lock);
	if (!mmu_interval_read_retry(&mirror->notifier, seq))
		use(mirror->state);
	mutex_unlock(&mirror->lock);
}

static noinline void c_queue_wake_up(struct bench *b)
{
	wake_up(b->c_queue);
}

static noinline void c_queue_has_sleeper(struct bench *b)
{
	if (wq_has_sleeper(b->c_queue))
		barrier();
}

static noinline void c_cond_resched(struct bench *b)
{
	cond_resched();
}

static noinline void c_need_resched(struct bench *b)
{
	if (need_resched())
		barrier();
}

static noinline void c_noio(struct bench *b)
{
	unsigned int flags = memalloc_noio_save();

	barrier();
	memalloc_noio_restore(flags);
}

static noinline void c_set_nice(struct bench *b)
{
	set_user_nice(b->task, task_nice(b->task));
}

static noinline void c_compat(struct bench *b)
{
	if (in_compat_syscall())
		barrier();
}

static noinline void c_current_uid(struct bench *b)
{
	use(__kuid_val(current_uid()));
}

static noinline void c_current_fsuid(struct bench *b)
{
	use(__kuid_val(current_fsuid()));
}

static noinline void c_uid_munged(struct bench *b)
{
	use(from_kuid_munged(current_user_ns(), current_uid()));
}

static noinline void c_ns_capable_noaudit(struct bench *b)
{
	if (ns_capable_noaudit(current_user_ns(), CAP_SYS_ADMIN))
		use(1);
}

static noinline void c_should_stop(struct bench *b)
{
	/* Rust loads this pointer, too. A driver has it in a register. */
	use(b->kthread);
	if (kthread_should_stop())
		barrier();
}

static noinline void c_use_mm(struct bench *b)
{
	kthread_use_mm(b->mm);
	barrier();
	kthread_unuse_mm(b->mm);
}

static noinline void c_pid_clone(struct bench *b)
{
	struct pid *pid = get_pid(READ_ONCE(b->pid));

	barrier();
	put_pid(pid);
}

static noinline void c_pid_of_task(struct bench *b)
{
	struct pid *pid = get_task_pid(b->task, PIDTYPE_PID);

	if (pid) {
		barrier();
		put_pid(pid);
	}
}

static noinline void c_pid_find(struct bench *b)
{
	struct pid *pid = find_get_pid(1);

	if (pid) {
		barrier();
		put_pid(pid);
	}
}

static noinline void c_pid_task(struct bench *b)
{
	struct task_struct *task = get_pid_task(b->pid, PIDTYPE_PID);

	if (task) {
		barrier();
		put_task_struct(task);
	}
}

static noinline void c_pid_nr(struct bench *b)
{
	use(pid_nr_ns(b->pid, b->ns));
}

static noinline void c_group_each(struct bench *b)
{
	struct task_struct *task;
	struct pid *pid;
	int nr = 0;

	do {
		task = NULL;
		rcu_read_lock();
		while (!task && (pid = find_ge_pid(nr + 1, b->ns))) {
			nr = pid_nr_ns(pid, b->ns);
			task = pid_task(pid, PIDTYPE_TGID);
		}
		if (task)
			get_task_struct(task);
		rcu_read_unlock();
		if (task) {
			use(task);
			put_task_struct(task);
		}
	} while (task);
}

static noinline void c_thread_each(struct bench *b)
{
	struct task_struct *task, *next;

	rcu_read_lock();
	task = list_first_or_null_rcu(&b->task->signal->thread_head,
				      struct task_struct, thread_node);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	while (task) {
		rcu_read_lock();
		next = pid_alive(task) ? __next_thread(task) : NULL;
		if (next)
			get_task_struct(next);
		rcu_read_unlock();
		use(task);
		put_task_struct(task);
		task = next;
	}
}

/* The vm_private_data of a C driver. */
struct c_data {
	struct page *page;
};

static struct c_data c_data;

static vm_fault_t c_fault_handler(struct vm_fault *vmf)
{
	struct c_data *data = vmf->vma->vm_private_data;

	get_page(data->page);
	vmf->page = data->page;
	return 0;
}

static const struct vm_operations_struct c_vm_ops = {
	.fault = c_fault_handler,
};

static noinline void c_vma_file(struct bench *b)
{
	struct vm_area_struct *vma = b->device;

	use(vma_pages(vma));
	if (vma->vm_file)
		use(vma->vm_file);
}

static noinline void c_vma_typed(struct bench *b)
{
	struct vm_area_struct *vma = b->vma;

	if (READ_ONCE(vma->vm_ops) == &c_vm_ops)
		use(vma);
}

/* Calls both handlers, as __do_fault() does. */
static void call_fault(struct vm_area_struct *vma)
{
	struct vm_fault vmf = { .vma = vma };

	if (!vma->vm_ops->fault(&vmf))
		put_page(vmf.page);
}

static noinline void c_fault(struct bench *b)
{
	call_fault(b->c_faults);
}

static noinline void rust_fault(struct bench *b)
{
	call_fault(b->rust_faults);
}

static int mmap_faults(struct vm_area_struct *vma)
{
	switch (vma->vm_pgoff) {
	case C_FAULTS:
		vm_flags_set(vma, VM_DONTEXPAND);
		vma->vm_private_data = &c_data;
		vma->vm_ops = &c_vm_ops;
		return 0;
	case RUST_FAULTS:
		return rust_mmap(vma);
	}
	return -EINVAL;
}
#else
static int mmap_faults(struct vm_area_struct *vma)
{
	return -EINVAL;
}
#endif

/* Fails with EBUSY, after all steps of an insertion, as a page is mapped. */
static noinline void c_page_insert(struct bench *b)
{
	int err = vm_insert_page(b->device, b->device->vm_start, b->page);

	if (err)
		use(err);
}

struct row {
	const char *name;
	operation *c;
	operation *rust;
};

#define row(name, id) { name, c_##id, rust_##id }

static const struct row rows[] = {
	row("current", current),
	row("current's PID", current_pid),
	row("current's TGID", current_tgid),
	row("current's group leader", current_leader),
	row("current's mm", current_mm),
	row("current's active PID namespace", current_ns),
	row("current's EUID", current_euid),
	row("a task's PID", task_pid),
	row("a task's TGID", task_tgid),
	row("a task's UID", task_uid),
	row("a task's TGID in the initial PID namespace", task_tgid_nr),
	row("a task's TGID in a PID namespace", task_tgid_nr_ns),
	row("a task's PID namespace: get and put", task_get_ns),
	row("signal_pending()", signal_pending),
	row("wake_up_process(), running", wake_up),
	row("a task's UID is current's EUID", same_user),
	row("EUID in the current user namespace", uid_in_ns),
	row("task: clone and drop", task_clone),
	row("mm: clone and drop", mm_clone),
	row("mm with users: clone and drop", mm_users),
	row("mm with users: clone, drop asynchronously", mm_users_async),
	row("mmget_not_zero() and drop", mm_not_zero),
	row("PID namespace: clone and drop", ns_clone),
	row("mmap read trylock and unlock", mmap_trylock),
	row("lock_vma_under_rcu() and unlock", vma_lock),
#ifdef CONFIG_RUST_TASK_BENCH
	row("a task's parent: get and put", task_parent),
	row("a task's nice value", task_nice),
	row("a task's CPU", task_cpu),
	row("a task's start time", task_start),
	row("a task's exit state", task_exit_state),
	row("a task's RLIMIT_MEMLOCK", task_rlimit),
	row("get_task_cred() and drop", task_cred),
	row("current's credentials", cred),
	row("from_kuid()", uid),
	row("make_kuid()", kuid),
	row("user namespace: clone and drop", user_ns),
	row("capable()", capable),
	row("ns_capable()", ns_capable),
	row("ns_capable_noaudit()", ns_capable_noaudit),
	row("current's UID", current_uid),
	row("current's FSUID", current_fsuid),
	row("from_kuid_munged()", uid_munged),
	row("in_compat_syscall()", compat),
	row("set_user_nice(), same value", set_nice),
	row("memalloc_noio_save() and restore", noio),
	row("need_resched()", need_resched),
	row("wait, the condition is true", wait),
	row("wake_up() of an empty queue", queue_wake_up),
	row("wq_has_sleeper() of an empty queue", queue_has_sleeper),
	row("struct pid: clone and drop", pid_clone),
	row("get_task_pid() and drop", pid_of_task),
	row("find_get_pid(1) and drop", pid_find),
	row("get_pid_task() and drop", pid_task),
	row("pid_nr_ns()", pid_nr),
	row("each thread group: get and put", group_each),
	row("each thread of a thread group: get and put", thread_each),
#endif
};

/* Run with the mmap lock held. */
static const struct row vma_rows[] = {
	row("start, end, flags and mm of a VMA", vma_fields),
#ifdef CONFIG_RUST_TASK_BENCH
	row("pages and file of a VMA", vma_file),
	row("is a VMA the driver's", vma_typed),
	row("fault handler that returns a page", fault),
#endif
	row("vm_insert_page(), EBUSY", page_insert),
};

/* Run with interrupts enabled, as they may sleep. */
static const struct row sleeping_rows[] = {
	row("mmap read lock and unlock", mmap_lock),
	row("mmap read lock, vma_lookup(), unlock", vma_lookup),
#ifdef CONFIG_RUST_TASK_BENCH
	row("mmap write lock and unlock", mmap_write_lock),
	row("mmap read lock, each VMA, unlock", vma_each),
	row("cond_resched()", cond_resched),
	row("wait_event(), the condition is true", wait_event),
	row("wait_event_exclusive(), the condition is true",
	    wait_event_exclusive),
	row("get_task_mm() and drop", task_mm),
	row("remote memory: read 4 KiB", remote_read),
	row("remote memory: write 4 KiB", remote_write),
	row("pin and unpin a page, long-term", pin),
	row("pin and unpin 512 pages, long-term", pin_many),
	row("pin and unpin a page, short", pin_short),
	row("mmu_interval_read_begin() and read_retry()", read_section),
#endif
};

typedef u64 measure(operation *what, struct bench *b, u32 rounds);

/* Returns the ticks of all rounds, with interrupts disabled. */
static noinline u64 ticks(operation *what, struct bench *b, u32 rounds)
{
	unsigned long flags;
	u64 begin, end;

	/* Warm up. */
	what(b);
	local_irq_save(flags);
	begin = counter_read();
	while (rounds--)
		what(b);
	end = counter_read();
	local_irq_restore(flags);

	return end - begin;
}

static void clean_up(struct bench *b)
{
	if (b->page)
		__free_page(b->page);
#ifdef CONFIG_RUST_TASK_BENCH
	if (b->rust_mirror)
		rust_mirror_free(b->rust_mirror);
	if (b->c_mirror)
		c_mirror_free(b->c_mirror);
	if (b->user && !IS_ERR_VALUE(b->user))
		vm_munmap(b->user, PINNED * PAGE_SIZE);
	kfree(b->buffer);
#endif
}

static int prepare(struct bench *b)
{
	b->task = current;
	b->mm = current->mm;
	b->ns = task_active_pid_ns(current);
	if (!b->mm)
		return -ESRCH;
	b->addr = b->mm->start_stack;
	b->pid = task_pid(current);
	b->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
#ifdef CONFIG_RUST_TASK_BENCH
	b->rust_queue = rust_queue;
	b->c_queue = &c_queue;
	b->buffer = kzalloc(PAGE_SIZE, GFP_KERNEL);
	b->user = vm_mmap(NULL, 0, PINNED * PAGE_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, 0);
	if (!b->buffer || IS_ERR_VALUE(b->user)) {
		clean_up(b);
		return -ENOMEM;
	}
	b->c_mirror = c_mirror_create(b->user, PINNED * PAGE_SIZE);
	b->rust_mirror = rust_mirror_create(b->user, PINNED * PAGE_SIZE);
	if (!b->c_mirror || !b->rust_mirror) {
		clean_up(b);
		return -ENOMEM;
	}
#endif
	return b->page ? 0 : -ENOMEM;
}

/* Looks up the VMAs. The caller holds the mmap lock. */
static bool find_vmas(struct bench *b, const struct state *state)
{
	b->vma = vma_lookup(b->mm, b->addr);
	b->device = vma_lookup(b->mm, state->start[DEVICE]);
	if (!b->vma || !b->device || !(b->device->vm_flags & VM_MIXEDMAP))
		return false;
#ifdef CONFIG_RUST_TASK_BENCH
	b->c_faults = vma_lookup(b->mm, state->start[C_FAULTS]);
	b->rust_faults = vma_lookup(b->mm, state->start[RUST_FAULTS]);
	return b->c_faults && b->c_faults->vm_ops == &c_vm_ops &&
	       b->rust_faults && b->rust_faults->vm_file == b->device->vm_file &&
	       b->rust_faults->vm_ops && b->rust_faults->vm_ops->fault;
#else
	return true;
#endif
}

static void show(struct seq_file *m, struct bench *b, const struct row *row,
		 size_t count, measure *measure)
{
	u64 c = measure(c_empty, b, ROUNDS);
	u64 rust = measure(rust_empty, b, ROUNDS);

	for (; count; row++, count--)
		seq_printf(m, "%s\t%lld\t%lld\n", row->name,
			   measure(row->c, b, ROUNDS) - c,
			   measure(row->rust, b, ROUNDS) - rust);
}

/*
 * Returns the ticks of the fastest round, multiplied by the number of rounds.
 * For operations that need interrupts enabled: some rounds are interrupted.
 */
static noinline u64 least_ticks(operation *what, struct bench *b, u32 rounds)
{
	u64 least = U64_MAX;

	what(b);
	for (u32 i = 0; i < rounds; i++) {
		u64 begin = counter_read();

		what(b);
		least = min(least, counter_read() - begin);
	}
	return least * rounds;
}

#ifdef CONFIG_RUST_TASK_BENCH
/* Run in a kthread. */
static const struct row kthread_rows[] = {
	row("kthread_use_mm() and kthread_unuse_mm()", use_mm),
	row("kthread_should_stop()", should_stop),
};

struct kthread_args {
	struct seq_file *m;
	struct bench *b;
};

static void kthread_show(void *data, const void *kthread)
{
	struct kthread_args *this = data;

	this->b->kthread = kthread;
	show(this->m, this->b, kthread_rows, ARRAY_SIZE(kthread_rows),
	     least_ticks);
}

static int show_kthread_rows(struct seq_file *m, struct bench *b)
{
	struct kthread_args this = { .m = m, .b = b };

	return rust_call_in_kthread(kthread_show, &this);
}
#else
static int show_kthread_rows(struct seq_file *m, struct bench *b)
{
	return 0;
}
#endif

static int rust_task_bench_show(struct seq_file *m, void *unused)
{
	struct bench b = {};
	int err = prepare(&b);

	if (err)
		return err;

	seq_printf(m, "rounds\t%d\n", ROUNDS);
	mmap_read_lock(b.mm);
	if (find_vmas(&b, m->private))
		show(m, &b, vma_rows, ARRAY_SIZE(vma_rows), ticks);
	else
		err = -ENOENT;
	mmap_read_unlock(b.mm);
	if (!err) {
		show(m, &b, rows, ARRAY_SIZE(rows), ticks);
		show(m, &b, sleeping_rows, ARRAY_SIZE(sleeping_rows),
		     least_ticks);
		err = show_kthread_rows(m, &b);
	}

	clean_up(&b);
	return err;
}

#ifdef CONFIG_RUST_TASK_BENCH
/* As ticks(), with interrupts enabled, so that other tasks can take the locks. */
static noinline u64 ticks_irqs_on(operation *what, struct bench *b, u32 rounds)
{
	u64 begin;

	what(b);
	begin = counter_read();
	while (rounds--)
		what(b);
	return counter_read() - begin;
}

/* Runs one operation for the requested number of rounds. */
static int run(struct rust_task_bench_run *run, const struct state *state)
{
	measure *count = run->irqs_off ? ticks : ticks_irqs_on;
	bool of_vmas = run->row < ARRAY_SIZE(vma_rows);
	struct bench b = {};
	const struct row *row;
	u32 i = run->row;
	int err;

	if (of_vmas) {
		row = &vma_rows[i];
	} else if (i - ARRAY_SIZE(vma_rows) < ARRAY_SIZE(rows)) {
		row = &rows[i - ARRAY_SIZE(vma_rows)];
	} else {
		i -= ARRAY_SIZE(vma_rows) + ARRAY_SIZE(rows);
		if (i >= ARRAY_SIZE(sleeping_rows))
			return -ENOENT;
		row = &sleeping_rows[i];
		count = ticks_irqs_on;
	}

	err = prepare(&b);
	if (err)
		return err;
	if (of_vmas) {
		mmap_read_lock(b.mm);
		if (!find_vmas(&b, state))
			err = -ENXIO;
	}
	if (!err) {
		u64 c = count(c_empty, &b, run->rounds);
		u64 rust = count(rust_empty, &b, run->rounds);

		run->c = count(row->c, &b, run->rounds) - c;
		run->rust = count(row->rust, &b, run->rounds) - rust;
		strscpy_pad(run->name, row->name);
	}
	if (of_vmas)
		mmap_read_unlock(b.mm);
	clean_up(&b);
	return err;
}

/* GET_INFO of the sample driver, in C. */
static int get_info(void __user *to)
{
	struct rust_task_bench_info info = {
		.pid = current->pid,
		.tgid = current->tgid,
		.uid = from_kuid(current_user_ns(), task_uid(current)),
		.euid = from_kuid(current_user_ns(), current_euid()),
		.leader = current->group_leader->pid,
		.nr = task_tgid_nr_ns(current, task_active_pid_ns(current)),
		.has_mm = !!current->mm,
		.signal_pending = signal_pending(current),
	};

	return copy_to_user(to, &info, sizeof(info)) ? -EFAULT : 0;
}

static long rust_task_bench_ioctl(struct file *file, unsigned int cmd,
				  unsigned long arg)
{
	struct seq_file *m = file->private_data;
	struct rust_task_bench_run request;
	void __user *user = (void __user *)arg;
	int err;

	switch (cmd) {
	case RUST_TASK_BENCH_INFO:
		return get_info(user);
	case RUST_TASK_BENCH_RUN:
		break;
	default:
		return -ENOTTY;
	}

	if (copy_from_user(&request, user, sizeof(request)))
		return -EFAULT;
	err = run(&request, m->private);
	if (err)
		return err;
	return copy_to_user(user, &request, sizeof(request)) ? -EFAULT : 0;
}
#endif

static int rust_task_bench_open(struct inode *inode, struct file *file)
{
	struct state *state = kzalloc(sizeof(*state), GFP_KERNEL);
	int err;

	if (!state)
		return -ENOMEM;
	/* misc_open() has stored the miscdevice here; single_open() needs NULL. */
	file->private_data = NULL;
	err = single_open_size(file, rust_task_bench_show, state, SZ_16K);
	if (err)
		kfree(state);
	return err;
}

static int rust_task_bench_release(struct inode *inode, struct file *file)
{
	struct seq_file *m = file->private_data;

	kfree(m->private);
	return single_release(inode, file);
}

/* Userspace must map one page of each VMA before it reads from the file. */
static int rust_task_bench_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct seq_file *m = file->private_data;
	struct state *state = m->private;
	int err = 0;

	if (vma->vm_pgoff == DEVICE)
		vm_flags_set(vma, VM_MIXEDMAP);
	else
		err = mmap_faults(vma);
	if (!err)
		state->start[vma->vm_pgoff] = vma->vm_start;
	return err;
}

static const struct file_operations rust_task_bench_fops = {
	.owner = THIS_MODULE,
	.open = rust_task_bench_open,
	.mmap = rust_task_bench_mmap,
	.read = seq_read,
	.llseek = seq_lseek,
#ifdef CONFIG_RUST_TASK_BENCH
	.unlocked_ioctl = rust_task_bench_ioctl,
#endif
	.release = rust_task_bench_release,
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

#ifdef CONFIG_RUST_TASK_BENCH
static void free_data(void)
{
	if (c_data.page)
		__free_page(c_data.page);
	if (rust_queue)
		rust_queue_free(rust_queue);
}

static int create_data(void)
{
	c_data.page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	rust_queue = rust_queue_create();
	if (c_data.page && rust_queue)
		return 0;
	free_data();
	return -ENOMEM;
}
#else
static void free_data(void)
{
}

static int create_data(void)
{
	return 0;
}
#endif

static int __init rust_task_bench_init(void)
{
	int err = create_data();

	if (err)
		return err;
	counter_enable();
	err = misc_register(&rust_task_bench_device);
	if (err)
		free_data();
	return err;
}
module_init(rust_task_bench_init);

static void __exit rust_task_bench_exit(void)
{
	misc_deregister(&rust_task_bench_device);
	free_data();
}
module_exit(rust_task_bench_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Cost of the Rust abstractions, compared with C");
