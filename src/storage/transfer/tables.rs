//! What is moved: each table with its columns, in an order in which nothing refers to what is not
//! there yet.

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number of 64 bits.
    Int,
    /// A number of 32 bits in PostgreSQL.
    Small,
    /// Yes or no; a number in SQLite.
    Flag,
    /// A floating number.
    Real,
    /// Words.
    Text,
    /// Bytes.
    Bytes,
    /// A UUID; 16 bytes in SQLite.
    Id,
}

/// Where SQLite keeps the last number of a table, so that none is given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SqliteMemory {
    /// In its own table, since the column says AUTOINCREMENT.
    Sequence,
    /// In the number below which no comment may come.
    CommentFloor,
}

use Kind::{Bytes, Flag, Id, Int, Real, Small, Text};

/// A table of both databases.
pub(super) struct Table {
    pub name: &'static str,
    pub columns: &'static [(&'static str, Kind)],
    /// What its rows are sorted by, so that both sides write in order.
    pub order: &'static str,
    /// The column that the database numbers.
    pub numbered: Option<&'static str>,
    /// Columns elsewhere that hold such numbers, also of rows that are gone.
    pub named_by: &'static [(&'static str, &'static str)],
    /// Where SQLite keeps the last number that it gave, if not in the rows alone.
    pub sqlite_memory: Option<SqliteMemory>,
    /// What SQLite is asked instead of the table.
    pub sqlite_source: Option<&'static str>,
    /// What PostgreSQL is asked instead of the table.
    pub postgres_source: Option<&'static str>,
    /// A further column of SQLite that is made from the others.
    pub sqlite_extra: Option<(&'static str, &'static str)>,
}

const fn table(
    name: &'static str,
    order: &'static str,
    columns: &'static [(&'static str, Kind)],
) -> Table {
    Table {
        name,
        columns,
        order,
        numbered: None,
        named_by: &[],
        sqlite_memory: None,
        sqlite_source: None,
        postgres_source: None,
        sqlite_extra: None,
    }
}

const fn numbered(
    name: &'static str,
    number: &'static str,
    columns: &'static [(&'static str, Kind)],
) -> Table {
    Table { numbered: Some(number), ..table(name, number, columns) }
}

/// Whose numbers are never given again: others go on after them.
const fn lasting(memory: SqliteMemory, table: Table) -> Table {
    Table { sqlite_memory: Some(memory), ..table }
}

/// All tables but those that are made anew: pings, leases, the words of the search index, what
/// retention and erasure note for themselves.
pub(super) const TABLES: &[Table] = &[
    numbered(
        "sites",
        "number",
        &[
            ("number", Int),
            ("id", Text),
            ("display_name", Text),
            ("secret", Bytes),
            ("policy", Text),
            ("revision", Int),
            ("create_time", Int),
        ],
    ),
    numbered(
        "keys",
        "number",
        &[
            ("number", Int),
            ("id", Id),
            ("site", Int),
            ("hash", Bytes),
            ("scopes", Text),
            ("display_name", Text),
            ("create_time", Int),
            ("revoke_time", Int),
            ("use_time", Int),
        ],
    ),
    lasting(
        SqliteMemory::CommentFloor,
        numbered(
            "comments",
            "number",
            &[
                ("number", Int),
                ("site", Int),
                ("id", Id),
                ("check_time", Int),
                ("verdict", Text),
                ("state", Text),
                ("discard", Flag),
                ("probability", Real),
                ("model_version", Text),
                ("author", Bytes),
                ("ip", Bytes),
                ("ip_prefix", Bytes),
                ("page_uri", Text),
                ("lang", Text),
                ("content_hash", Int),
                ("simhash", Bytes),
                ("label", Text),
                ("label_time", Int),
                ("body", Bytes),
                ("campaign", Id),
                ("uncertainty", Real),
                ("revision", Int),
            ],
        ),
    ),
    Table {
        // SQLite may have one id in several hours, of which the last counts.
        sqlite_source: Some(
            "(SELECT site, id, max(time) AS time, digest, comment FROM requests GROUP BY site, id)",
        ),
        sqlite_extra: Some(("hour", "?3 / 3600000")),
        ..table(
            "requests",
            "site, id",
            &[("site", Int), ("id", Id), ("time", Int), ("digest", Bytes), ("comment", Id)],
        )
    },
    table(
        "author_records",
        "site, author",
        &[
            ("site", Int),
            ("author", Bytes),
            ("approved_count", Int),
            ("held_count", Int),
            ("rejected_count", Int),
            ("spam_label_count", Int),
            ("ham_label_count", Int),
        ],
    ),
    lasting(
        SqliteMemory::Sequence,
        numbered(
            "labels",
            "position",
            &[
                ("position", Int),
                ("site", Int),
                ("comment", Id),
                ("label", Text),
                ("reporter", Text),
                ("reporter_name", Text),
                ("note", Text),
                ("time", Int),
                ("retracts", Int),
            ],
        ),
    ),
    lasting(
        SqliteMemory::Sequence,
        numbered(
            "audit_entries",
            "position",
            &[
                ("position", Int),
                ("site", Int),
                ("time", Int),
                ("actor", Text),
                ("action", Text),
                ("subject", Text),
                ("before", Text),
                ("after", Text),
                ("note", Text),
            ],
        ),
    ),
    numbered(
        "examples",
        "number",
        &[
            ("number", Int),
            ("site", Int),
            ("id", Id),
            ("source", Text),
            ("author", Bytes),
            ("content_hash", Int),
            ("page_uri", Text),
            ("lang", Text),
            ("body", Bytes),
        ],
    ),
    numbered(
        "models",
        "number",
        &[
            ("number", Int),
            ("site", Int),
            ("version", Text),
            ("state", Text),
            ("create_time", Int),
            ("ledger_position", Int),
            ("base_version", Text),
            ("ham_count", Int),
            ("spam_count", Int),
            ("report", Text),
            ("artifact", Bytes),
            ("promote_time", Int),
        ],
    ),
    numbered(
        "operations",
        "number",
        &[
            ("number", Int),
            ("site", Int),
            ("id", Id),
            ("kind", Text),
            ("state", Text),
            ("stage", Text),
            ("example_count", Int),
            ("cancelled", Flag),
            ("create_time", Int),
            ("answer", Bytes),
        ],
    ),
    table(
        "queue_entries",
        "site, campaign",
        &[
            ("site", Int),
            ("campaign", Id),
            ("comment", Id),
            ("held_count", Int),
            ("uncertainty", Real),
            ("probability", Real),
            ("first_time", Int),
            ("last_time", Int),
            ("usefulness", Real),
        ],
    ),
    numbered(
        "decisions",
        "number",
        &[
            ("number", Int),
            ("site", Int),
            ("id", Id),
            ("action", Text),
            ("actor", Text),
            ("note", Text),
            ("time", Int),
            ("comment_count", Int),
            ("undoes", Int),
            ("undone", Int),
        ],
    ),
    Table {
        named_by: &[("webhooks", "position"), ("deliveries", "last_position")],
        ..lasting(
            SqliteMemory::Sequence,
            numbered(
                "decided_comments",
                "position",
                &[
                    ("position", Int),
                    ("site", Int),
                    ("decision", Int),
                    ("comment", Id),
                    ("state_before", Text),
                    ("state_after", Text),
                    ("label_before", Text),
                    ("label_after", Text),
                    ("label", Int),
                    ("revision", Int),
                    ("time", Int),
                ],
            ),
        )
    },
    table(
        "claims",
        "site, campaign",
        &[("site", Int), ("campaign", Id), ("actor", Text), ("expire_time", Int)],
    ),
    Table {
        postgres_source: Some(
            "(SELECT site, day, sum(approve_count)::bigint AS approve_count, \
                 sum(hold_count)::bigint AS hold_count, sum(reject_count)::bigint AS reject_count, \
                 sum(held_approved_count)::bigint AS held_approved_count, \
                 sum(held_rejected_count)::bigint AS held_rejected_count, \
                 sum(rejected_approved_count)::bigint AS rejected_approved_count, \
                 sum(approved_rejected_count)::bigint AS approved_rejected_count \
             FROM daily_counts GROUP BY site, day) AS counted",
        ),
        ..table(
            "daily_counts",
            "site, day",
            &[
                ("site", Int),
                ("day", Int),
                ("approve_count", Int),
                ("hold_count", Int),
                ("reject_count", Int),
                ("held_approved_count", Int),
                ("held_rejected_count", Int),
                ("rejected_approved_count", Int),
                ("approved_rejected_count", Int),
            ],
        )
    },
    numbered(
        "accounts",
        "number",
        &[
            ("number", Int),
            ("id", Id),
            ("name", Text),
            ("name_key", Text),
            ("role", Text),
            ("disabled", Flag),
            ("password_hash", Text),
            ("revision", Int),
            ("create_time", Int),
            ("login_time", Int),
        ],
    ),
    table("account_sites", "account, site", &[("account", Int), ("site", Int)]),
    table("invitations", "account", &[("account", Int), ("hash", Bytes), ("expire_time", Int)]),
    numbered(
        "sessions",
        "number",
        &[
            ("number", Int),
            ("hash", Bytes),
            ("account", Int),
            ("create_time", Int),
            ("seen_time", Int),
        ],
    ),
    numbered(
        "webhooks",
        "number",
        &[
            ("number", Int),
            ("site", Int),
            ("id", Id),
            ("uri", Text),
            ("secret", Bytes),
            ("previous_secret", Bytes),
            ("previous_until", Int),
            ("disabled", Flag),
            ("position", Int),
            ("revision", Int),
            ("create_time", Int),
            ("akismet_key", Text),
        ],
    ),
    numbered(
        "deliveries",
        "number",
        &[
            ("number", Int),
            ("webhook", Int),
            ("id", Id),
            ("first_position", Int),
            ("last_position", Int),
            ("decision_count", Int),
            ("state", Text),
            ("replay", Flag),
            ("attempt_count", Int),
            ("create_time", Int),
            ("begin_time", Int),
            ("attempt_time", Int),
            ("next_attempt_time", Int),
            ("status", Small),
            ("failure", Text),
        ],
    ),
    table(
        "akismet_waits",
        "webhook, comment",
        &[("webhook", Int), ("comment", Id), ("page_id", Text)],
    ),
];

impl Table {
    /// The names of the columns, with commas between them.
    pub fn column_names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// What asks for the greatest number that a row has, or had as far as others and `memory`, a
    /// query, know. Nothing for a table that is not numbered.
    pub fn last_number(&self, memory: Option<&str>) -> Option<String> {
        let own = (self.name, self.numbered?);
        let places = std::iter::once(&own).chain(self.named_by);
        let known =
            places.map(|(table, column)| format!("SELECT max({column}) AS given FROM {table}"));
        let known: Vec<String> = known.chain(memory.map(str::to_owned)).collect();
        Some(format!(
            "SELECT coalesce(max(given), 0) FROM ({}) AS known",
            known.join(" UNION ALL ")
        ))
    }
}
