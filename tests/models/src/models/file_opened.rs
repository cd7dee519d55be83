// SPDX-License-Identifier: GPL-2.0

//! `rust_helper_file_set_private_data()` in `->open()`, and `rust_helper_file_is_opened()` of a
//! task that has the file from elsewhere.

use crate::explore::{bad, Sites};
use loom::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    thread,
};
use std::sync::Arc;

pub fn model(sites: &Arc<Sites>) {
    let mode = Arc::new(AtomicU32::new(0));
    let private_data = Arc::new(AtomicU32::new(0));
    let (their_sites, theirs) = (sites.clone(), (mode.clone(), private_data.clone()));
    let other = thread::spawn(move || {
        let (mode, private_data) = theirs;
        // `file_is_opened()`
        let is_opened = their_sites.at("mode").load(&mode) != 0;
        their_sites.at("read").fence();
        let has_data = private_data.load(Relaxed) != 0;
        bad(
            is_opened && !has_data,
            "the file is opened, and has no data",
        );
    });
    // `file_set_private_data()`
    private_data.store(1, Relaxed);
    sites.at("write").fence();
    // `do_dentry_open()`
    mode.store(1, Relaxed);
    other.join().unwrap();
}
