// SPDX-License-Identifier: GPL-2.0

//! Printing the edits of tree.toml as a diff.

use anyhow::Result;
use front::{
    build::Build,
    tree::{self, Edited},
};
use similar::TextDiff;
use std::path::Path;

/// Prints the edits of the kernel's files as a unified diff.
pub fn print(build: &Build) -> Result<()> {
    let mut text = String::new();
    for (file, edited) in tree::edits(build)? {
        text += &diff(&file, &edited);
    }
    print!("{text}");
    Ok(())
}

/// Returns the diff of one file.
fn diff(file: &Path, edited: &Edited) -> String {
    let file = file.display();
    TextDiff::from_lines(&edited.before, &edited.after)
        .unified_diff()
        .context_radius(3)
        .header(&format!("a/{file}"), &format!("b/{file}"))
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_lines_are_shown() {
        let edited = Edited {
            before: "a\nb\nc\n".into(),
            after: "a\nours\nc\n".into(),
        };
        assert_eq!(
            diff(Path::new("rust/a.rs"), &edited),
            "--- a/rust/a.rs\n+++ b/rust/a.rs\n@@ -1,3 +1,3 @@\n a\n-b\n+ours\n c\n"
        );
    }
}
