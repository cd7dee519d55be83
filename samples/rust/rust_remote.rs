// SPDX-License-Identifier: GPL-2.0

//! A misc device that copies memory between processes.
//!
//! It does what `process_vm_readv()` and `process_vm_writev()` do, under the same checks, for a
//! process that a pidfd refers to. It does not wait for `userfaultfd()`, and also copies memory of
//! devices whose drivers permit that. `rust_remote_abi.rs` has the ioctls.

use core::mem::offset_of;
use kernel::{
    c_str,
    fs::File,
    ioctl,
    miscdevice::{
        MiscDevice,
        MiscDeviceOptions,
        MiscDeviceRegistration, //
    },
    mm::{
        remote::{
            PartialCopy,
            PtraceMode,
            UserMemory, //
        },
        MmWithUser, //
    },
    page::PAGE_SIZE,
    prelude::*,
    sync::aref::ARef,
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

#[path = "rust_remote_abi.rs"]
mod abi;

module! {
    type: RemoteModule,
    name: "rust_remote",
    description: "Copies memory between processes",
    license: "GPL",
}

const READ: u32 = ioctl::_IOWR::<abi::Request>(abi::MAGIC, abi::READ);
const WRITE: u32 = ioctl::_IOWR::<abi::Request>(abi::MAGIC, abi::WRITE);
const FILL: u32 = ioctl::_IOWR::<abi::Request>(abi::MAGIC, abi::FILL);
const STRING: u32 = ioctl::_IOWR::<abi::Request>(abi::MAGIC, abi::STRING);

struct RemoteModule {
    _device: Pin<KBox<MiscDeviceRegistration<Remote>>>,
}

impl kernel::Module for RemoteModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let name = c_str!("rust_remote");

        Ok(Self {
            _device: KBox::pin_init(
                MiscDeviceRegistration::register(MiscDeviceOptions { name }),
                GFP_KERNEL,
            )?,
        })
    }
}

/// An open file. It has no state: each request names a process.
struct Remote;

#[vtable]
impl MiscDevice for Remote {
    type Ptr = KBox<Self>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<KBox<Self>> {
        Ok(KBox::new(Remote, GFP_KERNEL)?)
    }

    fn ioctl(_me: &Self, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        if ![READ, WRITE, FILL, STRING].contains(&cmd) {
            return Err(ENOTTY);
        }
        let request = read_request(arg)?;
        // The check and the reference are one step: an `execve()` of the process, after which the
        // caller may have no right to it, does not come between them.
        let task = current!().pidfd_get_task(request.pidfd)?;
        let mm: ARef<MmWithUser> = task.mm_access(PtraceMode::AttachRealCreds)?;

        let (result, copied) = match serve(cmd, &mm, &request) {
            Ok(copied) => (Ok(0), copied),
            Err(partial) => (Err(partial.error), partial.copied),
        };
        let copied = copied as u64;
        let result_at = arg
            .checked_add(offset_of!(abi::Request, copied))
            .ok_or(EFAULT)?;
        current!().write(result_at, &copied.to_ne_bytes())?;
        result
    }
}

fn read_request(arg: usize) -> Result<abi::Request> {
    let mut reader = UserSlice::new(UserPtr::from_addr(arg), ioctl::_IOC_SIZE(READ)).reader();
    Ok(abi::Request {
        pidfd: reader.read()?,
        byte: reader.read()?,
        remote: reader.read()?,
        local: reader.read()?,
        len: reader.read()?,
        copied: 0,
    })
}

/// Returns the number of bytes.
fn serve(cmd: u32, mm: &MmWithUser, request: &abi::Request) -> Result<usize, PartialCopy> {
    let word = |value: u64| usize::try_from(value).map_err(|_| failed(EINVAL));
    let (remote, local) = (word(request.remote)?, word(request.local)?);
    let (len, task) = (word(request.len)?, current!());

    match cmd {
        READ => copy(mm, remote, task, local, len)?,
        WRITE => copy(task, local, mm, remote, len)?,
        FILL => mm.fill(remote, len, request.byte as u8)?,
        _ => {
            let mut buf = [0; 256];
            let len = len.min(buf.len());
            let buf = &mut buf[..len];
            mm.strcpy_into_buf(remote, buf).map_err(failed)?;
            let nul = buf.iter().position(|byte| *byte == 0);
            let copied = nul.map_or(len, |at| at + 1);
            task.write(local, &buf[..copied])?;
            return Ok(copied);
        }
    }
    Ok(len)
}

/// An error before the first byte has been copied.
fn failed(error: Error) -> PartialCopy {
    PartialCopy { copied: 0, error }
}

/// Copies from one memory to another.
fn copy(
    from: &impl UserMemory,
    from_addr: usize,
    to: &impl UserMemory,
    to_addr: usize,
    len: usize,
) -> Result<(), PartialCopy> {
    let size = PAGE_SIZE.min(len);
    let mut buf = KVec::from_elem(0, size, GFP_KERNEL).map_err(|err| failed(err.into()))?;
    let mut done = 0;

    while done < len {
        let part = &mut buf[..size.min(len - done)];
        let read = from.read(from_addr.wrapping_add(done), part);
        // What could be read is written, also if it is not all.
        let read_len = read.map_or_else(|partial| partial.copied, |()| part.len());
        to.write(to_addr.wrapping_add(done), &part[..read_len])
            .and(read)
            .map_err(|partial| PartialCopy {
                copied: done + partial.copied,
                ..partial
            })?;
        done += part.len();
    }
    Ok(())
}
