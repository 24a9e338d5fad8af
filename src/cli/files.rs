//! Files that are whole or not there.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Context;

/// Writes a file beside its place and moves it there when it is on disk, so that nobody ever
/// sees half of it.
///
/// # Errors
/// What the file system said.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().context("the output needs a file name")?.to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&partial)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&partial, path)
    };
    write().with_context(|| format!("{} cannot be written", path.display())).inspect_err(|_| {
        let _ = std::fs::remove_file(&partial);
    })
}
