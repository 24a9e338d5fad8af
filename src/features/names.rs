//! What features are called when a score is explained.

/// Told what the features that follow stand for. Serving without explanation uses `()`, for
/// which all of this is compiled away.
pub(super) trait Naming {
    /// Features from here on come from this thing, such as the word `casino`.
    fn origin(&mut self, kind: &'static str, value: &str);
    /// Features from here on come from two words that stand side by side.
    fn pair(&mut self, first: &str, second: &str);
    /// A new feature was counted.
    fn counted(&mut self);
}

impl Naming for () {
    #[inline(always)]
    fn origin(&mut self, _: &'static str, _: &str) {}

    #[inline(always)]
    fn pair(&mut self, _: &str, _: &str) {}

    #[inline(always)]
    fn counted(&mut self) {}
}

/// Readable names of the features of one comment, in the order of its vector.
///
/// Workload: one for each explained comment; names are shared by the n-grams of a word, so there
/// are about as many as words. Reused without allocating anew.
#[derive(Debug, Clone, Default)]
pub struct Names {
    values: String,
    /// Kind, and where in `values` the value ends.
    origins: Vec<(&'static str, usize)>,
    /// For each feature the position of its origin.
    features: Vec<u32>,
}

impl Names {
    /// Kind and value of the feature at `position` of the vector, such as `word` and `casino`.
    ///
    /// # Panics
    /// If the vector built with these names has no such position.
    pub fn of(&self, position: usize) -> (&str, &str) {
        let origin = self.features[position] as usize;
        let start = origin.checked_sub(1).map_or(0, |before| self.origins[before].1);
        let (kind, end) = self.origins[origin];
        (kind, &self.values[start..end])
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.origins.clear();
        self.features.clear();
    }
}

impl Naming for &mut Names {
    fn origin(&mut self, kind: &'static str, value: &str) {
        self.values.push_str(value);
        self.origins.push((kind, self.values.len()));
    }

    fn pair(&mut self, first: &str, second: &str) {
        self.values.push_str(first);
        self.values.push(' ');
        self.origin("words", second);
    }

    fn counted(&mut self) {
        self.features.push(self.origins.len() as u32 - 1);
    }
}
