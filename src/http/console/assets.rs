//! Style sheet, script and icon. Their names change with their content, so browsers keep them.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use super::errors::PageError;
use super::{CONSOLE_PATH, Console};

/// A file and the name it is served under.
struct Asset {
    name: String,
    kind: &'static str,
    content: &'static str,
}

impl Asset {
    fn new(ending: &str, kind: &'static str, content: &'static str) -> Self {
        let digest = Sha256::digest(content.as_bytes());
        let digits: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { name: format!("{digits}.{ending}"), kind, content }
    }

    fn path(&self) -> String {
        format!("{CONSOLE_PATH}/assets/{}", self.name)
    }
}

static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../../templates/console/console.css");
    Asset::new("css", "text/css; charset=utf-8", content)
});
static SCRIPT: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../../templates/console/console.js");
    Asset::new("js", "text/javascript; charset=utf-8", content)
});
static DESK: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../../templates/console/desk.js");
    Asset::new("js", "text/javascript; charset=utf-8", content)
});
static ICON: LazyLock<Asset> = LazyLock::new(|| {
    let content = include_str!("../../../templates/console/icon.svg");
    Asset::new("svg", "image/svg+xml", content)
});

/// Where the layout finds them.
#[derive(Debug, Clone)]
pub(super) struct AssetPaths {
    /// The style sheet.
    pub style: String,
    /// The script.
    pub script: String,
    /// The script of the queue.
    pub desk: String,
    /// The icon.
    pub icon: String,
}

impl AssetPaths {
    pub(super) fn current() -> Self {
        Self { style: STYLE.path(), script: SCRIPT.path(), desk: DESK.path(), icon: ICON.path() }
    }
}

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/assets/{name}", get(asset))
}

async fn asset(Path(name): Path<String>) -> Result<Response, PageError> {
    let assets = [&*STYLE, &*SCRIPT, &*DESK, &*ICON];
    let found = assets.into_iter().find(|asset| asset.name == name).ok_or(PageError::NotFound)?;
    let headers = [
        (header::CONTENT_TYPE, found.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    Ok((headers, found.content).into_response())
}
