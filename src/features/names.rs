//! What features are called when a score is explained.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a word that are shown.
const VALUE_BYTES_MAX: usize = 64;

/// Told what the features that were counted since the last name stand for. Serving without
/// explanation uses `()`, for which all of this is compiled away. `position` is how many features
/// the comment has so far; where none was new, a name costs a comparison.
pub(super) trait Naming {
    /// They come from this thing, such as the word `casino`.
    fn attribute(&mut self, kind: &'static str, value: &str, position: usize);
    /// They come from two words that stand side by side.
    fn attribute_pair(&mut self, first: &str, second: &str, position: usize);
}

impl Naming for () {
    #[inline(always)]
    fn attribute(&mut self, _: &'static str, _: &str, _: usize) {}

    #[inline(always)]
    fn attribute_pair(&mut self, _: &str, _: &str, _: usize) {}
}

/// Readable names of the features of one comment, in the order of its vector.
///
/// Workload: one for each explained comment, 100–400 names for 1,000–3,000 features: the n-grams
/// of a word share its name. Reused without allocating anew. A name is looked up only once it is
/// known that new features came from it: the second `the` of a comment has none.
#[derive(Debug, Clone, Default)]
pub struct Names {
    values: String,
    /// Kind, and where in `values` the value stands. Each name stands here once.
    origins: Vec<(&'static str, Range<usize>)>,
    /// Hash of kind and value to the position in `origins`.
    known: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// Features side by side that have one name.
    runs: Vec<NameRun>,
}

/// The features from the end of the run before to `end`, and the position of their origin.
#[derive(Debug, Clone, Copy)]
struct NameRun {
    origin: u32,
    end: usize,
}

impl Names {
    /// How many different names there are.
    pub fn count(&self) -> usize {
        self.origins.len()
    }

    /// The features in order, as runs of one name each: the name's index, below [`Names::count`],
    /// and the positions in the vector. Every feature is in one run; a name may have several.
    #[inline]
    pub fn runs(&self) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
        let mut start = 0;
        self.runs.iter().map(move |run| {
            let positions = start..run.end;
            start = run.end;
            (run.origin as usize, positions)
        })
    }

    /// Kind and value of a name, such as `word` and `casino`.
    ///
    /// # Panics
    /// If `index` is not below [`Names::count`].
    pub fn name(&self, index: usize) -> (&str, &str) {
        let (kind, value) = &self.origins[index];
        (kind, &self.values[value.clone()])
    }

    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.origins.clear();
        self.known.clear();
        self.runs.clear();
    }

    /// How many features have a name.
    fn end(&self) -> usize {
        self.runs.last().map_or(0, |run| run.end)
    }

    /// The position in `origins` of a name with this hash: a known one, or `next`.
    fn known(&mut self, hash: u64, next: u32) -> u32 {
        *self.known.entry(hash).or_insert(next)
    }

    /// The origin of a value that stands at the end of `values`, from `start` on.
    fn origin_of(&mut self, kind: &'static str, start: usize) -> u32 {
        let value = start..self.values.len();
        let next = self.origins.len() as u32;
        let known = self.known(hash(kind, &self.values[value.clone()]), next);
        let same =
            known != next && self.name(known as usize) == (kind, &self.values[value.clone()]);
        if same {
            self.values.truncate(start);
            known
        } else {
            self.origins.push((kind, value));
            next
        }
    }
}

impl Naming for &mut Names {
    #[inline]
    fn attribute(&mut self, kind: &'static str, value: &str, position: usize) {
        if self.end() == position {
            return;
        }
        let value = cut(value);
        let next = self.origins.len() as u32;
        let known = self.known(hash(kind, value), next);
        let same = known != next && self.name(known as usize) == (kind, value);
        let origin = if same {
            known
        } else {
            let start = self.values.len();
            self.values.push_str(value);
            self.origins.push((kind, start..self.values.len()));
            next
        };
        self.runs.push(NameRun { origin, end: position });
    }

    #[inline]
    fn attribute_pair(&mut self, first: &str, second: &str, position: usize) {
        if self.end() == position {
            return;
        }
        let start = self.values.len();
        self.values.push_str(cut(first));
        self.values.push(' ');
        self.values.push_str(cut(second));
        let origin = self.origin_of("words", start);
        self.runs.push(NameRun { origin, end: position });
    }
}

/// The hash of a name.
fn hash(kind: &str, value: &str) -> u64 {
    // Nearly all names are of the first two kinds.
    let seed = match kind {
        "word" => 1,
        "words" => 2,
        kind => kind.bytes().fold(0, |seed, byte| seed << 5 ^ u64::from(byte)),
    };
    xxh3_64_with_seed(value.as_bytes(), seed)
}

/// The beginning of a value, as much as a person wants to see of 60 kB without a space.
pub(super) fn cut(value: &str) -> &str {
    &value[..value.floor_char_boundary(VALUE_BYTES_MAX)]
}

/// The hasher of keys that are hashes.
#[derive(Debug, Clone, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_stand_once() {
        let mut names = Names::default();
        let mut naming = &mut names;
        for (position, (kind, value)) in
            [("word", "casino"), ("host", "casino"), ("word", "casino")].iter().enumerate()
        {
            naming.attribute(kind, value, position + 1);
        }
        naming.attribute_pair("free", "casino", 5);
        naming.attribute("word", "nothing new", 5);
        naming.attribute_pair("nothing", "new", 5);
        assert_eq!(names.count(), 3);
        let found: Vec<_> = names.runs().map(|(name, run)| (names.name(name), run)).collect();
        assert_eq!(
            found,
            [
                (("word", "casino"), 0..1),
                (("host", "casino"), 1..2),
                (("word", "casino"), 2..3),
                (("words", "free casino"), 3..5),
            ]
        );
    }
}
