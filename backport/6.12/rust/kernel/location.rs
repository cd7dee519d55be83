// SPDX-License-Identifier: GPL-2.0

//! Places in source files, as C code wants them.

use crate::str::CStr;
use core::panic::Location;

/// Returns the name of the file that `loc` is in.
///
/// Compilers before 1.92 cannot give it with a final NUL; then it is a fixed text.
pub fn file_from_location<'a>(loc: &'a Location<'a>) -> &'a CStr {
    const UNKNOWN: &CStr = crate::c_str!("(rust)");

    // The symbol is what says that the compiler is new enough.
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
