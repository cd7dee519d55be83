// SPDX-License-Identifier: GPL-2.0

//! Kthread workers, for the selftests.

use super::{
    call_on_cpu,
    errno,
    jiffies,
    pause,
    poll,
    within_ten_seconds,
    Results,
    Slot, //
};
use kernel::{
    impl_has_kthread_delayed_work, impl_has_kthread_work,
    kthread::{
        CurrentKThread,
        KThread,
        KThreadDelayedWork,
        KThreadWork,
        KThreadWorkItem,
        KThreadWorker, //
    },
    new_mutex,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Relaxed,
            Release, //
        },
        Arc,
        Mutex, //
    },
    time::Jiffies,
};

const WAIT: u64 = 0;
const COUNT: u64 = 1;
const ASK: u64 = 2;
const DELAYED: u64 = 3;

/// What the works of a test do.
#[pin_data(PinnedDrop)]
struct Item {
    number: i64,
    shared: Arc<Shared>,
    /// Waits until `shared.open` is set.
    #[pin]
    wait: KThreadWork<Item, WAIT>,
    /// Checks the order.
    #[pin]
    count: KThreadWork<Item, COUNT>,
    /// Calls functions that a work must not call.
    #[pin]
    ask: KThreadWork<Item, ASK>,
    /// Counts only.
    #[pin]
    delayed: KThreadDelayedWork<Item, DELAYED>,
}

impl_has_kthread_work! {
    impl HasKThreadWork<WAIT> for Item { self.wait }
    impl HasKThreadWork<COUNT> for Item { self.count }
    impl HasKThreadWork<ASK> for Item { self.ask }
}

impl_has_kthread_delayed_work! {
    impl HasKThreadWork<DELAYED> for Item { self.delayed }
}

#[pin_data]
struct Shared {
    /// Whether [`WAIT`] ends.
    open: Atomic<bool>,
    /// The number of works that have run.
    runs: Atomic<i64>,
    /// The number of works that have run out of order.
    wrong: Atomic<i64>,
    /// The number of items that exist.
    items: Atomic<i64>,
    /// The errors that [`ASK`] has got.
    errors: [Atomic<i64>; 4],
    #[pin]
    worker: Mutex<Option<KThreadWorker>>,
}

impl Shared {
    fn new() -> Result<Arc<Self>> {
        let init = pin_init!(Self {
            open: Atomic::new(false),
            runs: Atomic::new(0),
            wrong: Atomic::new(0),
            items: Atomic::new(0),
            errors: [const { Atomic::new(1) }; 4],
            worker <- new_mutex!(None),
        });
        Arc::pin_init(init, GFP_KERNEL)
    }

    fn open(&self) {
        self.open.store(true, Release);
    }
}

impl Item {
    fn new(worker: &KThreadWorker, shared: &Arc<Shared>, number: i64) -> Result<Arc<Self>> {
        shared.items.fetch_add(1, Relaxed);
        let init = try_pin_init!(Self {
            number,
            shared: shared.clone(),
            wait <- KThreadWork::new(worker),
            count <- KThreadWork::new(worker),
            ask <- KThreadWork::new(worker),
            delayed <- KThreadDelayedWork::new(worker),
        });
        Arc::pin_init(init, GFP_KERNEL)
    }
}

#[pinned_drop]
impl PinnedDrop for Item {
    fn drop(self: Pin<&mut Self>) {
        self.shared.items.fetch_add(-1, Full);
    }
}

impl KThreadWorkItem<WAIT> for Item {
    fn run(this: Arc<Self>, worker: &CurrentKThread) {
        while !this.shared.open.load(Acquire) && !worker.should_stop() {
            pause(1);
        }
    }
}

impl KThreadWorkItem<COUNT> for Item {
    fn run(this: Arc<Self>, _worker: &CurrentKThread) {
        if this.shared.runs.fetch_add(1, Full) != this.number {
            this.shared.wrong.fetch_add(1, Relaxed);
        }
    }
}

impl KThreadWorkItem<DELAYED> for Item {
    fn run(this: Arc<Self>, _worker: &CurrentKThread) {
        this.shared.runs.fetch_add(1, Full);
    }
}

impl KThreadWorkItem<ASK> for Item {
    fn run(this: Arc<Self>, _worker: &CurrentKThread) {
        let Some(worker) = this.shared.worker.lock().take() else {
            return;
        };
        let set = |index: usize, error| this.shared.errors[index].store(error, Relaxed);
        set(0, errno(worker.flush()));
        set(1, errno(this.ask.flush()));
        set(2, errno(this.ask.cancel_sync()));
        // Other works of the worker can be cancelled here.
        let queued = KThreadWork::<_, COUNT>::queue(this.clone()).is_ok();
        let cancelled = this.count.cancel_sync() == Ok(true);
        set(3, (queued && cancelled).into());
        // The worker drops its own handle, and then runs what is queued.
        let _ = KThreadWork::<_, COUNT>::queue(this.clone());
        drop(worker);
        this.shared.open();
    }
}

fn new_worker() -> Result<KThreadWorker> {
    KThreadWorker::spawn(format_args!("test/worker"), |_| ())
}

/// See [`WORKER_ORDER`](super::abi::WORKER_ORDER).
pub(super) fn order([works, cpu]: [i64; 2]) -> Result<Results> {
    let shared = Shared::new()?;
    let worker = new_worker()?;
    let gate = Item::new(&worker, &shared, -1)?;
    let mut items = KVec::new();
    for number in 0..works {
        items.push(Item::new(&worker, &shared, number)?, GFP_KERNEL)?;
    }

    // The worker waits here until all other works are queued.
    KThreadWork::<_, WAIT>::queue(gate).map_err(|_| EBUSY)?;
    let queued = Atomic::<i64>::new(0);
    let refused = Atomic::<i64>::new(0);
    for item in &items {
        call_on_cpu(cpu, &|| {
            for _ in 0..2 {
                let result = KThreadWork::<_, COUNT>::queue(item.clone());
                let counter = if result.is_ok() { &queued } else { &refused };
                counter.fetch_add(1, Relaxed);
            }
        });
    }
    shared.open();
    // Dropping the worker runs them.
    drop(worker);
    let not_queued = items
        .iter()
        .filter(|item| KThreadWork::<_, COUNT>::queue((*item).clone()).is_err());
    let ended = not_queued.count() as i64;
    ensure(queued.load(Relaxed) == works && ended == works)?;
    drop(items);
    Ok([
        shared.runs.load(Acquire),
        shared.wrong.load(Relaxed),
        refused.load(Relaxed),
        shared.items.load(Acquire),
    ])
}

fn ensure(condition: bool) -> Result {
    condition.then_some(()).ok_or(EINVAL)
}

/// See [`WORKER_RACE`](super::abi::WORKER_RACE).
pub(super) fn race([rounds, _]: [i64; 2]) -> Result<Results> {
    let shared = Shared::new()?;
    let worker = new_worker()?;
    let item = Item::new(&worker, &shared, 0)?;

    let theirs = item.clone();
    // The works that were queued, those that were cancelled, and the rounds of the kthread.
    let totals: Arc<[Atomic<i64>; 3]> = Arc::new([const { Atomic::new(0) }; 3], GFP_KERNEL)?;
    let of_thread = totals.clone();
    let work = move |item: &Arc<Item>, round: i64| {
        if KThreadWork::<_, COUNT>::queue(item.clone()).is_ok() {
            of_thread[0].fetch_add(1, Relaxed);
        }
        match round % 8 {
            0 => item.count.flush(),
            1..=3 => item.count.cancel_sync().map(|removed| {
                of_thread[1].fetch_add(removed.into(), Relaxed);
            }),
            _ => Ok(()),
        }
    };
    let of_thread = work.clone();
    let rounds_of_thread = totals.clone();
    let thread = KThread::spawn(format_args!("test/race"), move |this| {
        let mut round = 3;
        while !this.should_stop() {
            if of_thread(&theirs, round).is_err() {
                return 1;
            }
            rounds_of_thread[2].store(round, Release);
            round += 1;
            kernel::task::cond_resched();
        }
        0
    })?;
    poll(|| totals[2].load(Acquire) != 0);
    for round in 0..rounds {
        work(&item, round)?;
        if round % 16 == 0 {
            worker.flush()?;
        }
    }
    let result = thread.stop();
    worker.flush()?;

    let [queued, cancelled] = [0, 1].map(|index: usize| totals[index].load(Relaxed));
    let lost = queued - cancelled - shared.runs.load(Acquire);
    drop(item);
    // The handle holds no reference to the item.
    let left = shared.items.load(Acquire);
    drop(worker);
    Ok([lost, left, result.into(), cancelled])
}

/// Returns when a jiffy ends.
fn next_jiffy() {
    let now = jiffies();
    while jiffies() == now {
        kernel::task::cond_resched();
    }
}

/// See [`WORKER_DELAYED`](super::abi::WORKER_DELAYED).
pub(super) fn delayed([rounds, _]: [i64; 2]) -> Result<Results> {
    const ITEMS: usize = 100;

    let shared = Shared::new()?;
    let worker = new_worker()?;
    let mut items = KVec::new();
    for _ in 0..ITEMS {
        items.push(Item::new(&worker, &shared, 0)?, GFP_KERNEL)?;
    }
    let items = Arc::new(items, GFP_KERNEL)?;

    // How many rounds have begun and ended, and how many works were cancelled.
    let totals: Arc<[Atomic<i64>; 3]> = Arc::new([const { Atomic::new(0) }; 3], GFP_KERNEL)?;
    let (theirs, of_thread) = (items.clone(), totals.clone());
    let thread = KThread::spawn(format_args!("test/delayed"), move |this| {
        let [begun, ended, cancelled] = &*of_thread;
        while !this.should_stop() {
            if begun.load(Acquire) == ended.load(Relaxed) {
                kernel::task::cond_resched();
                continue;
            }
            // The timers expire on the other CPU at the same time, in the reverse order.
            next_jiffy();
            for item in theirs.iter().rev() {
                match item.delayed.cancel_sync() {
                    Ok(removed) => cancelled.fetch_add(removed.into(), Relaxed),
                    Err(_) => return 1,
                };
            }
            ended.fetch_add(1, Full);
        }
        0
    })?;

    let [begun, ended, cancelled] = &*totals;
    let mut queued = 0;
    for round in 0..rounds {
        for item in items.iter() {
            // One of them has no delay.
            let delay = Jiffies::from(queued % ITEMS as i64 != 0);
            let queue = KThreadDelayedWork::<_, DELAYED>::queue;
            queued += i64::from(queue(item.clone(), delay).is_ok());
        }
        begun.fetch_add(1, Full);
        within_ten_seconds(|| ended.load(Acquire) > round);
    }
    let result = thread.stop();
    // The last works may be running.
    worker.flush()?;
    drop(items);

    let cancelled = cancelled.load(Relaxed);
    let lost = queued - cancelled - shared.runs.load(Acquire) + shared.items.load(Acquire);
    // One work waits for its timer, which the worker stops.
    let other = Item::new(&worker, &shared, 1)?;
    ensure(KThreadDelayedWork::<_, DELAYED>::queue(other, 1_000_000).is_ok())?;
    let with_timer = shared.items.load(Acquire);
    let runs = shared.runs.load(Acquire);
    drop(worker);
    let left = shared.items.load(Acquire) + shared.runs.load(Acquire) - runs;
    ensure(result == 0)?;
    Ok([lost, with_timer, left, cancelled])
}

/// See [`WORKER_CONTEXT`](super::abi::WORKER_CONTEXT).
pub(super) fn context([cpu, _]: [i64; 2]) -> Result<Results> {
    let shared = Shared::new()?;
    let worker = new_worker()?;
    let item = Item::new(&worker, &shared, 0)?;

    let slot = Slot::new(worker);
    let wrong = Atomic::<i64>::new(0);
    KThreadWork::<_, WAIT>::queue(item.clone()).map_err(|_| EBUSY)?;
    let of_irq = &item;
    call_on_cpu(cpu, &|| {
        let Some(worker) = slot.take() else { return };
        let busy = errno(Err::<(), _>(EBUSY));
        let results = [
            errno(new_worker()),
            errno(worker.flush()),
            errno(of_irq.count.flush()),
            errno(of_irq.count.cancel_sync()),
        ];
        let others = results.iter().filter(|&&result| result != busy);
        wrong.store(others.count() as i64, Relaxed);
        let _ = KThreadWork::<_, COUNT>::queue(of_irq.clone());
        // This does not wait. The first work ends, and the second one is run.
        drop(worker);
    });
    drop(item);
    within_ten_seconds(|| shared.items.load(Acquire) == 0);
    let left = shared.items.load(Acquire);
    Ok([wrong.load(Relaxed), shared.runs.load(Acquire), left, 0])
}

/// See [`WORKER_OWN`](super::abi::WORKER_OWN).
pub(super) fn own([_, _]: [i64; 2]) -> Result<Results> {
    let shared = Shared::new()?;
    let worker = new_worker()?;
    let item = Item::new(&worker, &shared, 0)?;

    *shared.worker.lock() = Some(worker);
    KThreadWork::<_, ASK>::queue(item).map_err(|_| EBUSY)?;
    poll(|| shared.open.load(Acquire));
    within_ten_seconds(|| shared.items.load(Acquire) == 0);
    let left = shared.items.load(Acquire) + shared.runs.load(Acquire);
    let [flush, flush_work, cancel, other] =
        [0, 1, 2, 3].map(|i: usize| shared.errors[i].load(Acquire));
    let all = flush == flush_work && flush_work == cancel;
    Ok([flush, all.into(), other, left])
}
