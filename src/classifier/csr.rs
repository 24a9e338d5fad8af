//! Compressed sparse rows: the training table.
//!
//! Workload: some hundred thousand rows of 200–2,000 entries, written once row by row, then read
//! row by row in random order some twenty times. So: three flat arrays, no row objects.

/// A sparse matrix of 32-bit columns and values, by rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Csr {
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f32>,
    column_count: usize,
}

impl Csr {
    /// A matrix without rows, whose columns are `0..column_count`.
    pub fn new(column_count: usize) -> Self {
        Self { starts: vec![0], columns: Vec::new(), values: Vec::new(), column_count }
    }

    /// Appends a row.
    ///
    /// # Panics
    /// If a column is not below `column_count`: rows come from our own feature builder.
    pub fn push_row(&mut self, entries: impl IntoIterator<Item = (u32, f32)>) {
        for (column, value) in entries {
            assert!((column as usize) < self.column_count, "column {column} is out of range");
            self.columns.push(column);
            self.values.push(value);
        }
        self.starts.push(self.columns.len());
    }

    /// Appends all rows of `other`, in order.
    ///
    /// # Panics
    /// If `other` has another number of columns.
    pub fn append(&mut self, other: &Self) {
        assert_eq!(self.column_count, other.column_count, "matrices of different widths");
        let offset = self.columns.len();
        self.columns.extend_from_slice(&other.columns);
        self.values.extend_from_slice(&other.values);
        self.starts.extend(other.starts[1..].iter().map(|start| offset + start));
    }

    /// Makes room for so many further rows and entries, and no more than that.
    pub fn reserve(&mut self, row_count: usize, entry_count: usize) {
        self.starts.reserve_exact(row_count);
        self.columns.reserve_exact(entry_count);
        self.values.reserve_exact(entry_count);
    }

    /// Forgets all rows and keeps their room.
    pub fn clear(&mut self) {
        self.starts.truncate(1);
        self.columns.clear();
        self.values.clear();
    }

    /// Keeps the rows that `keeps` names by their number, in their place.
    pub fn retain_rows(&mut self, keeps: impl Fn(usize) -> bool) {
        let (mut rows, mut end) = (0, 0);
        for row in 0..self.row_count() {
            if keeps(row) {
                let range = self.starts[row]..self.starts[row + 1];
                let length = range.len();
                self.columns.copy_within(range.clone(), end);
                self.values.copy_within(range, end);
                (rows, end) = (rows + 1, end + length);
                // Not above `row + 1`, whose end was read.
                self.starts[rows] = end;
            }
        }
        self.starts.truncate(rows + 1);
        self.columns.truncate(end);
        self.values.truncate(end);
    }

    /// The columns and values of row `index`.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn row(&self, index: usize) -> (&[u32], &[f32]) {
        let range = self.starts[index]..self.starts[index + 1];
        (&self.columns[range.clone()], &self.values[range])
    }

    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// How many columns a row may have.
    pub fn column_count(&self) -> usize {
        self.column_count
    }

    /// How many entries all rows have together.
    pub fn entry_count(&self) -> usize {
        self.columns.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_pushed() {
        let mut first = Csr::new(8);
        first.push_row([(1, 0.5), (7, 2.0)]);
        first.push_row([]);
        let mut second = Csr::new(8);
        second.push_row([(0, 1.0)]);
        first.append(&second);
        assert_eq!(first.row_count(), 3);
        assert_eq!(first.entry_count(), 3);
        assert_eq!(first.row(0), (&[1, 7][..], &[0.5, 2.0][..]));
        assert_eq!(first.row(1), (&[][..], &[][..]));
        assert_eq!(first.row(2), (&[0][..], &[1.0][..]));
    }

    #[test]
    fn rows_that_are_kept_move_together_and_cleared_ones_are_gone() {
        let mut rows = Csr::new(8);
        for row in 0..5u32 {
            rows.push_row((0..row).map(|column| (column, row as f32)));
        }
        rows.retain_rows(|row| row == 1 || row == 4);
        assert_eq!((rows.row_count(), rows.entry_count()), (2, 5));
        assert_eq!(rows.row(0), (&[0][..], &[1.0][..]));
        assert_eq!(rows.row(1), (&[0, 1, 2, 3][..], &[4.0; 4][..]));
        rows.clear();
        assert_eq!(rows, Csr::new(8));
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn columns_are_bounded() {
        Csr::new(2).push_row([(2, 1.0)]);
    }
}
