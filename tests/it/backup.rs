//! A backup taken under load, restored, serves.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use replyguard::app::FirstSite;
use replyguard::grpc::client::Client;
use replyguard::grpc::proto;
use tempfile::TempDir;

use crate::support::models::{archive, import, train, without_limits};
use crate::support::service::{Service, check, command, comment, wait_for};

/// Checks a comment and gives its name.
async fn checked(client: &mut Client, text: &str) -> String {
    let answer = client.comments.check_comment(check(comment(text))).await.unwrap();
    answer.into_inner().comment.unwrap().name
}

/// Starts a service on what `restore` made of a backup. The file with the first key is not part of
/// a backup; whoever keeps keys elsewhere does not miss it, the tests' client does.
pub async fn serve_restored(backup: &Path, original: &Service, flags: &[&str]) -> Service {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let output = command(&["restore", "--from", backup.to_str().unwrap(), "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700);
    let file = fs::read_to_string(original.data().join("first-site.json")).unwrap();
    let mut first: FirstSite = serde_json::from_str(&file).unwrap();
    first.http = "127.0.0.1:1".into();
    fs::write(data.join("first-site.json"), serde_json::to_string(&first).unwrap()).unwrap();
    Service::start_in(folder, flags).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_restored_has_everything_that_was_acknowledged_before_it() {
    let service = Service::start().await;
    let mut client = service.client().await;
    without_limits(&mut client).await;
    import(&mut client, archive(60)).await;
    let model = train(&mut client).await.expect("sixty examples make a model");
    let added = service.command(&["moderators", "add", "jane", "--role", "administrator"]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let mut names = Vec::new();
    for number in 0..40 {
        let text = format!("Comment {number}, with thanks for the explanation.");
        names.push(checked(&mut client, &text).await);
    }

    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut writers = Vec::new();
    for writer in 0..4 {
        let mut client = service.client().await;
        let (stop, written) = (stop.clone(), written.clone());
        writers.push(tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let number = written.fetch_add(1, Ordering::Relaxed);
                checked(&mut client, &format!("Writer {writer} has read {number} pages.")).await;
            }
        }));
    }
    wait_for("writes to be under way", || async {
        (written.load(Ordering::Relaxed) > 20).then_some(())
    })
    .await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("replyguard.backup");
    let before = written.load(Ordering::Relaxed);
    let output = service.command(&["backup", "--json", "--to", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    wait_for("writes to go on", || async {
        (written.load(Ordering::Relaxed) > before).then_some(())
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("no write failed during the backup");
    }
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(said["counts"]["comments_count"].as_u64() >= Some(60), "{said}");
    assert_eq!(said["counts"]["accounts_count"], 2, "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let restored = serve_restored(&file, &service, &[]).await;
    let mut client = restored.client().await;
    for name in names {
        client.comments.get_comment(proto::GetCommentRequest { name }).await.unwrap();
    }
    let models = proto::ListModelsRequest { parent: "sites/default".into(), ..Default::default() };
    let models = client.models.list_models(models).await.unwrap().into_inner().models;
    assert_eq!(models.iter().map(|model| &model.name).collect::<Vec<_>>(), [&model.name]);
    let accounts = restored.command(&["moderators", "list"]);
    assert!(String::from_utf8_lossy(&accounts.stdout).contains("jane"), "{accounts:?}");
    checked(&mut client, "And it goes on where it was.").await;
    let over = command(&["restore", "--from", file.to_str().unwrap(), "--data-dir"])
        .arg(restored.data())
        .output()
        .unwrap();
    assert!(!over.status.success(), "never over a database");
    assert!(String::from_utf8_lossy(&over.stderr).contains("replyguard.sqlite3"), "{over:?}");
}

#[tokio::test]
async fn backups_fail_with_a_sentence_and_leave_nothing() {
    let service = Service::start().await;
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("backup");
    fs::write(&file, "something that somebody keeps").unwrap();
    let there = service.command(&["backup", "--to", file.to_str().unwrap()]);
    assert_eq!(there.status.code(), Some(74), "{there:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "something that somebody keeps");
    let nothing = command(&["backup", "--to", "x", "--data-dir", "nowhere"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(nothing.status.code(), Some(74), "{nothing:?}");
    let restore = ["restore", "--data-dir", "data", "--from", "backup"];
    let foreign = command(&restore).current_dir(folder.path()).output().unwrap();
    assert!(!foreign.status.success(), "{foreign:?}");
    fs::write(&file, "").unwrap();
    let empty = command(&restore).current_dir(folder.path()).output().unwrap();
    assert_eq!(empty.status.code(), Some(65), "{empty:?}");
    assert!(String::from_utf8_lossy(&empty.stderr).contains("empty"), "{empty:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the file alone");
}
