//! The checksum at the end of a backup.
//!
//! SQLite sees damage of its own structures, and not a changed letter in a comment. So a backup
//! ends with 40 bytes more than its pages: a mark and the SHA-256 of all before it. SQLite goes by
//! the count of pages in the header, so that the file is still a database to every tool.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

const MARK: [u8; 8] = *b"rpgd-sum";
const DIGEST_BYTES: usize = 32;
/// How every database of SQLite begins.
const DATABASE: &[u8; 16] = b"SQLite format 3\0";
/// Bytes of the mark and the digest.
const TRAILER_BYTES: usize = MARK.len() + DIGEST_BYTES;
/// SQLite's smallest page; every page is a multiple of it.
const PAGE_BYTES_MIN: u64 = 512;
/// Bytes that are read at once.
const BUFFER_BYTES: usize = 1 << 16;

/// What the end of a file says about the rest.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verified {
    /// Every byte is as it was written.
    Whole,
    /// There is no checksum, as in backups of versions before, and copies made by other tools.
    Unchecked,
    /// Something was changed or is missing; said in words.
    Damaged(&'static str),
}

/// Appends the checksum of all that is in `file`.
///
/// # Errors
/// What the file system said.
pub(super) fn append(file: &mut File) -> io::Result<()> {
    let byte_count = file.metadata()?.len();
    let digest = digest(file, byte_count)?;
    file.seek(SeekFrom::End(0))?;
    file.write_all(&MARK)?;
    file.write_all(&digest)
}

/// Compares a file with the checksum at its end.
///
/// # Errors
/// What the file system said.
pub(super) fn verify(file: &mut File) -> io::Result<Verified> {
    let byte_count = file.metadata()?.len();
    if byte_count == 0 {
        return Ok(Verified::Damaged("it is empty"));
    }
    let mut begin = Vec::with_capacity(DATABASE.len());
    file.seek(SeekFrom::Start(0))?;
    file.take(DATABASE.len() as u64).read_to_end(&mut begin)?;
    if begin != DATABASE {
        return Ok(Verified::Damaged("it does not begin as a backup does"));
    }
    let Some(content) = byte_count.checked_sub(TRAILER_BYTES as u64) else {
        return Ok(Verified::Unchecked);
    };
    let mut trailer = [0; TRAILER_BYTES];
    file.seek(SeekFrom::Start(content))?;
    file.read_exact(&mut trailer)?;
    let (mark, expected) = trailer.split_at(MARK.len());
    if mark != MARK {
        let cut = !byte_count.is_multiple_of(PAGE_BYTES_MIN);
        let cut = cut.then_some(Verified::Damaged("it ends within a page: the copy is not whole"));
        return Ok(cut.unwrap_or(Verified::Unchecked));
    }
    Ok(if digest(file, content)?[..] == *expected {
        Verified::Whole
    } else {
        Verified::Damaged("its checksum is another: something in it was changed")
    })
}

/// The SHA-256 of the first `byte_count` bytes.
fn digest(file: &mut File, byte_count: u64) -> io::Result<[u8; DIGEST_BYTES]> {
    file.seek(SeekFrom::Start(0))?;
    let mut rest = file.take(byte_count);
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().into()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_changed_or_missing_byte_is_seen() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(DATABASE).unwrap();
        file.write_all(&[7; 1_024 - DATABASE.len()]).unwrap();
        assert_eq!(verify(&mut file).unwrap(), Verified::Unchecked);
        append(&mut file).unwrap();
        assert_eq!(verify(&mut file).unwrap(), Verified::Whole);
        for place in [0, 500, 1_023, 1_040] {
            let mut byte = [0];
            file.seek(SeekFrom::Start(place)).unwrap();
            file.read_exact(&mut byte).unwrap();
            for value in [byte[0] ^ 1, byte[0]] {
                file.seek(SeekFrom::Start(place)).unwrap();
                file.write_all(&[value]).unwrap();
                let whole = verify(&mut file).unwrap() == Verified::Whole;
                assert_eq!(whole, value == byte[0], "byte {place}");
            }
        }
        for length in [1_063, 1_030, 700, 10, 0] {
            file.set_len(length).unwrap();
            assert!(matches!(verify(&mut file).unwrap(), Verified::Damaged(_)), "{length}");
        }
    }
}
