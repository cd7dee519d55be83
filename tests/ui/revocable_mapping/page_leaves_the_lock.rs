// SPDX-License-Identifier: GPL-2.0
//@revisions: good bad
//@[good] check-pass

//! A page of a `RevocableMapping` is only reached under its lock, so that it is not mapped after
//! `revoke()`.

use kernel::{
    mm::{
        fault::{FaultResult, VmFault},
        revoke::RevocableMapping,
        vm_ops::VmOperations,
        UserPage,
    },
    prelude::*,
};

pub fn fault<'a, T: VmOperations>(
    mapping: &RevocableMapping<Option<UserPage>>,
    vmf: &'a VmFault<'a, T>,
) -> FaultResult<'a> {
    #[cfg(good)]
    return mapping.fault(vmf, |page| page.as_ref().ok_or(EIO));
    #[cfg(bad)]
    return match mapping.with(|page| page.as_ref()) {
        //~[bad]^ ERROR: lifetime may not live long enough
        Some(page) => vmf.return_page(page),
        None => vmf.return_error(EIO),
    };
}
