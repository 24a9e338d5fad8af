//! What keeps a service's records, for tests that each backend has to pass.

use super::postgres;

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    /// A file in the data folder.
    Sqlite,
    /// A database of its own in the shared server.
    Postgres,
}

impl Backend {
    /// The flags of a service that begins with nothing.
    pub fn flags(self) -> Vec<String> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::Postgres => {
                vec!["--database-url".into(), postgres::shared().database().url()]
            }
        }
    }
}

/// Makes a test of each function for each backend.
macro_rules! on_each_backend {
    ($($test:ident,)*) => {
        mod on_sqlite {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::support::backend::Backend::Sqlite).await;
                }
            )*
        }

        mod on_postgres {
            $(
                #[tokio::test]
                async fn $test() {
                    super::$test($crate::support::backend::Backend::Postgres).await;
                }
            )*
        }
    };
}
pub(crate) use on_each_backend;
