// SPDX-License-Identifier: GPL-2.0

//! Messages between processes, in the way of Binder: a message is copied once, from the memory of
//! the sender to pages that the receiver has mapped.
//!
//! A process opens `/dev/rust_mailbox` and maps the file for reading. This mapping is its window,
//! which has no pages at first. `BIND` gives the mailbox a port. Another process names the receiver
//! by its PID or by a pidfd, and the port: `SEND` takes pages of the window, copies the message
//! there and queues it. `RECEIVE` tells the receiver where the message is and from which process.
//! `RELEASE` makes the pages free for another message. They stay mapped until the kernel needs
//! memory. `rust_mailbox_abi.rs` has the ioctls. There is no `unsafe` code.
//!
//! The VMA of a window owns an `Arc<Mailbox>` (`vm_private_data`) and a reference to the file, and
//! that has one to the module. So the module stays loaded while there is a file or a window. A
//! window ends with its VMA, by `munmap()`, `execve()` or exit. A file has one window in its life.
//!
//! Locks are taken in this order: the VMA lock or the mmap lock of the receiver (for reading, by a
//! sender that maps pages; also C code holds one of them when it calls `close()`), then
//! `Shared::directory`, then `Mailbox::state`. These two and `Shared::charged` are spinlocks, as
//! each is held for some instructions. No memory is allocated meanwhile, so the shrinker, which any
//! allocation may call, can take them. It does not wait for the first ones, as the task that
//! allocates may hold them. Nothing is locked while the driver accesses userspace memory: a page
//! fault takes the mmap lock, and may wait for as long as userspace likes (`userfaultfd()`, FUSE).

use kernel::{
    c_str,
    cdev,
    cdev::CharDeviceRegistration,
    cred::Credential,
    fs::file,
    fs::file::File,
    impl_has_vm_ops,
    ioctl,
    mm,
    mm::vm_ops,
    new_spinlock,
    page::PAGE_SIZE,
    pid,
    prelude::*,
    rbtree::RBTree,
    rbtree::RBTreeNodeReservation,
    security::SecurityCtx,
    shrinker,
    shrinker::ShrinkControl,
    sync::aref::ARef,
    sync::atomic::Atomic,
    sync::atomic::Relaxed,
    sync::Arc,
    sync::ArcBorrow,
    sync::SpinLock,
    task,
    task::poll_events::*,
    task::FilePollTable,
    time::msecs_to_jiffies,
    types::ScopeGuard,
    uaccess::UserSlice, //
};

#[path = "rust_mailbox_abi.rs"]
mod abi;

module! {
    type: MailboxModule,
    name: "rust_mailbox",
    description: "Messages between processes",
    license: "GPL",
}

const BIND: u32 = ioctl::_IOW::<u32>(abi::MAGIC, abi::BIND);
const SEND: u32 = ioctl::_IOW::<abi::Send>(abi::MAGIC, abi::SEND);
const RECEIVE: u32 = ioctl::_IOWR::<abi::Received>(abi::MAGIC, abi::RECEIVE);
const RELEASE: u32 = ioctl::_IOW::<u64>(abi::MAGIC, abi::RELEASE);
const STATS: u32 = ioctl::_IOR::<abi::Stats>(abi::MAGIC, abi::STATS);

/// The numbers of messages, of pages in all windows, and of pages in slots that are not taken.
static MESSAGES: Atomic<usize> = Atomic::new(0);
static PAGES: Atomic<usize> = Atomic::new(0);
static FREE: Atomic<usize> = Atomic::new(0);

struct MailboxModule {
    _device: Pin<KBox<CharDeviceRegistration<Mailbox>>>,
    _shrinker: Pin<KBox<shrinker::ShrinkerRegistration<Shared>>>,
}

impl kernel::Module for MailboxModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        // A misc device has no data that its files share.
        let options = cdev::CharDeviceOptions {
            name: c_str!("rust_mailbox"),
            class: None,
            minors: 1,
        };
        let shared = pin_init!(Shared {
            directory <- new_spinlock!(RBTree::new()),
            charged <- new_spinlock!(RBTree::new()),
        });
        let shared = Arc::pin_init(shared, GFP_KERNEL)?;
        let name = format_args!("rust_mailbox");
        let shrinker = shrinker::ShrinkerRegistration::register(name, shared.clone());
        let device = CharDeviceRegistration::register(options, shared);
        Ok(Self {
            _shrinker: KBox::pin_init(shrinker, GFP_KERNEL)?,
            _device: KBox::pin_init(device, GFP_KERNEL)?,
        })
    }
}

/// What all mailboxes share.
#[pin_data]
struct Shared {
    /// The mailboxes that have an address. A mailbox leaves it when its window ends, so the two do
    /// not keep each other.
    #[pin]
    directory: SpinLock<RBTree<Key, Arc<Mailbox>>>,
    /// What users are charged for messages that are not released. The key is the value of the
    /// `Kuid`, which is the same in each user namespace.
    #[pin]
    charged: SpinLock<RBTree<u32, usize>>,
}

/// The address of the `struct pid` of a process, and a port. The mailbox keeps the `struct pid`, so
/// no other one has this address. A `pid_t` depends on the PID namespace, and is used again.
type Key = (usize, u64);

/// What a user is charged for a message, until the drop.
struct Charge {
    shared: Arc<Shared>,
    user: u32,
    pages: usize,
}

impl Charge {
    /// Charges the real user of the caller, as resource limits do.
    fn new(shared: Arc<Shared>, pages: usize) -> Result<Self> {
        let user = current!().cred().uid().into_raw().val;
        let node = RBTreeNodeReservation::new(GFP_KERNEL)?;
        let mut all = shared.charged.lock();
        let charged = all.get(&user).map_or(0, |n| *n) + abi::OVERHEAD + pages * PAGE_SIZE;
        if charged > abi::QUOTA {
            return Err(EDQUOT);
        }
        // This replaces the node of the user, if there is one.
        all.insert(node.into_node(user, charged));
        drop(all);
        MESSAGES.fetch_add(1, Relaxed);
        Ok(Self {
            shared,
            user,
            pages,
        })
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        MESSAGES.fetch_sub(1, Relaxed);
        let mut all = self.shared.charged.lock();
        if let Some(charged) = all.get_mut(&self.user) {
            *charged -= abi::OVERHEAD + self.pages * PAGE_SIZE;
            if *charged == 0 {
                all.remove(&self.user);
            }
        }
    }
}

/// A page of a window, zeroed when it is allocated. It never becomes one of another window, so a
/// receiver sees nothing but what was sent to it.
struct WindowPage(mm::UserPage);

impl Drop for WindowPage {
    fn drop(&mut self) {
        PAGES.fetch_sub(1, Relaxed);
    }
}

/// A place for a page in a window.
///
/// Its page is mapped at its address, unless the receiver has discarded it by `madvise()`. There is
/// no page fault handler, so an access raises `SIGBUS` then.
#[derive(Default)]
struct Slot {
    page: Option<WindowPage>,
    /// A message, its sender or the shrinker owns the page, and needs no lock to access it.
    is_taken: bool,
}

impl Slot {
    fn take_page(&mut self) -> Option<WindowPage> {
        self.page.take().inspect(|_| _ = FREE.fetch_sub(1, Relaxed))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.take_page();
    }
}

struct Window {
    /// This keeps only the `mm_struct`, and a sender upgrades it to map pages. An
    /// `ARef<MmWithUser>` would keep the VMA, which keeps the mailbox: none would ever be freed.
    mm: ARef<mm::Mm>,
    start: usize,
    slots: KVec<Slot>,
    /// The messages that are not released, by ID. The IDs are in the order of the messages.
    messages: RBTree<u64, Message>,
    /// The IDs of the next message to be received, and of the next one to be sent.
    head: u64,
    tail: u64,
}

struct Message {
    about: Description,
    pages: KVec<Option<WindowPage>>,
    _charge: Charge,
}

/// What the receiver learns of a message. It sees the IDs as its namespaces have them.
#[derive(Clone)]
struct Description {
    /// The index of the first slot.
    first: usize,
    len: usize,
    /// A `pid_t` may be that of another process by now, and an `ARef<Task>` would keep more memory.
    sender: ARef<pid::Pid>,
    /// Its effective UID and its label.
    cred: ARef<Credential>,
}

impl Window {
    /// Takes consecutive slots, one for each element of `pages`, and moves their pages there.
    /// Returns the index of the first slot, or `None` if there are not as many.
    fn take(&mut self, pages: &mut [Option<WindowPage>]) -> Option<usize> {
        let (mut run, len) = (0, pages.len());
        let is_last = |slot: &Slot| {
            run = if slot.is_taken { 0 } else { run + 1 };
            run == len
        };
        // The first fit is likely to have pages already.
        let first = match len {
            0 => 0,
            _ => self.slots.iter().position(is_last)? + 1 - len,
        };
        for (slot, page) in self.slots[first..].iter_mut().zip(pages) {
            slot.is_taken = true;
            *page = slot.take_page();
        }
        Some(first)
    }

    /// Does the reverse of `take()`.
    fn put(&mut self, first: usize, pages: &mut [Option<WindowPage>]) {
        for (slot, page) in self.slots[first..].iter_mut().zip(pages) {
            slot.page = page.take();
            FREE.fetch_add(usize::from(slot.page.is_some()), Relaxed);
            slot.is_taken = false;
        }
    }
}

/// An open file, and the `vm_private_data` of its VMA.
#[pin_data]
struct Mailbox {
    shared: Arc<Shared>,
    #[pin]
    state: SpinLock<State>,
    /// Those that wait for a message. A `CondVar` has neither `poll()` nor a freezable wait.
    #[pin]
    readers: task::WaitQueue,
    /// Those that wait for free slots.
    #[pin]
    writers: task::WaitQueue,
}

#[derive(Default)]
struct State {
    /// Whether there is or was a window.
    is_mapped: bool,
    window: Option<Window>,
    address: Option<(Key, ARef<pid::Pid>)>,
}

impl State {
    /// Returns the window if it is one of the caller.
    ///
    /// A child inherits the file. It may send by it, but not take the messages of its parent.
    fn own_window(&mut self) -> Result<&mut Window> {
        let window = self.window.as_mut().ok_or(ENXIO)?;
        let is_own = current!().mm().is_some_and(|mm| **mm == *window.mm);
        is_own.then_some(window).ok_or(EPERM)
    }
}

impl_has_vm_ops!(Mailbox);

#[vtable]
impl vm_ops::VmOperations for Mailbox {
    type Hook = vm_ops::MmapHook;

    fn close(vma: &vm_ops::InactiveVma<Self>) {
        vma.data().close_window(vma.start());
    }

    /// The window stays whole, and where it is: a slot has one address. `munmap()` of a part fails.
    fn may_split(_vma: &vm_ops::DriverVma<Self>, _address: usize) -> Result {
        Err(EINVAL)
    }

    /// `mremap()` moves the pages back and closes the new VMA.
    fn mremap(_vma: &vm_ops::DriverVma<Self>) -> Result {
        Err(EINVAL)
    }
}

#[vtable]
impl cdev::CharDevice for Mailbox {
    type Ptr = Arc<Self>;
    type Data = Arc<Shared>;

    fn open(_file: &File, device: &CharDeviceRegistration<Self>, _minor: u32) -> Result<Arc<Self>> {
        let init = pin_init!(Self {
            shared: device.data().clone(),
            state <- new_spinlock!(State::default()),
            readers <- task::WaitQueue::new(),
            writers <- task::WaitQueue::new(),
        });
        Arc::pin_init(init, GFP_KERNEL)
    }

    fn mmap(me: ArcBorrow<'_, Self>, _file: &File, vma: &mm::virt::VmaNew) -> Result {
        if vma.pgoff() != 0 || vma.vma_pages() > abi::MAX_PAGES {
            return Err(EINVAL);
        }
        // The receiver reads only. These fail if it has asked for more.
        vma.try_clear_maywrite()?;
        vma.try_clear_mayexec()?;
        // A child does not inherit the window. `VM_IO` keeps `madvise()` from changing that, and
        // others from pinning a page that is used for the next message.
        vma.set_dontcopy();
        vma.set_io();
        vma.set_mixedmap();
        let mut slots = KVec::with_capacity(vma.vma_pages(), GFP_KERNEL_ACCOUNT)?;
        for _ in 0..vma.vma_pages() {
            slots.push(Slot::default(), GFP_KERNEL)?;
        }
        let window = Window {
            mm: ARef::from(&**vma.mm()),
            start: vma.start(),
            slots,
            messages: RBTree::new(),
            head: 0,
            tail: 0,
        };
        {
            let mut state = me.state.lock();
            if state.is_mapped {
                return Err(EBUSY);
            }
            state.is_mapped = true;
            state.window = Some(window);
        }
        // Last, as `close()` is called for each VMA that has the operations.
        vma.set_ops(Arc::from(me))
            .map(drop)
            .inspect_err(|_| me.close_window(vma.start()))
    }

    fn poll<'a>(me: ArcBorrow<'a, Self>, _file: &'a File, table: &mut FilePollTable<'a>) -> u32 {
        // Before the state is read, so that no wake-up is missed.
        table.poll_wait(&me.get_ref().readers);
        let state = me.state.lock();
        match &state.window {
            Some(window) if window.head != window.tail => EPOLLIN | EPOLLRDNORM,
            None if state.is_mapped => EPOLLHUP,
            _ => 0,
        }
    }

    fn ioctl(me: ArcBorrow<'_, Self>, file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let input = || user(arg, ioctl::_IOC_SIZE(cmd)).reader();
        let may_wait = file.flags() & file::flags::O_NONBLOCK == 0;
        let limit = if may_wait { u64::MAX } else { 0 };
        match cmd {
            BIND => bind(me, input().read::<u32>()?.into())?,
            SEND => me.send(input().read()?, limit)?,
            RECEIVE => me.receive(arg, limit)?,
            RELEASE => me.release(input().read()?)?,
            STATS => me.stats(arg)?,
            _ => return Err(ENOTTY),
        }
        Ok(0)
    }
}

fn user(addr: usize, len: usize) -> UserSlice {
    UserSlice::new(UserPtr::from_addr(addr), len)
}

/// Implements [`abi::BIND`].
fn bind(me: ArcBorrow<'_, Mailbox>, port: u64) -> Result {
    let process = current!().get_task_pid(pid::PidType::Tgid).ok_or(ESRCH)?;
    let node = RBTreeNodeReservation::new(GFP_KERNEL)?;
    let key = (process.as_ptr() as usize, port);

    // With both locks, as in `close_window()`: no mailbox without a window enters the directory.
    let mut directory = me.shared.directory.lock();
    let mut state = me.state.lock();
    state.own_window()?;
    if state.address.is_some() {
        return Err(EBUSY);
    }
    if directory.get(&key).is_some() {
        return Err(EEXIST);
    }
    state.address = Some((key, process));
    directory.insert(node.into_node(key, me.into()));
    Ok(())
}

impl Mailbox {
    /// Ends the window if it starts at `start`: the VMA of an `mremap()` that fails does not.
    fn close_window(&self, start: usize) {
        let mut directory = self.shared.directory.lock();
        let mut state = self.state.lock();
        if !matches!(&state.window, Some(window) if window.start == start) {
            return;
        }
        let window = state.window.take();
        let address = state.address.take();
        let entry = address.as_ref().and_then(|(key, _)| directory.remove(key));
        drop(state);
        drop(directory);
        self.readers.wake_up();
        self.writers.wake_up();
        // Without a lock: there may be many pages, and `mmdrop()` sleeps on PREEMPT_RT.
        drop((window, address, entry));
    }

    /// Waits until a condition of the state is true, for at most some milliseconds.
    fn wait<R>(
        &self,
        queue: &task::WaitQueue,
        msecs: u64,
        mut condition: impl FnMut(&mut State) -> Option<Result<R>>,
    ) -> Result<R> {
        let timeout = match u32::try_from(msecs) {
            // CAST: The result is at most half of `c_long::MAX`.
            Ok(msecs) => msecs_to_jiffies(msecs) as c_long,
            Err(_) => task::MAX_SCHEDULE_TIMEOUT,
        };
        // Any signal ends it, also one that kills. Suspend need not wait for it.
        let sleep = task::TaskState::InterruptibleFreezable;
        let mut state = self.state.lock();
        match queue.wait_event_lock(&mut state, sleep, timeout, |state| condition(state)) {
            Err(task::WaitError::Timeout) if msecs == 0 => Err(EAGAIN),
            result => result?,
        }
    }

    /// Calls `f` for the VMA of the window, which is locked meanwhile.
    fn with_vma(&self, wait: bool, f: impl FnOnce(&vm_ops::DriverVma<Self>) -> Result) -> Result {
        let (mm, start) = {
            let state = self.state.lock();
            let window = state.window.as_ref().ok_or(EPIPE)?;
            (window.mm.mmget_not_zero().ok_or(EPIPE)?, window.start)
        };
        // If the process exits meanwhile, a work item unmaps the window after the drop of `mm`.
        let locked = mm.lock_vma_under_rcu(start);
        let guard;
        let vma = match &locked {
            Some(vma) => vma.downcast(),
            None => {
                // Another process may hold it for long, so the wait is killable.
                guard = match wait {
                    true => mm.mmap_read_lock_killable()?,
                    false => mm.mmap_read_trylock().ok_or(EAGAIN)?,
                };
                guard.vma_lookup(start).and_then(|vma| vma.downcast())
            }
        };
        // By now, another mailbox may be mapped there.
        let is_own = |vma: &&vm_ops::DriverVma<Self>| core::ptr::eq(&*vma.data(), self);
        f(vma.filter(is_own).ok_or(EPIPE)?)
    }

    /// Implements [`abi::SEND`], whose arguments are the fields of [`abi::Send`].
    fn send(&self, [addr, len, port, to, flags]: [u64; 5], limit: u64) -> Result {
        let addr = usize::try_from(addr).map_err(|_| EFAULT)?;
        let len = usize::try_from(len).map_err(|_| EINVAL)?;
        let count = len.div_ceil(PAGE_SIZE);
        let to = i32::try_from(to).map_err(|_| ESRCH)?;
        if count > abi::MAX_PAGES || flags & !abi::PIDFD != 0 {
            return Err(EINVAL);
        }
        let (task, tgid) = (current!(), pid::PidType::Tgid);
        let receiver = match flags {
            // The PID in the PID namespace of the caller.
            0 => pid::Pid::find_get_pid(to).ok_or(ESRCH)?,
            _ => task.pidfd_get_task(to)?.get_task_pid(tgid).ok_or(ESRCH)?,
        };
        let key = (receiver.as_ptr() as usize, port);
        let found = self.shared.directory.lock().get(&key).cloned();
        let to = found.ok_or(ECONNREFUSED)?;
        let charge = Charge::new(self.shared.clone(), count)?;
        // Allocated now, for when the lock is held.
        let node = RBTreeNodeReservation::new(GFP_KERNEL)?;
        let mut pages = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
        for _ in 0..count {
            pages.push(None, GFP_KERNEL)?;
        }
        // The receiver may end after each step. If one fails, also as this process is killed, the
        // guard puts the pages back, without a part of the message.
        let take = |state: &mut State| match &mut state.window {
            None => Some(Err(EPIPE)),
            Some(window) if count > window.slots.len() => Some(Err(EINVAL)),
            Some(window) => window.take(&mut pages).map(Ok),
        };
        let first = to.wait(&to.writers, limit, take)?;
        let mut pages = ScopeGuard::new_with_data(pages, |mut pages| {
            for page in pages.iter_mut().flatten() {
                let _ = page.0.zero_range(0, PAGE_SIZE);
            }
            to.put_slots(first, &mut pages);
        });
        to.map_pages(first, &mut pages)?;
        // The receiver may see a part of the message already, but only of one for itself.
        let mut from = user(addr, len).reader();
        for page in pages.iter_mut().flatten() {
            let len = from.len().min(PAGE_SIZE);
            page.0.copy_from_user(0, &mut from, len)?;
            // The rest may be that of an earlier message.
            page.0.zero_range(len, PAGE_SIZE - len)?;
        }

        let about = Description {
            first,
            len,
            sender: task.get_task_pid(tgid).ok_or(ESRCH)?,
            cred: task.cred().into(),
        };
        let mut state = to.state.lock();
        let window = state.window.as_mut().ok_or(EPIPE)?;
        let pages = pages.dismiss();
        let message = Message {
            about,
            pages,
            _charge: charge,
        };
        window.messages.insert(node.into_node(window.tail, message));
        window.tail += 1;
        drop(state);
        to.readers.wake_up_poll(EPOLLIN | EPOLLRDNORM);
        Ok(())
    }

    /// Allocates the pages that are missing, and maps them.
    fn map_pages(&self, first: usize, pages: &mut [Option<WindowPage>]) -> Result {
        let mut new = KVec::new();
        for _ in pages.iter().filter(|page| page.is_none()) {
            // The cgroup of the sender is charged. The VMA of another process is not locked yet.
            let page = mm::UserPage::alloc_page(GFP_KERNEL_ACCOUNT | __GFP_HIGHMEM)?;
            new.push(page, GFP_KERNEL)?;
        }
        if new.is_empty() {
            return Ok(());
        }
        self.with_vma(true, |vma| {
            let mixed = vma.as_mixedmap_vma().ok_or(EPIPE)?;
            let addrs = (vma.start() + first * PAGE_SIZE..).step_by(PAGE_SIZE);
            let slots = pages.iter_mut().zip(addrs);
            for ((page, addr), new) in slots.filter(|(page, _)| page.is_none()).zip(new) {
                mixed.vm_insert_page(addr, &new)?;
                PAGES.fetch_add(1, Relaxed);
                *page = Some(WindowPage(new));
            }
            Ok(())
        })
    }

    fn put_slots(&self, first: usize, pages: &mut [Option<WindowPage>]) {
        if let Some(window) = &mut self.state.lock().window {
            window.put(first, pages);
        }
        self.writers.wake_up();
    }

    /// Implements [`abi::RECEIVE`].
    fn receive(&self, arg: usize, limit: u64) -> Result {
        let whole = || user(arg, ioctl::_IOC_SIZE(RECEIVE)).reader_writer();
        let [timeout, context, room]: [u64; 3] = whole().0.read()?;
        loop {
            let oldest = self.wait(&self.readers, limit.min(timeout), |state| {
                let window = state.own_window();
                let oldest = |window: &mut Window| {
                    let message = window.messages.get(&window.head)?;
                    Some((window.head, message.about.clone()))
                };
                window.map(oldest).transpose()
            });
            let (id, about) = oldest?;

            // As the caller sees the sender, from its own namespaces.
            let pid = about.sender.pid_vnr() as u64;
            let euid = about.cred.euid();
            let euid = euid.into_uid_munged(current!().user_ns()).into();
            // Without a security module, there is no context.
            let secctx = about.cred.security_ctx().ok();
            let secctx = secctx.as_ref().map_or(&[][..], SecurityCtx::as_bytes);
            let stored = secctx.len().min(room.try_into().unwrap_or(usize::MAX));
            let context_at = usize::try_from(context).map_err(|_| EFAULT)?;
            let mut out = user(context_at, stored).writer();
            out.write_slice(&secctx[..stored])?;
            let (offset, len) = ((about.first * PAGE_SIZE) as u64, about.len as u64);
            // The fields of `abi::Received`. What is read stays, for a call that is restarted.
            let mut out = whole().1;
            out.write(&[timeout, context, room])?;
            out.write(&[secctx.len() as u64, id, offset, len, pid, euid])?;

            // The message counts as received now, so none is lost by a fault above or by the death
            // of this thread. If another thread has received it meanwhile, this one tries again.
            let mut state = self.state.lock();
            let window = state.own_window()?;
            if window.head == id {
                window.head += 1;
                return Ok(());
            }
        }
    }

    /// Implements [`abi::RELEASE`].
    fn release(&self, id: u64) -> Result {
        let mut state = self.state.lock();
        let window = state.own_window()?;
        if id >= window.head {
            return Err(EINVAL);
        }
        let mut message = window.messages.remove(&id).ok_or(EINVAL)?;
        window.put(message.about.first, &mut message.pages);
        drop(state);
        self.writers.wake_up();
        Ok(())
    }

    /// Implements [`abi::STATS`].
    fn stats(&self, arg: usize) -> Result {
        let charged: usize = self.shared.charged.lock().values().sum();
        // The fields of `abi::Stats`.
        let [pages, free, messages] = [&PAGES, &FREE, &MESSAGES].map(|n| n.load(Relaxed));
        let stats = [pages, free, messages, charged].map(|n| n as u64);
        user(arg, ioctl::_IOC_SIZE(STATS)).writer().write(&stats)
    }

    /// Frees up to `max` pages that hold no message, and returns how many.
    fn free_pages(&self, max: usize) -> usize {
        let mut freed = 0;
        // An error ends this: the VMA is locked by another thread, or no page is left.
        let _ = self.with_vma(false, |vma| {
            while freed < max {
                let mut state = self.state.lock();
                let slots = &mut state.window.as_mut().ok_or(EPIPE)?.slots;
                let index = slots.iter().position(|slot| slot.page.is_some());
                let index = index.ok_or(ENOENT)?;
                slots[index].is_taken = true;
                let _page = slots[index].take_page();
                drop(state);
                // The slot is taken, so no sender maps another page there meanwhile.
                vma.zap_vma_range(vma.start() + index * PAGE_SIZE, PAGE_SIZE)?;
                self.put_slots(index, &mut [None]);
                freed += 1;
            }
            Ok(())
        });
        freed
    }
}

impl shrinker::Shrinker for Shared {
    type Ptr = Arc<Self>;

    fn count_objects(_me: ArcBorrow<'_, Self>, _: &ShrinkControl) -> usize {
        FREE.load(Relaxed)
    }

    fn scan_objects(me: ArcBorrow<'_, Self>, control: &mut ShrinkControl) -> Option<usize> {
        let (mut freed, mut from) = (0, (0, 0));
        while freed < control.nr_to_scan() {
            // The directory is not locked while a mailbox frees its pages.
            let next = me.directory.lock().cursor_lower_bound(&from).map(|cursor| {
                let (key, mailbox) = cursor.current();
                (*key, mailbox.clone())
            });
            let Some((key, mailbox)) = next else { break };
            freed += mailbox.free_pages(control.nr_to_scan() - freed);
            from = (key.0, key.1 + 1);
        }
        (freed > 0).then_some(freed)
    }
}
