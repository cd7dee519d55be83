// SPDX-License-Identifier: GPL-2.0

//! The models, one file for each handshake. A file names the functions whose steps it has.

use crate::explore::Sites;
use std::sync::Arc;

mod file_opened;
mod interval_end;
mod interval_section;
mod kthread_begin;
mod kthread_closure;
mod kthread_park;
mod kthread_stop;
mod kthread_unpark;
mod module_claim;
mod module_decided;
mod task_work;
mod wait_exclusive;
mod wait_locked;
mod wait_queue;
mod wait_wake;
mod worker_begin;
mod worker_end;

/// The name of a model in `models.toml`, and the function that loom explores.
pub type Model = (&'static str, fn(&Arc<Sites>));

pub const ALL: &[Model] = &[
    ("file-opened", file_opened::model),
    ("interval-end", interval_end::model),
    ("interval-section", interval_section::model),
    ("kthread-begin", kthread_begin::model),
    ("kthread-closure", kthread_closure::model),
    ("kthread-park", kthread_park::model),
    ("kthread-stop", kthread_stop::model),
    ("kthread-unpark", kthread_unpark::model),
    ("module-claim", module_claim::model),
    ("module-decided", module_decided::model),
    ("task-work", task_work::model),
    ("wait-exclusive", wait_exclusive::model),
    ("wait-locked", wait_locked::model),
    ("wait-queue", wait_queue::model),
    ("wait-wake", wait_wake::model),
    ("worker-begin", worker_begin::model),
    ("worker-end", worker_end::model),
];
