// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! The range of a hook is not used after the hook has returned.

use kernel::mm::mmu_notifier::InvalidatedRange;

pub fn keep<'a>(range: InvalidatedRange<'a>) -> Option<InvalidatedRange<'a>> {
    #[cfg(good)]
    let kept: Option<InvalidatedRange<'a>> = Some(range);
    #[cfg(bad)]
    let kept: Option<InvalidatedRange<'static>> = Some(range);
    //~[bad]^ ERROR: lifetime may not live long enough
    kept
}
