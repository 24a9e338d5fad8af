//! Files that are whole or not there.

use std::fs::File;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Bytes of a line of input that are read. A comment may have 65,525 bytes, and JSON can spell
/// each as `\u00xx`.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// Appends the next line with its end to `line` and gives its bytes; 0 at the end. Of a line that
/// is longer than [`LINE_BYTES_MAX`] one byte more than that is read, so that nobody's memory
/// depends on it.
///
/// # Errors
/// What the file system said.
pub(super) fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<usize> {
    Read::take(input, LINE_BYTES_MAX as u64 + 1).read_until(b'\n', line)
}

/// What is wrong with a line that [`read_line`] did not read to its end.
pub(super) fn too_long() -> String {
    format!("the line has more than {LINE_BYTES_MAX} bytes")
}

/// Makes the folder of an output and sees whether it can be written, before long work that would
/// be lost if it could not.
///
/// # Errors
/// What the file system said.
pub fn check_writable(path: &Path) -> anyhow::Result<()> {
    let partial = partial(path)?;
    let check = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        File::create(&partial)?;
        std::fs::remove_file(&partial)
    };
    check().with_context(|| format!("{} cannot be written", path.display()))
}

/// Where a file stands until it is whole.
fn partial(path: &Path) -> anyhow::Result<PathBuf> {
    let name = path.file_name().context("the output needs a file name")?.to_string_lossy();
    Ok(path.with_file_name(format!(".{name}.partial")))
}

/// Writes a file beside its place and moves it there when it is on disk, so that nobody ever
/// sees half of it.
///
/// # Errors
/// What the file system said.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let partial = partial(path)?;
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
