// SPDX-License-Identifier: GPL-2.0

//! Source locations as C strings.

use core::{
    ffi::CStr,
    panic::Location, //
};

/// Returns the name of the file that `loc` is in.
///
/// rustc before 1.92 does not provide the name as a C string. Then this returns a fixed string.
pub fn file_from_location<'a>(loc: &'a Location<'a>) -> &'a CStr {
    // The configuration symbol tells whether the compiler has `file_as_c_str()`.
    #[cfg(CONFIG_RUSTC_HAS_FILE_AS_C_STR)]
    #[allow(clippy::incompatible_msrv)]
    {
        loc.file_as_c_str()
    }

    #[cfg(not(CONFIG_RUSTC_HAS_FILE_AS_C_STR))]
    {
        let _ = loc;
        c"(rust)"
    }
}
