//! Where rows come from that may be more than memory holds.

use super::Csr;

/// Rows that are loaded and left together: the grain in which a fit mixes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Its rows.
    pub row_count: usize,
    /// The entries of all its rows.
    pub entry_count: usize,
}

/// The rows could not be loaded, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rows cannot be read back: {0}")]
pub struct RowsError(pub String);

/// Rows to learn from. They stand in pages, of which as many are in memory at once as fit.
pub trait RowSource: Sync {
    /// How many columns a row may have.
    fn column_count(&self) -> usize;

    /// The pages in order; the rows of one follow those of the page before.
    fn pages(&self) -> Vec<Page>;

    /// Entries that may be in memory at once. A page that has more is loaded alone.
    fn entry_count_max(&self) -> usize;

    /// The rows of some pages, one page after the other. A source whose rows are not in memory
    /// puts them into the buffer, in place of what is there.
    ///
    /// # Errors
    /// [`RowsError`] if they cannot be read.
    fn load<'a>(&'a self, pages: &[usize], buffer: &'a mut Csr) -> Result<&'a Csr, RowsError>;
}

/// All rows are in memory, as one page.
impl RowSource for Csr {
    fn column_count(&self) -> usize {
        self.column_count()
    }

    fn pages(&self) -> Vec<Page> {
        vec![Page { row_count: self.row_count(), entry_count: self.entry_count() }]
    }

    fn entry_count_max(&self) -> usize {
        usize::MAX
    }

    fn load<'a>(&'a self, _: &[usize], _: &'a mut Csr) -> Result<&'a Csr, RowsError> {
        Ok(self)
    }
}

impl<T: RowSource> RowSource for &T {
    fn column_count(&self) -> usize {
        (**self).column_count()
    }

    fn pages(&self) -> Vec<Page> {
        (**self).pages()
    }

    fn entry_count_max(&self) -> usize {
        (**self).entry_count_max()
    }

    fn load<'a>(&'a self, pages: &[usize], buffer: &'a mut Csr) -> Result<&'a Csr, RowsError> {
        (**self).load(pages, buffer)
    }
}

/// Calls `take` with each page's rows and the number of its first row.
///
/// # Errors
/// [`RowsError`] if a page cannot be read.
pub(super) fn for_each_page(
    rows: &(impl RowSource + ?Sized),
    mut take: impl FnMut(usize, &Csr),
) -> Result<(), RowsError> {
    let mut buffer = Csr::new(rows.column_count());
    let mut first = 0;
    for (number, page) in rows.pages().iter().enumerate() {
        take(first, rows.load(&[number], &mut buffer)?);
        first += page.row_count;
    }
    Ok(())
}
