// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A later kernel may have more events, which a driver must not forget.

use kernel::mm::mmu_notifier::MmuNotifierEvent;

pub fn number(event: MmuNotifierEvent) -> u32 {
    match event {
        //~[bad]^ ERROR: E0004: non-exhaustive patterns
        MmuNotifierEvent::Unmap => 0,
        MmuNotifierEvent::Clear => 1,
        MmuNotifierEvent::ProtectionVma => 2,
        MmuNotifierEvent::ProtectionPage => 3,
        MmuNotifierEvent::SoftDirty => 4,
        MmuNotifierEvent::Release => 5,
        MmuNotifierEvent::Migrate => 6,
        MmuNotifierEvent::Exclusive => 7,
        #[cfg(good)]
        _ => 8,
    }
}
