// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A user namespace without a reference of its own cannot outlive the credentials it was found by.

use kernel::{
    sync::aref::ARef,
    task::Task,
    user_namespace::UserNamespace, //
};

#[cfg(good)]
pub fn caller(task: &Task) -> ARef<UserNamespace> {
    task.get_task_cred().user_ns().into()
}

#[cfg(bad)]
pub fn caller(task: &Task) -> &UserNamespace {
    task.get_task_cred().user_ns()
    //~[bad]^ ERROR: E0515: cannot return value referencing temporary value
}
