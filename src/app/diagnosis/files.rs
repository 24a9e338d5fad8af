//! Files: the configuration's, the data folder's, and the space that is left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Finding;
use crate::config::Config;

/// Bytes that should be free where the data are: a busy site writes that much in some days, and
/// SQLite's log alone can take a tenth of it.
const FREE_BYTES_MIN: u64 = 512 << 20;

/// Whoever can write the configuration decides what the service does, and it may hold passwords.
pub(super) fn config_file(path: &Path, config: &Config) -> Finding {
    let name = path.display();
    let mode = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode(),
        Err(error) => {
            return Finding::Bad {
                what: format!("{name}: {error}"),
                advice: "give the path of a file that the service can read".into(),
            };
        }
    };
    let secret = config.holds_password();
    match (mode & 0o022 != 0, secret && mode & 0o004 != 0) {
        (true, _) => Finding::Bad {
            what: format!("{name} can be written by others"),
            advice: format!("chmod go-w {name}"),
        },
        (false, true) => Finding::Bad {
            what: format!("{name} has a password and can be read by others"),
            advice: format!("chmod o-r {name}; if others may have read it, replace the password"),
        },
        (false, false) => Finding::Good(format!("{name} can be written by its owner alone")),
    }
}

/// The folder that holds everything.
pub(super) fn data_folder(config: &Config) -> Finding {
    let folder = &config.storage.data_dir;
    let name = folder.display();
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Finding::Good(format!("{name} is not there yet; the first start makes it"));
        }
        Err(error) => {
            return Finding::Bad {
                what: format!("{name}: {error}"),
                advice: "give the service's user the right to use it".into(),
            };
        }
    };
    let bad = |what: &str, advice: String| Finding::Bad { what: format!("{name} {what}"), advice };
    if !metadata.is_dir() {
        return bad("is no folder", "give another storage.data_dir".into());
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return bad("can be written by others", format!("chmod 700 {name}"));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if rustix::fs::access(folder, access).is_err() {
        let advice = "run this as the service's user, or give that user the folder (chown)";
        return bad("cannot be written by this user", advice.into());
    }
    Finding::Good(format!("{name} can be written by its owner alone"))
}

/// Files with secrets must be their owner's alone: the database with every site's, and the key in
/// first-site.json.
pub(super) fn secrets(config: &Config) -> Vec<Finding> {
    let key_advice = "if others may have read it, replace the key";
    let database_advice = "if others may have read it, rotate the keys of all sites";
    let files =
        [(config.storage.first_site(), key_advice), (config.storage.database(), database_advice)];
    let found = files.iter().filter_map(|(path, advice)| {
        let mode = std::fs::metadata(path).ok()?.permissions().mode();
        let name = path.display();
        Some(match mode & 0o077 {
            0 => Finding::Good(format!("{name} is readable by its owner alone")),
            _ => Finding::Bad {
                what: format!("{name} can be read by others"),
                advice: format!("chmod 600 {name}; {advice}"),
            },
        })
    });
    found.collect()
}

/// The file of Redis's password is nobody's but the service's. Its group may read it, as it does
/// where Kubernetes mounts a secret; one that is not there is told of with Redis.
pub(super) fn redis_password(config: &Config) -> Option<Finding> {
    let path = config.limits.redis_password_file.as_ref()?;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let name = path.display();
    Some(match mode & 0o007 {
        0 => Finding::Good(format!("{name} is closed to others")),
        _ => Finding::Bad {
            what: format!("{name} has a password and is open to others"),
            advice: format!("chmod o= {name}; if others may have read it, replace the password"),
        },
    })
}

/// Space for what the service writes.
pub(super) fn disk(config: &Config) -> Finding {
    // Before the first start the folder is not there, but something above it is.
    let folder = std::path::absolute(&config.storage.data_dir);
    let folder = folder.unwrap_or_else(|_| config.storage.data_dir.clone());
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(there) {
        Ok(disk) => space(there, disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(error) => Finding::Bad {
            what: format!("the disk of {} cannot be asked: {error}", there.display()),
            advice: "see whether it is mounted".into(),
        },
    }
}

fn space(folder: &Path, free_bytes: u64) -> Finding {
    let mebibytes = free_bytes >> 20;
    let what = format!("{mebibytes} MiB are free at {}", folder.display());
    if free_bytes >= FREE_BYTES_MIN {
        return Finding::Good(what);
    }
    Finding::Bad {
        what,
        advice: "make room: when the disk is full, no comment can be recorded, so none is answered"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_bad(finding: &Finding) -> bool {
        matches!(finding, Finding::Bad { .. })
    }

    #[test]
    fn a_disk_that_fills_is_trouble() {
        assert!(!is_bad(&space(Path::new("/data"), FREE_BYTES_MIN)));
        assert!(is_bad(&space(Path::new("/data"), FREE_BYTES_MIN - 1)));
        assert!(matches!(disk(&Config::default()), Finding::Good(_) | Finding::Bad { .. }));
    }

    #[test]
    fn a_configuration_with_a_password_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("replyguard.toml");
        std::fs::write(&file, "").unwrap();
        let with = |mode, url: &str| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut config = Config::default();
            config.limits.redis_url = Some(url.into());
            is_bad(&config_file(&file, &config))
        };
        assert!(!with(0o644, "redis://127.0.0.1:6379"));
        assert!(with(0o664, "redis://127.0.0.1:6379"));
        assert!(with(0o644, "redis://:secret@127.0.0.1:6379"));
        assert!(!with(0o600, "redis://:secret@127.0.0.1:6379"));
        assert!(is_bad(&config_file(&folder.path().join("nowhere"), &Config::default())));
    }

    #[test]
    fn a_password_of_redis_for_all_is_trouble() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut config = Config::default();
        assert_eq!(redis_password(&config), None);
        config.limits.redis_password_file = Some(file.path().to_owned());
        for (mode, bad) in [(0o400, false), (0o440, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(
                redis_password(&config).is_some_and(|found| is_bad(&found)),
                bad,
                "{mode:o}"
            );
        }
    }

    #[test]
    fn a_data_folder_for_all_is_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data_dir = folder.path().join("data");
        assert!(!is_bad(&data_folder(&config)), "it is made by the first start");
        std::fs::write(&config.storage.data_dir, "a file").unwrap();
        assert!(is_bad(&data_folder(&config)));
        std::fs::remove_file(&config.storage.data_dir).unwrap();
        std::fs::create_dir(&config.storage.data_dir).unwrap();
        let mode = |mode| std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&config.storage.data_dir, mode(0o700)).unwrap();
        assert!(!is_bad(&data_folder(&config)));
        std::fs::set_permissions(&config.storage.data_dir, mode(0o777)).unwrap();
        assert!(is_bad(&data_folder(&config)));
        std::fs::write(config.storage.database(), "").unwrap();
        std::fs::set_permissions(config.storage.database(), mode(0o640)).unwrap();
        assert!(secrets(&config).iter().all(is_bad));
    }
}
