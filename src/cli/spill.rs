//! The training table, which goes to a temporary file when it outgrows its memory.
//!
//! Workload: some gigabytes, written once row by row, then read some twenty times page by page in
//! an order drawn by lot. The file has no name, so the system takes it back when the process ends,
//! however it ends.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use crate::classifier::{Csr, Page, RowSource, RowsError};

/// Bytes of a column and a value in memory.
pub(super) const ENTRY_BYTES: usize = 8;
/// Entries of a page at most: 8 MiB in memory, so that reading one takes longer than finding it.
const PAGE_ENTRY_COUNT_MAX: usize = 1 << 20;
/// Pages in memory at least, where memory is small: fewer would be poorly mixed.
const BLOCK_PAGE_COUNT: usize = 16;
/// Columns of the file have three bytes.
const COLUMN_COUNT_MAX: usize = 1 << 24;

/// The temporary file cannot be written: exit code 74 (`EX_IOERR`).
#[derive(Debug, thiserror::Error)]
#[error(
    "the rows outgrow --memory-mib-max and cannot be written to a temporary file in {folder}: \
     {error} (TMPDIR names another folder)"
)]
pub struct SpillError {
    folder: String,
    error: std::io::Error,
}

/// Where the file comes from.
type Open = fn() -> std::io::Result<File>;

/// Takes rows, in memory as long as they fit.
pub(super) struct RowWriter {
    open: Open,
    column_count: usize,
    entry_count_max: usize,
    page_entry_count_max: usize,
    /// The rows after the last page.
    last: Csr,
    /// The pages, as long as all are in memory.
    kept: Vec<Csr>,
    kept_entry_count: usize,
    spill: Option<Spill>,
    /// Reused from page to page.
    bytes: Vec<u8>,
}

impl RowWriter {
    /// A table that has `memory_bytes_max` of memory.
    ///
    /// # Panics
    /// If columns need more than three bytes.
    pub(super) fn new(column_count: usize, memory_bytes_max: usize) -> Self {
        assert!(column_count <= COLUMN_COUNT_MAX, "columns have three bytes in the file");
        let entry_count_max = memory_bytes_max / ENTRY_BYTES;
        let page_entry_count_max = (entry_count_max / BLOCK_PAGE_COUNT).min(PAGE_ENTRY_COUNT_MAX);
        Self {
            open: tempfile::tempfile,
            column_count,
            entry_count_max,
            page_entry_count_max,
            last: Csr::new(column_count),
            kept: Vec::new(),
            kept_entry_count: 0,
            spill: None,
            bytes: Vec::new(),
        }
    }

    /// Appends a row.
    ///
    /// # Errors
    /// [`SpillError`] if rows have to go to the file and cannot.
    pub(super) fn push_row(
        &mut self,
        entries: impl Iterator<Item = (u32, f32)>,
    ) -> Result<(), SpillError> {
        self.last.push_row(entries);
        if self.last.entry_count() >= self.page_entry_count_max {
            self.end_page()?;
        }
        Ok(())
    }

    /// The table.
    ///
    /// # Errors
    /// As [`Self::push_row`].
    pub(super) fn close(mut self) -> Result<RowTable, SpillError> {
        self.end_page()?;
        if let Some(spill) = self.spill {
            return Ok(RowTable::Spilled(spill));
        }
        let mut table = Csr::new(self.column_count);
        table.reserve(self.kept.iter().map(Csr::row_count).sum(), self.kept_entry_count);
        // Each page is freed as soon as it is copied.
        self.kept.into_iter().for_each(|page| table.append(&page));
        Ok(RowTable::Memory(table))
    }

    fn end_page(&mut self) -> Result<(), SpillError> {
        let page = std::mem::replace(&mut self.last, Csr::new(self.column_count));
        let entry_count = self.kept_entry_count + page.entry_count();
        if self.spill.is_none() && entry_count <= self.entry_count_max {
            self.kept.push(page);
            self.kept_entry_count = entry_count;
            return Ok(());
        }
        self.write(page).map_err(|error| {
            let folder = std::env::temp_dir().display().to_string();
            SpillError { folder, error }
        })
    }

    fn write(&mut self, page: Csr) -> std::io::Result<()> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill {
                file: (self.open)()?,
                column_count: self.column_count,
                entry_count_max: self.entry_count_max,
                pages: Vec::new(),
                ends: Vec::new(),
            }),
        };
        for page in std::mem::take(&mut self.kept).into_iter().chain([page]) {
            spill.append(&page, &mut self.bytes)?;
        }
        Ok(())
    }
}

/// The rows of a training.
pub(super) enum RowTable {
    /// All are in memory.
    Memory(Csr),
    /// More than that.
    Spilled(Spill),
}

/// Pages of rows in a file.
pub(super) struct Spill {
    file: File,
    column_count: usize,
    entry_count_max: usize,
    pages: Vec<Page>,
    /// Where each page ends in the file.
    ends: Vec<u64>,
}

impl RowTable {
    /// The rows that `keeps` names by their number, as a table of so many entries in memory.
    ///
    /// # Errors
    /// [`RowsError`] if the file cannot be read.
    pub(super) fn sample(
        self,
        keeps: impl Fn(usize) -> bool,
        entry_count: usize,
    ) -> Result<Csr, RowsError> {
        let spill = match self {
            Self::Memory(mut table) => {
                table.retain_rows(keeps);
                return Ok(table);
            }
            Self::Spilled(spill) => spill,
        };
        let (mut sample, mut buffer) = (Csr::new(spill.column_count), Csr::new(spill.column_count));
        sample.reserve(0, entry_count);
        let mut first = 0;
        for number in 0..spill.pages.len() {
            buffer.clear();
            spill.read(number, &mut Vec::new(), &mut buffer)?;
            let row_count = buffer.row_count();
            buffer.retain_rows(|row| keeps(first + row));
            sample.append(&buffer);
            first += row_count;
        }
        Ok(sample)
    }
}

impl Spill {
    /// Bytes of the file.
    pub(super) fn byte_count(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    fn append(&mut self, page: &Csr, bytes: &mut Vec<u8>) -> std::io::Result<()> {
        bytes.clear();
        for row in 0..page.row_count() {
            encode(page.row(row), bytes);
        }
        self.file.write_all(bytes)?;
        self.ends.push(self.byte_count() + bytes.len() as u64);
        self.pages.push(Page { row_count: page.row_count(), entry_count: page.entry_count() });
        Ok(())
    }

    /// Appends the rows of a page to `rows`.
    fn read(&self, page: usize, bytes: &mut Vec<u8>, rows: &mut Csr) -> Result<(), RowsError> {
        let start = page.checked_sub(1).map_or(0, |before| self.ends[before]);
        bytes.resize((self.ends[page] - start) as usize, 0);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start))
            .and_then(|_| file.read_exact(bytes))
            .map_err(|error| RowsError(error.to_string()))?;
        decode(bytes, self.pages[page].row_count, rows)
            .ok_or_else(|| RowsError("the temporary file is not as it was written".to_owned()))
    }
}

impl RowSource for RowTable {
    fn column_count(&self) -> usize {
        match self {
            Self::Memory(table) => table.column_count(),
            Self::Spilled(spill) => spill.column_count,
        }
    }

    fn pages(&self) -> Vec<Page> {
        match self {
            Self::Memory(table) => table.pages(),
            Self::Spilled(spill) => spill.pages.clone(),
        }
    }

    fn entry_count_max(&self) -> usize {
        match self {
            Self::Memory(table) => table.entry_count_max(),
            Self::Spilled(spill) => spill.entry_count_max,
        }
    }

    fn load<'a>(&'a self, pages: &[usize], buffer: &'a mut Csr) -> Result<&'a Csr, RowsError> {
        let spill = match self {
            Self::Memory(table) => return Ok(table),
            Self::Spilled(spill) => spill,
        };
        buffer.clear();
        if pages.len() > 1 {
            // All that it will ever hold: growing would need twice the memory for a moment.
            let row_count = pages.iter().map(|page| spill.pages[*page].row_count).sum();
            buffer.reserve(row_count, spill.entry_count_max);
        }
        let mut bytes = Vec::new();
        for page in pages {
            spill.read(*page, &mut bytes, buffer)?;
        }
        Ok(buffer)
    }
}

/// A row as runs of columns that share a value, as the feature builder makes them: the number of
/// runs, then of each its value, its length and its columns.
fn encode((columns, values): (&[u32], &[f32]), bytes: &mut Vec<u8>) {
    let runs = || values.chunk_by(|one, next| one.to_bits() == next.to_bits());
    bytes.extend((runs().count() as u32).to_le_bytes());
    let mut rest = columns;
    for run in runs() {
        let (columns, others) = rest.split_at(run.len());
        rest = others;
        bytes.extend(run[0].to_le_bytes());
        bytes.extend((run.len() as u32).to_le_bytes());
        for column in columns {
            bytes.extend(&column.to_le_bytes()[..3]);
        }
    }
}

/// Appends so many rows to `rows`; nothing if the bytes are not what [`encode`] wrote.
fn decode(bytes: &[u8], row_count: usize, rows: &mut Csr) -> Option<()> {
    let mut rest = bytes;
    let word = |rest: &mut &[u8]| {
        let (word, others) = rest.split_first_chunk::<4>()?;
        *rest = others;
        Some(*word)
    };
    let mut entries: Vec<(u32, f32)> = Vec::new();
    for _ in 0..row_count {
        entries.clear();
        for _ in 0..u32::from_le_bytes(word(&mut rest)?) {
            let value = f32::from_le_bytes(word(&mut rest)?);
            let count = u32::from_le_bytes(word(&mut rest)?) as usize;
            let (columns, others) = rest.split_at_checked(3 * count)?;
            rest = others;
            let column = |three: &[u8; 3]| u32::from_le_bytes([three[0], three[1], three[2], 0]);
            let (columns, _) = columns.as_chunks::<3>();
            entries.extend(columns.iter().map(|three| (column(three), value)));
        }
        rows.push_row(entries.iter().copied());
    }
    rest.is_empty().then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: usize = 1 << 20;

    /// Rows of some runs, the last of them without entries.
    fn rows(count: u32) -> Csr {
        let mut rows = Csr::new(COLUMNS);
        for row in 0..count {
            let entry =
                |at: u32| ((row * 7_919 + at * 104_729) % (1 << 20), 1.0 / (1 + at / 8) as f32);
            rows.push_row((0..row % 50).map(entry));
        }
        rows.push_row([]);
        rows
    }

    fn written(rows: &Csr, memory_bytes_max: usize) -> Result<RowTable, SpillError> {
        fill(RowWriter::new(COLUMNS, memory_bytes_max), rows)
    }

    fn fill(mut writer: RowWriter, rows: &Csr) -> Result<RowTable, SpillError> {
        for row in 0..rows.row_count() {
            let (columns, values) = rows.row(row);
            writer.push_row(columns.iter().copied().zip(values.iter().copied()))?;
        }
        writer.close()
    }

    #[test]
    fn rows_that_fit_are_one_page_in_memory() {
        let rows = rows(500);
        let table = written(&rows, 8 * rows.entry_count()).unwrap();
        assert!(matches!(&table, RowTable::Memory(table) if *table == rows));
        assert_eq!(table.pages().len(), 1);
    }

    #[test]
    fn rows_that_do_not_fit_come_back_from_the_file_as_they_were() {
        let rows = rows(500);
        let table = written(&rows, 8 * rows.entry_count() / 4).unwrap();
        let RowTable::Spilled(spill) = &table else { panic!("all in memory") };
        assert!(spill.byte_count() < 8 * rows.entry_count() as u64, "less than in memory");
        let pages = table.pages();
        assert!((48..=64).contains(&pages.len()), "{}", pages.len());
        let all: Vec<usize> = (0..pages.len()).collect();
        let mut buffer = Csr::new(COLUMNS);
        assert_eq!(*table.load(&all, &mut buffer).unwrap(), rows);
        let first: usize = pages[..5].iter().map(|page| page.row_count).sum();
        let page = table.load(&[5], &mut buffer).unwrap();
        assert_eq!((page.row_count(), page.row(0)), (pages[5].row_count, rows.row(first)));
        let mut kept = rows.clone();
        kept.retain_rows(|row| row % 3 == 0);
        assert_eq!(table.sample(|row| row % 3 == 0, kept.entry_count()).unwrap(), kept);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_is_said_and_what_was_lost_too() {
        let rows = rows(500);
        let mut writer = RowWriter::new(COLUMNS, 8 * rows.entry_count() / 4);
        writer.open = || File::options().write(true).open("/dev/full");
        let error = fill(writer, &rows).err().unwrap().to_string();
        assert!(
            error.contains("outgrow --memory-mib-max") && error.contains("No space"),
            "{error}"
        );
        let RowTable::Spilled(spill) = written(&rows, 8 * rows.entry_count() / 4).unwrap() else {
            panic!("all in memory")
        };
        spill.file.set_len(spill.byte_count() - 9).unwrap();
        let table = RowTable::Spilled(spill);
        let last = table.pages().len() - 1;
        let error = table.load(&[last], &mut Csr::new(COLUMNS)).unwrap_err().to_string();
        assert!(error.starts_with("the rows cannot be read back: "), "{error}");
    }
}
