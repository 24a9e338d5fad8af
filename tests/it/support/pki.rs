//! A small certificate authority, and certificates of it in files.

use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

/// An authority whose files live as long as it does.
pub struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    /// The file of the authority's own certificate.
    pub fn ca(&self) -> String {
        text(&self.folder.path().join("ca.pem"))
    }

    /// Files `{name}.pem` and `{name}.key`: a certificate for localhost that ends at the
    /// beginning of `year`.
    pub fn write(&self, name: &str, year: i32) -> (String, String) {
        let (certificate, key) = self.paths(name);
        let (certificate_pem, key_pem) = self.sign(year);
        std::fs::write(&certificate, certificate_pem).unwrap();
        std::fs::write(&key, key_pem).unwrap();
        (text(&certificate), text(&key))
    }

    /// A certificate for localhost and its key, as PEM.
    pub fn sign(&self, year: i32) -> (String, String) {
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    pub fn paths(&self, name: &str) -> (PathBuf, PathBuf) {
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        (file("pem"), file("key"))
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
