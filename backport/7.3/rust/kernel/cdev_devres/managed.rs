// SPDX-License-Identifier: GPL-2.0

//! The `Devres` of this kernel.

use crate::{
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    prelude::*, //
};

/// A value that is dropped when a driver is unbound, at the latest.
pub(super) type Managed<T> = Devres<T>;

/// Initializes a value that is dropped when the driver is unbound from `dev`.
pub(super) fn new<T: Send + 'static>(
    dev: &Device<Bound>,
    value: impl PinInit<T, Error>,
) -> Result<Managed<T>> {
    Devres::new(dev, value)
}
