// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! Which types are `Send`, `Sync`, `Clone` and `Unpin`.

#[cfg(bad)]
use kernel::mm::{fault, virt, vm_ops};
use kernel::{kthread, mm, pid, pid_namespace, task, uidgid, user_namespace};

pub fn send<T: Send>() {}
pub fn sync<T: Sync>() {}
pub fn clone<T: Clone>() {}
pub fn unpin<T: Unpin>() {}

pub fn implemented() {
    send::<task::Task>();
    sync::<task::Task>();
    send::<task::Kuid>();
    sync::<task::Kuid>();
    clone::<task::Kuid>();
    unpin::<task::Kuid>();
    send::<task::Processes<'_>>();
    send::<task::Threads<'_>>();
    send::<mm::Mm>();
    sync::<mm::Mm>();
    send::<mm::MmWithUser>();
    sync::<mm::MmWithUser>();
    send::<mm::MmWithUserAsync>();
    sync::<mm::MmWithUserAsync>();
    send::<pid_namespace::PidNamespace>();
    sync::<pid_namespace::PidNamespace>();
    send::<user_namespace::UserNamespace>();
    sync::<user_namespace::UserNamespace>();
    send::<uidgid::Kgid>();
    sync::<uidgid::Kgid>();
    clone::<uidgid::Kgid>();
    send::<pid::Pid>();
    sync::<pid::Pid>();
    clone::<pid::PidType>();
    send::<kthread::KThread>();
    send::<kthread::NewKThread>();
    sync::<kthread::NewKThread>();
}

#[cfg(bad)]
pub fn not_implemented() {
    clone::<task::Task>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<task::Task>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    send::<task::CurrentTask>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    sync::<task::CurrentTask>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<task::CurrentTask>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<task::CurrentTask>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    clone::<user_namespace::UserNamespace>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<user_namespace::UserNamespace>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    clone::<mm::Mm>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<mm::Mm>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    clone::<mm::MmWithUser>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<mm::MmWithUser>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    clone::<mm::MmWithUserAsync>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<mm::MmWithUserAsync>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    send::<mm::MmapReadGuard<'_>>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    sync::<mm::MmapReadGuard<'_>>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<mm::MmapReadGuard<'_>>();
    //~[bad]^ ERROR: E0277: the trait bound
    send::<mm::VmaReadGuard<'_>>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    //~[bad]| ERROR: E0277: cannot be shared between threads safely
    sync::<mm::VmaReadGuard<'_>>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<mm::VmaReadGuard<'_>>();
    //~[bad]^ ERROR: E0277: the trait bound
    send::<virt::VmaRef>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    sync::<virt::VmaRef>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<virt::VmaRef>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<virt::VmaRef>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    send::<virt::VmaMixedMap>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    sync::<virt::VmaMixedMap>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<virt::VmaMixedMap>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<virt::VmaMixedMap>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    send::<virt::VmaNew>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    sync::<virt::VmaNew>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<virt::VmaNew>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<virt::VmaNew>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    clone::<kthread::KThread>();
    //~[bad]^ ERROR: E0277: the trait bound
    send::<kthread::CurrentKThread>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    sync::<kthread::CurrentKThread>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    clone::<pid::Pid>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<pid::Pid>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    clone::<task::Processes<'_>>();
    //~[bad]^ ERROR: E0277: the trait bound
    clone::<task::Threads<'_>>();
    //~[bad]^ ERROR: E0277: the trait bound
    clone::<pid_namespace::PidNamespace>();
    //~[bad]^ ERROR: E0277: the trait bound
    unpin::<pid_namespace::PidNamespace>();
    //~[bad]^ ERROR: E0277: cannot be unpinned
    send::<mm::MmapWriteGuard<'_>>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    send::<mm::VmaIter<'_>>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
    //~[bad]| ERROR: E0277: cannot be shared between threads safely
    sync::<virt::VmaWriteLocked>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    sync::<vm_ops::DriverVma<u32>>();
    //~[bad]^ ERROR: E0277: cannot be shared between threads safely
    send::<fault::VmFault<'_, u32>>();
    //~[bad]^ ERROR: E0277: cannot be sent between threads safely
}
