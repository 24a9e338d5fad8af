//! Progress bars on standard error; indicatif hides them where that is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` steps.
pub fn bar(total: u64, what: &'static str, template: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(total).with_style(style).with_message(what)
}

/// A bar over the bytes of files; what cannot be asked counts as nothing.
pub fn bytes_bar(paths: &[std::path::PathBuf], what: &'static str) -> ProgressBar {
    let size = |path| std::fs::metadata(path).map_or(0, |data| data.len());
    let total = paths.iter().map(size).sum();
    bar(total, what, "{msg:>12} {wide_bar} {bytes}/{total_bytes} {eta}")
}
