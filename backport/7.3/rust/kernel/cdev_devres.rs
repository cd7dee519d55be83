// SPDX-License-Identifier: GPL-2.0

//! Character devices of a driver that is bound to a device.

use crate::{
    cdev::{
        CharDevice,
        CharDeviceNode,
        CharDeviceRegion,
        CharDeviceRegistration, //
    },
    device::{
        Bound,
        Device, //
    },
    module::this_module,
    prelude::*, //
};

mod managed;
use managed::Managed;

impl<T: CharDevice> CharDeviceRegistration<T> {
    /// Registers a character device as [`Self::register_in`] does, as a child of `parent`.
    ///
    /// It is deregistered when the driver is unbound from `parent`, or when the result is dropped,
    /// which is a `Devres`, in 6.18 in a box. The first happens after the `unbind()` of the driver,
    /// and with `device_lock()` of `parent` held, which [`CharDevice::open`] must not take. To end
    /// it earlier, drop the result in `unbind()`.
    ///
    /// C: `cdev_device_add()`, or `cdev_add()` and `device_create()`.
    ///
    /// # Errors
    ///
    /// - `EINVAL`: The driver of `parent` is not part of `OwnerModule` of `T`. This includes faux
    ///   devices, unless the code is built in.
    /// - `EEXIST`: `parent` has an entry in sysfs with the name of the region, or, if it is itself
    ///   a device of a class, of the device. The kernel log has a stack trace then.
    /// - Others as for [`Self::register_in`].
    ///
    /// # Context
    ///
    /// Process context; may sleep.
    ///
    /// # Examples
    ///
    /// ```
    /// # use core::ptr::{null, null_mut};
    /// # use kernel::{
    /// #     bindings, c_str,
    /// #     cdev::CharDeviceOptions,
    /// #     fs::File, //
    /// # };
    /// use kernel::{
    ///     cdev::{CharDevice, CharDeviceNode, CharDeviceRegion, CharDeviceRegistration},
    ///     device::{Bound, Device},
    /// };
    /// # struct Channel;
    /// # #[vtable]
    /// # impl CharDevice for Channel {
    /// #     type Ptr = ();
    /// #     type Data = ();
    /// #
    /// #     fn open(_: &File, _: &CharDeviceRegistration<Self>, _: u32) -> Result {
    /// #         Ok(())
    /// #     }
    /// # }
    ///
    /// // In `probe()`, for each device node of a `dev: &Device<Bound>`.
    /// let add_node = |region: &CharDeviceRegion<Channel>, dev: &Device<Bound>| {
    ///     CharDeviceRegistration::register_child(region, dev, CharDeviceNode::default(), ())
    /// };
    /// # let options = CharDeviceOptions { name: c_str!("rust_child"), class: None, minors: 4 };
    /// # let region = CharDeviceRegion::<Channel>::new(options)?;
    /// # let name = c_str!("rust_parent").as_char_ptr();
    /// # // SAFETY: `name` is a string. A faux device needs neither a parent nor operations.
    /// # let faux = unsafe { bindings::faux_device_create(name, null_mut(), null()) };
    /// # assert!(!faux.is_null());
    /// # // SAFETY: The faux device has not been destroyed. It begins with its `struct device`.
    /// # let dev = unsafe { Device::get_device(faux.cast()) };
    /// # // SAFETY: A faux device is bound until it is destroyed.
    /// # let first = add_node(&region, unsafe { dev.as_bound() })?;
    /// # // SAFETY: As above.
    /// # let second = add_node(&region, unsafe { dev.as_bound() })?;
    /// # assert_eq!(first.try_access_with(|node| node.minor()), Some(0));
    /// # assert_eq!(second.try_access_with(|node| node.minor()), Some(1));
    /// # drop(first);
    /// # // A driver of another module.
    /// # // SAFETY: Zero is a valid value of each field.
    /// # let mut other: bindings::device_driver = unsafe { core::mem::zeroed() };
    /// # other.owner = core::ptr::NonNull::dangling().as_ptr();
    /// # let raw = faux.cast::<bindings::device>();
    /// # // SAFETY: The device is valid, and nothing else uses its driver meanwhile.
    /// # let own = unsafe { core::ptr::replace(&mut (*raw).driver, &mut other) };
    /// # // SAFETY: As above.
    /// # assert_eq!(add_node(&region, unsafe { dev.as_bound() }).err(), Some(EINVAL));
    /// # // SAFETY: As above.
    /// # unsafe { (*raw).driver = own };
    /// # // SAFETY: The faux device has not been destroyed. This call unbinds it, and nothing uses
    /// # // it as bound after that.
    /// # unsafe { bindings::faux_device_destroy(faux) };
    /// # assert_eq!(second.try_access_with(|node| node.minor()), None);
    /// # Ok::<(), Error>(())
    /// ```
    #[doc(alias("cdev_device_add", "cdev_add", "device_create"))]
    pub fn register_child(
        region: &CharDeviceRegion<T>,
        parent: &Device<Bound>,
        node: CharDeviceNode<'_>,
        data: T::Data,
    ) -> Result<Managed<Self>> {
        // The driver core drops the device when `parent` is unbound, also if the result is leaked,
        // and that drops `T::Data`. The driver of `parent` is unregistered before its module is
        // freed, so that must be the module with the code of `T`.
        let module = this_module::<T::OwnerModule>().as_ptr();
        // SAFETY: `parent` is valid. It is bound, so `driver` is not null, does not change and is
        // not unregistered.
        if unsafe { (*(*parent.as_raw()).driver).owner } != module {
            return Err(EINVAL);
        }
        managed::new(parent, Self::init_in(region, Some(parent), node, data))
    }
}
