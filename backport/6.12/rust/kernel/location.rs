// SPDX-License-Identifier: GPL-2.0

//! Source locations as C strings.

use crate::str::CStr;
use core::panic::Location;

/// Returns the name of the file that `loc` is in.
///
/// rustc before 1.92 does not provide the name as a C string. Then this returns a fixed string.
pub fn file_from_location<'a>(loc: &'a Location<'a>) -> &'a CStr {
    const UNKNOWN: &CStr = crate::c_str!("(rust)");

    // The configuration symbol tells whether the compiler has `file_as_c_str()`.
    #[cfg(CONFIG_RUSTC_HAS_FILE_AS_C_STR)]
    #[allow(clippy::incompatible_msrv)]
    {
        let name = loc.file_as_c_str().to_bytes_with_nul();
        CStr::from_bytes_with_nul(name).unwrap_or(UNKNOWN)
    }

    #[cfg(not(CONFIG_RUSTC_HAS_FILE_AS_C_STR))]
    {
        let _ = loc;
        UNKNOWN
    }
}
