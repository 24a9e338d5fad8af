//! A real browser: headless Chromium, driven through chromedriver.
//!
//! `make deps` installs both, and axe-core into `target/test-tools`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fantoccini::actions::{InputSource, KeyAction, KeyActions};
use fantoccini::wd::{Locator, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::service::{PATIENCE, wait_for};

/// One browser at a time: a machine with two cores is slow with more.
static TURN: Semaphore = Semaphore::const_new(1);

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A wide window, light colours.
    Light,
    /// A wide window, dark colours.
    Dark,
    /// A phone of 360 pixels, light colours.
    Phone,
    /// The same, dark colours.
    PhoneDark,
}

impl Look {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Light, Self::Dark, Self::Phone, Self::PhoneDark];

    fn is_dark(self) -> bool {
        matches!(self, Self::Dark | Self::PhoneDark)
    }

    fn is_phone(self) -> bool {
        matches!(self, Self::Phone | Self::PhoneDark)
    }
}

/// A running browser with one window. Everything ends when this is dropped.
pub struct Browser {
    /// What fantoccini can do.
    pub client: Client,
    _driver: Driver,
    origin: String,
    _profile: TempDir,
    _turn: SemaphorePermit<'static>,
}

/// chromedriver, on a port of its own choice.
struct Driver {
    child: Child,
    _output: BufReader<ChildStdout>,
    port: u16,
    session: Option<String>,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver (run `make deps`)");
        let mut output = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        let port = loop {
            line.clear();
            let count = output.read_line(&mut line).expect("its output");
            assert!(count > 0, "chromedriver ended without saying its port");
            let said = line.trim_end().trim_end_matches('.').rsplit_once("on port ");
            let port = said.and_then(|(_, port)| port.parse().ok());
            // Some versions first say which port was asked for: 0.
            if let Some(port) = port.filter(|port| *port != 0) {
                break port;
            }
        };
        Self { child, _output: output, port, session: None }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Ending the session ends Chromium; the driver alone would leave it behind.
        if let Some(session) = &self.session
            && let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port))
        {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let request = format!(
                "DELETE /session/{session} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(request.as_bytes());
            // The answer comes when Chromium has ended; the driver keeps the connection open.
            let _ = stream.read(&mut [0; 512]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// Opens a window for the HTTP port at `address`.
    pub async fn open(address: &str) -> Self {
        let turn = TURN.acquire().await.expect("never closed");
        let profile = TempDir::new().expect("a temporary folder");
        let mut driver = Driver::start();
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            "--disable-gpu".into(),
            "--disable-dev-shm-usage".into(),
            "--disable-background-networking".into(),
            "--no-first-run".into(),
            "--hide-scrollbars".into(),
            "--window-size=1280,900".into(),
        ];
        if rustix::process::geteuid().is_root() {
            arguments.push("--no-sandbox".into());
        }
        let options = json!({ "goog:chromeOptions": { "args": arguments } });
        let Value::Object(capabilities) = options else { unreachable!("an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&format!("http://127.0.0.1:{}", driver.port))
            .await
            .expect("Chromium starts");
        driver.session = client.session_id().await.expect("a session");
        let origin = format!("http://{address}");
        Self { client, _driver: driver, origin, _profile: profile, _turn: turn }
    }

    /// Loads a page: a path, or a whole link.
    pub async fn goto(&self, path: &str) {
        let url = if path.contains("://") { path.to_owned() } else { self.origin.clone() + path };
        self.client.goto(&url).await.expect("the page loads");
    }

    /// The path that is shown.
    pub async fn path(&self) -> String {
        self.client.current_url().await.expect("a page").path().to_owned()
    }

    /// Types into the field with this name.
    pub async fn fill(&self, name: &str, text: &str) {
        let field = self.find(&format!("[name=\"{name}\"]:not([type=hidden])")).await;
        field.clear().await.expect("a field");
        field.send_keys(text).await.expect("a field");
    }

    /// Clicks what `css` finds.
    pub async fn click(&self, css: &str) {
        self.find(css).await.click().await.expect("something to click");
    }

    /// Clicks what leads to another page, and waits until that is loaded: an element that both
    /// pages have would else be found in the one that is about to go.
    pub async fn follow(&self, css: &str) {
        self.run("window.replyguardLeft = true").await;
        self.click(css).await;
        let script = "return !window.replyguardLeft && document.readyState === 'complete'";
        wait_for(&format!("the page behind {css}"), || async {
            // Between two pages there is nothing that could run a script.
            let arrived = self.client.execute(script, Vec::new()).await.ok()?;
            (arrived == Value::Bool(true)).then_some(())
        })
        .await;
    }

    /// Waits for an element.
    pub async fn find(&self, css: &str) -> fantoccini::elements::Element {
        let found = self.client.wait().at_most(PATIENCE).for_element(Locator::Css(css)).await;
        found.unwrap_or_else(|error| panic!("gave up waiting for {css}: {error}"))
    }

    /// The text that an element shows.
    pub async fn text(&self, css: &str) -> String {
        self.find(css).await.text().await.expect("its text")
    }

    /// Presses keys, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        // As a keyboard does, without an element of their own: after a dialog has closed, its
        // hidden button has the focus for a frame, and would refuse them.
        let keys =
            keys.chars().flat_map(|value| [KeyAction::Down { value }, KeyAction::Up { value }]);
        let keyboard = KeyActions::new("keyboard".into());
        let keyboard = keys.fold(keyboard, |keyboard, key| keyboard.then(key));
        self.client.perform_actions(keyboard).await.expect("keys arrive");
    }

    /// Runs a script in the page and gives what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.client.execute(script, Vec::new()).await.expect("the script runs")
    }

    /// Looks at the page in another way.
    pub async fn look(&self, look: Look) {
        let scheme = if look.is_dark() { "dark" } else { "light" };
        let media = json!({ "features": [
            { "name": "prefers-color-scheme", "value": scheme },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ] });
        self.devtools("Emulation.setEmulatedMedia", media).await;
        let phone = look.is_phone();
        let (width, height) = if phone { (360, 740) } else { (1280, 900) };
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": if phone { 2 } else { 1 },
            "mobile": phone,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let touch = json!({ "enabled": phone, "maxTouchPoints": 1 });
        self.devtools("Emulation.setTouchEmulationEnabled", touch).await;
        // A click before the new layout is drawn would go where things were.
        let drawn = "const done = arguments[arguments.length - 1]; \
             requestAnimationFrame(() => requestAnimationFrame(() => done(innerWidth)))";
        let drawn = self.client.execute_async(drawn, Vec::new()).await.expect("frames are drawn");
        assert!(phone || drawn == json!(width), "the window is {drawn} wide, not {width}");
    }

    /// Asserts that nothing is wider than the window, and that no control lies on another.
    pub async fn assert_fits(&self) {
        let script = "const root = document.documentElement; \
             return [root.scrollWidth, root.clientWidth]";
        let widths = self.run(script).await;
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "wider than the window: {widths}");
        let script = "const shown = [...document.querySelectorAll('main button, main select')]
                 .filter(one => one.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
                 .map(one => [one, one.getBoundingClientRect()]);
             const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
                 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
             return shown.flatMap(([one, a], at) => shown.slice(at + 1)
                 .filter(([other, b]) => meet(a, b) && !one.contains(other))
                 .map(([other]) => [one.outerHTML, other.outerHTML]))";
        let covered = self.run(script).await;
        assert_eq!(covered, json!([]), "one lies on the other");
    }

    /// Writes the whole page as a PNG, if `REPLYGUARD_SCREENSHOTS` names a folder.
    pub async fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("REPLYGUARD_SCREENSHOTS") else { return };
        let options = json!({ "captureBeyondViewport": true });
        let shot = self.devtools("Page.captureScreenshot", options).await;
        let data = shot["data"].as_str().expect("a picture");
        std::fs::create_dir_all(&folder).expect("a folder for screenshots");
        let path = Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(path, STANDARD.decode(data).expect("base64")).expect("a file");
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let command = Devtools(json!({ "cmd": command, "params": parameters }));
        self.client.issue_cmd(command).await.expect("Chromium knows the command")
    }

    /// Asserts that axe-core finds nothing on the page, in all looks, and that it fits a phone.
    pub async fn assert_accessible(&self, name: &str) {
        for look in Look::ALL {
            self.look(look).await;
            self.assert_fits().await;
            self.screenshot(&format!("{name}-{look:?}").to_lowercase()).await;
            axe(self, &format!("{name} ({look:?})")).await;
        }
        self.look(Look::Light).await;
    }
}

/// Asserts that axe-core finds nothing on the page as it is.
pub async fn axe(browser: &Browser, name: &str) {
    browser.run(axe_source()).await;
    let script = "const done = arguments[arguments.length - 1]; \
         axe.run(document, { resultTypes: ['violations'] }).then( \
             (result) => done(result.violations.map((found) => found.id + ': ' + found.help + '\\n  ' \
                 + found.nodes.map((node) => node.html + ' ' + node.failureSummary).join('\\n  '))), \
             (error) => done(['axe failed: ' + error]))";
    let found = browser.client.execute_async(script, Vec::new()).await.expect("axe runs");
    let found: Vec<&str> =
        found.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert!(found.is_empty(), "{name}: axe found\n{}", found.join("\n"));
}

fn axe_source() -> &'static str {
    static SOURCE: OnceLock<String> = OnceLock::new();
    SOURCE.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("target/test-tools/node_modules/axe-core/axe.min.js");
        std::fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("{} (run `make deps`): {error}", path.display()))
    })
}

#[derive(Debug)]
struct Devtools(Value);

impl WebDriverCompatibleCommand for Devtools {
    fn endpoint(
        &self,
        base: &url::Url,
        session: Option<&str>,
    ) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.to_string()))
    }
}
