//! Files that are whole or not there.

use std::fs::{File, Metadata};
use std::io::{BufRead, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

use super::Failure;

/// Bytes of a line of input that are read. A comment may have 65,525 bytes, and JSON can spell
/// each as `\u00xx`.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// What some editors put before UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

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

/// Whether nothing stands in a line, but for a byte order mark.
pub(super) fn is_empty(line: &[u8]) -> bool {
    line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii().is_empty()
}

/// What a line of JSON holds; a byte order mark before it is passed over.
///
/// # Errors
/// What is wrong, with the column; whoever reads the file knows the line.
pub(super) fn parse_line<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    let object = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line).trim_ascii_end();
    serde_json::from_slice(object).map_err(|error| {
        let text = error.to_string();
        let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what);
        format!("{what} (column {})", error.column())
    })
}

/// Makes the folder of an output and sees whether it can be written, before long work that would
/// be lost if it could not.
///
/// # Errors
/// What is at `path` and no regular file; what the file system said.
fn check_writable(path: &Path) -> anyhow::Result<()> {
    let check = || -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let output = Output::at(path)?;
        File::create(&output.partial)?;
        Ok(std::fs::remove_file(&output.partial)?)
    };
    check().with_context(|| cannot_be_written(path))
}

/// Sees, before long work, whether an output can be written and replaces none of the inputs.
///
/// # Errors
/// Exit code 74 if it cannot, 64 if it is one of `inputs`.
pub(super) fn check_output(path: &Path, inputs: &[PathBuf]) -> Result<(), Failure> {
    check_writable(path).map_err(|error| Failure::io(format!("{error:#}")))?;
    let place = path.canonicalize().ok();
    let is_same = |input: &&PathBuf| place.is_some() && input.canonicalize().ok() == place;
    match inputs.iter().find(is_same) {
        Some(_) => Err(Failure::usage(format!("{} is one of --data", path.display()))),
        None => Ok(()),
    }
}

/// Writes a file beside its place and moves it there when it is on disk, so that nobody ever
/// sees half of it. A file that is there is replaced and leaves its owner and permissions behind;
/// behind a symbolic link that is the file it leads to.
///
/// # Errors
/// What is at `path` and no regular file; what the file system said.
pub fn write_whole(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let output = Output::at(path).with_context(|| cannot_be_written(path))?;
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&output.partial)?;
        file.write_all(bytes)?;
        if let Some(before) = &output.before {
            // Whoever may read the old one reads the new one; who is not root keeps what is theirs.
            let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        std::fs::rename(&output.partial, &output.place)
    };
    write().with_context(|| cannot_be_written(path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&output.partial);
    })
}

fn cannot_be_written(path: &Path) -> String {
    format!("{} cannot be written", path.display())
}

/// Where a file is to stand, and where until it is whole.
struct Output {
    place: PathBuf,
    partial: PathBuf,
    /// Of the file that is there.
    before: Option<Metadata>,
}

impl Output {
    /// What is there decides: a pipe or a device would be lost to whoever reads from it.
    fn at(path: &Path) -> anyhow::Result<Self> {
        if path.as_os_str().as_encoded_bytes().ends_with(b"/") {
            bail!("this names a folder");
        }
        let (place, before) = match std::fs::metadata(path) {
            Ok(found) if found.is_file() => (path.canonicalize()?, Some(found)),
            Ok(found) if found.is_dir() => bail!("there is a folder"),
            Ok(_) => bail!("what is there is no regular file"),
            Err(_) if path.is_symlink() => bail!("there is a symbolic link that leads nowhere"),
            Err(error) if error.kind() == ErrorKind::NotFound => (path.to_owned(), None),
            Err(error) => return Err(error.into()),
        };
        let name = place.file_name().context("the output needs a file name")?.to_string_lossy();
        let partial = place.with_file_name(format!(".{name}.partial"));
        Ok(Self { place, partial, before })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn lines_are_read_behind_a_byte_order_mark_and_bad_ones_have_a_column() {
        let line = [BYTE_ORDER_MARK, b"[1, 2]"].concat();
        assert_eq!(parse_line::<Vec<u8>>(&line), Ok(vec![1, 2]));
        let problem = parse_line::<Vec<u8>>(b"[1, x]").unwrap_err();
        assert_eq!(problem, "expected value (column 5)");
        let problem = parse_line::<Vec<u8>>(b"[1, 2\n").unwrap_err();
        assert_eq!(problem, "EOF while parsing a list (column 5)");
    }

    #[test]
    fn links_are_followed_permissions_kept_and_other_things_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_whole(&at("model"), b"old").unwrap();
        std::fs::set_permissions(at("model"), Permissions::from_mode(0o640)).unwrap();
        symlink(at("model"), at("link")).unwrap();
        check_writable(&at("link")).unwrap();
        write_whole(&at("link"), b"new").unwrap();
        assert!(at("link").is_symlink());
        assert_eq!(std::fs::read(at("model")).unwrap(), b"new");
        let over = check_output(&at("link"), &[at("other"), at("model")]).unwrap_err();
        assert!(format!("{over:?}").contains("is one of --data"), "{over:?}");
        assert!(check_output(&at("link"), &[at("other")]).is_ok());
        assert_eq!(at("model").metadata().unwrap().permissions().mode() & 0o777, 0o640);
        symlink(at("gone"), at("dangling")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        for name in ["new/", "dangling", "folder", "socket"] {
            assert!(check_writable(&at(name)).is_err(), "{name}");
            assert!(write_whole(&at(name), b"new").is_err(), "{name}");
            let is_there = at(name).symlink_metadata().is_ok();
            assert_eq!(is_there, name != "new/", "{name} is as it was");
        }
        let names = std::fs::read_dir(folder.path()).unwrap();
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        assert!(!names.into_iter().any(|name| name.ends_with(".partial")));
    }
}
