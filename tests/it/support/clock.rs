//! The clock of a service, which the test sets.

/// Debian's libfaketime, and the file that says how far the clock is off.
pub struct Clock {
    library: String,
    file: tempfile::NamedTempFile,
}

impl Clock {
    /// The machine's clock, for now.
    pub fn new() -> Self {
        let found = std::fs::read_dir("/usr/lib").unwrap().filter_map(|entry| {
            let library = entry.ok()?.path().join("faketime/libfaketimeMT.so.1");
            library.exists().then(|| library.to_str().map(str::to_owned))?
        });
        let library =
            found.last().expect("libfaketime, of Debian's package faketime (`make deps`)");
        let clock = Self { library, file: tempfile::NamedTempFile::new().unwrap() };
        clock.set("+0");
        clock
    }

    /// Sets it off by `+1d`, `-1h` and so on.
    pub fn set(&self, offset: &str) {
        std::fs::write(self.file.path(), format!("{offset}\n")).unwrap();
    }

    /// What the service is to be started with.
    pub fn environment(&self) -> [(&str, &str); 4] {
        [
            ("LD_PRELOAD", &self.library),
            ("FAKETIME_TIMESTAMP_FILE", self.file.path().to_str().unwrap()),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]
    }
}
