// SPDX-License-Identifier: GPL-2.0
/*
 * The idioms of c-to-rust.rst in C. idioms.rs has the same in Rust, and a test
 * compares the results.
 */

#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uidgid.h>
#include <linux/wait.h>

/* begin file */
struct idioms {
	struct page *page;
	struct mutex lock;	/* protects total */
	u32 total;
	wait_queue_head_t waiters;
	bool ready;
};

static int idioms_open(struct inode *inode, struct file *file)
{
	struct idioms *me = kzalloc(sizeof(*me), GFP_KERNEL);

	if (!me)
		return -ENOMEM;
	me->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!me->page) {
		kfree(me);
		return -ENOMEM;
	}
	mutex_init(&me->lock);
	init_waitqueue_head(&me->waiters);
	file->private_data = me;
	return 0;
}

static int idioms_release(struct inode *inode, struct file *file)
{
	struct idioms *me = file->private_data;

	put_page(me->page);
	kfree(me);
	return 0;
}

/* end */

/* begin tgid */
static long tgid(void)
{
	return task_tgid_vnr(current);
}

/* end */

/* begin parent */
static long parent(void)
{
	struct task_struct *task;
	long tgid;

	rcu_read_lock();
	task = rcu_dereference(current->real_parent);
	get_task_struct(task);
	rcu_read_unlock();

	tgid = task_tgid_vnr(task);
	put_task_struct(task);
	return tgid;
}

/* end */

/* begin find */
static long is_kthread(pid_t nr)
{
	struct task_struct *task;
	struct pid *pid;
	long result;

	pid = find_get_pid(nr);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return -ESRCH;

	result = !!(task->flags & PF_KTHREAD);
	put_task_struct(task);
	return result;
}

/* end */

/* begin euid */
static long euid(void)
{
	return from_kuid(current_user_ns(), current_euid());
}

/* end */

/* begin vmas */
static long count_vmas(void)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	struct vma_iterator vmi;
	long count = 0;

	if (!mm)
		return -ESRCH;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma_iter_init(&vmi, mm, 0);
	for_each_vma(vmi, vma)
		count++;
	mmap_read_unlock(mm);
	return count;
}

/* end */

/* begin fault */
static vm_fault_t idioms_fault(struct vm_fault *vmf)
{
	struct idioms *me = vmf->vma->vm_private_data;

	if (vmf->pgoff != 0)
		return VM_FAULT_SIGBUS;
	get_page(me->page);
	vmf->page = me->page;
	return 0;
}

static const struct vm_operations_struct idioms_vm_ops = {
	.fault = idioms_fault,
};

static int idioms_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff != 0 || vma_pages(vma) != 1)
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND);
	/* The VMA holds a reference on the file, and the file holds the page. */
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &idioms_vm_ops;
	return 0;
}

/* end */

/* begin own */
static long is_own(struct idioms *me, unsigned long addr)
{
	struct mm_struct *mm = current->mm;
	struct vm_area_struct *vma;
	long result;

	if (!mm)
		return -ESRCH;
	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, addr);
	if (!vma)
		result = -EFAULT;
	else
		result = vma->vm_ops == &idioms_vm_ops && vma->vm_private_data == me;
	mmap_read_unlock(mm);
	return result;
}

/* end */

/* begin mm */
static long later(void)
{
	struct mm_struct *mm = current->mm;
	long pages = -ESRCH;

	if (!mm)
		return -ESRCH;
	/* Can be stored: the process may exit, and its memory is freed. */
	mmgrab(mm);
	/* Later, when the memory is needed. */
	if (mmget_not_zero(mm)) {
		pages = READ_ONCE(mm->total_vm);
		mmput(mm);
	}
	mmdrop(mm);
	return pages;
}

/* end */

/* begin pin */
static long first_byte(unsigned long addr)
{
	struct page *page;
	int pinned;
	char byte;

	pinned = pin_user_pages_fast(addr, 1, 0, &page);
	if (pinned < 0)
		return pinned;
	if (pinned != 1)
		return -EFAULT;
	memcpy_from_page(&byte, page, offset_in_page(addr), 1);
	unpin_user_page(page);
	return (u8)byte;
}

/* end */

/* begin user */
static long increment(u32 __user *at)
{
	u32 value;

	if (copy_from_user(&value, at, sizeof(value)))
		return -EFAULT;
	value++;
	if (copy_to_user(at, &value, sizeof(value)))
		return -EFAULT;
	return 0;
}

/* end */

/* begin kthread */
static int until_stopped(void *data)
{
	for (;;) {
		set_current_state(TASK_IDLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static long run_kthread(void)
{
	struct task_struct *thread;

	thread = kthread_run(until_stopped, NULL, "idioms_c");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	kthread_stop(thread);
	return 0;
}

/* end */

/* begin wait */
static long wait(struct idioms *me, long timeout)
{
	long left;

	/* Pairs with the release in wake(). */
	left = wait_event_killable_timeout(me->waiters, smp_load_acquire(&me->ready), timeout);
	if (left < 0)
		return left;
	return left ? 0 : -ETIME;
}

static long wake(struct idioms *me)
{
	/* What was stored before is visible to the task that wakes up. */
	smp_store_release(&me->ready, true);
	wake_up(&me->waiters);
	return 0;
}

/* end */

/* begin mutex */
static long add(struct idioms *me, u32 value)
{
	long total = -EOVERFLOW;

	mutex_lock(&me->lock);
	if (value <= INT_MAX - me->total) {
		me->total += value;
		total = me->total;
	}
	mutex_unlock(&me->lock);
	return total;
}

/* end */

/* The numbers of the ioctls, as in idioms.rs. */
static long idioms_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct idioms *me = file->private_data;

	switch (_IOC_NR(cmd)) {
	case 0:
		return tgid();
	case 1:
		return parent();
	case 2:
		return is_kthread(arg);
	case 3:
		return euid();
	case 4:
		return count_vmas();
	case 5:
		return is_own(me, arg);
	case 6:
		return later();
	case 7:
		return first_byte(arg);
	case 8:
		return increment((u32 __user *)arg);
	case 9:
		return run_kthread();
	case 10:
		return wait(me, arg);
	case 11:
		return wake(me);
	case 12:
		return add(me, arg);
	default:
		return -ENOTTY;
	}
}

static const struct file_operations idioms_fops = {
	.owner = THIS_MODULE,
	.open = idioms_open,
	.release = idioms_release,
	.unlocked_ioctl = idioms_ioctl,
	.mmap = idioms_mmap,
};

static struct miscdevice idioms_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "idioms_c",
	.fops = &idioms_fops,
};
module_misc_device(idioms_misc);

MODULE_DESCRIPTION("The idioms of c-to-rust.rst in C");
MODULE_LICENSE("GPL");
