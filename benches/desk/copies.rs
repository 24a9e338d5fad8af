//! More comments than can be recorded in an hour: those that were recorded, copied by PostgreSQL.
//!
//! A copy has ids, numbers, campaigns and times of its own, and its rows in every table that a check
//! writes for the desk; authors, pages and texts are those of the first. Indexes are dropped before
//! and made again afterwards, as when a dump is restored.

use std::time::Instant;

use tokio_postgres::{Client, NoTls};

/// Days between a copy and the next one: twenty make a year.
const DAYS: u64 = 18;
const DAY_MS: u64 = 86_400_000;

/// Moves an id of `records::comment_id` on: its time by days, and its running number.
const FUNCTION: &str = "CREATE FUNCTION pg_temp.moved(id UUID, days BIGINT, shift BIGINT) \
    RETURNS UUID LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (\
    lpad(to_hex(('x' || substr(id::text, 1, 8) || substr(id::text, 10, 4))::bit(48)::bigint \
        + days * 86400000), 12, '0') || '70008000' \
    || lpad(to_hex(('x' || right(id::text, 12))::bit(48)::bigint + shift), 12, '0'))::uuid $$";

/// Indexes that no constraint needs, each with what makes it again.
const INDEXES: &str = "SELECT indexname, indexdef FROM pg_indexes \
    WHERE schemaname = 'public' AND tablename IN ('comments', 'comment_words', 'queue_entries') \
        AND indexname NOT IN (SELECT conname FROM pg_constraint)";

/// Milliseconds from the first comment to after the last copy.
pub fn span_ms(base: u64, count: u64) -> u64 {
    count.div_ceil(base) * DAYS * DAY_MS
}

/// Copies the first `base` comments until there are `count`, those copies included that were made
/// before. The first comment is of the time `start_ms`, and each a millisecond after the one before.
pub async fn make(url: &str, base: u64, count: u64, start_ms: u64) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    let connection = tokio::spawn(connection);
    let run = async |sql: &str| client.batch_execute(sql).await.expect(sql);
    run("SET synchronous_commit = off; SET maintenance_work_mem = '1GB'").await;
    run(FUNCTION).await;
    let begin = Instant::now();
    let indexes = client.query(INDEXES, &[]).await.expect("the indexes");
    let indexes: Vec<(String, String)> =
        indexes.iter().map(|row| (row.get(0), row.get(1))).collect();
    for (name, _) in &indexes {
        run(&format!("DROP INDEX {name}")).await;
    }
    let end_ms = start_ms + base + DAY_MS;
    for copy in 1..count.div_ceil(base) {
        for sql in copies(base, copy, end_ms) {
            run(&sql).await;
        }
    }
    println!("copied to {count} in {:.0} s", begin.elapsed().as_secs_f64());
    let begin = Instant::now();
    for (_, definition) in &indexes {
        run(definition).await;
    }
    let next =
        "SELECT setval(pg_get_serial_sequence('comments', 'number'), max(number)) FROM comments";
    run(next).await;
    run("VACUUM ANALYZE comments, comment_words, queue_entries, author_records, daily_counts")
        .await;
    println!("{} indexes made in {:.0} s", indexes.len(), begin.elapsed().as_secs_f64());
    sizes(&client).await;
    drop(client);
    let _ = connection.await;
}

/// What makes one copy. `end_ms` is after the first comments and before all copies.
fn copies(base: u64, copy: u64, end_ms: u64) -> [String; 4] {
    let (days, shift) = (copy * DAYS, copy * base);
    let moved = |column: &str| format!("pg_temp.moved({column}, {days}, {shift})");
    let later = |column: &str| format!("{column} + {}", days * DAY_MS);
    let kept = "verdict, state, discard, probability, model_version, author, ip, ip_prefix, \
        page_uri, lang, content_hash, simhash, body, uncertainty";
    let first = later("first_time");
    [
        format!(
            "INSERT INTO comments (number, site, id, check_time, campaign, {kept}) \
             SELECT number + {shift}, site, {}, {}, {}, {kept} FROM comments \
             WHERE number <= {base} ORDER BY number",
            moved("id"),
            later("check_time"),
            moved("campaign")
        ),
        format!(
            "INSERT INTO comment_words (site, number, words) \
             SELECT site, number + {shift}, words FROM comment_words WHERE number <= {base}"
        ),
        format!(
            "INSERT INTO queue_entries (site, campaign, comment, held_count, uncertainty, \
                probability, first_time, last_time, usefulness) \
             SELECT site, {}, {}, held_count, uncertainty, probability, {first}, {}, \
                usefulness(uncertainty, held_count, {first}) \
             FROM queue_entries WHERE first_time < {end_ms}",
            moved("campaign"),
            moved("comment"),
            later("last_time")
        ),
        format!(
            "INSERT INTO daily_counts (site, day, shard, approve_count, hold_count, reject_count) \
             SELECT site, day + {days}, shard, approve_count, hold_count, reject_count \
             FROM daily_counts WHERE day * {DAY_MS} < {end_ms}"
        ),
    ]
}

/// Says how large the tables are with their indexes.
async fn sizes(client: &Client) {
    let sql = "SELECT relname::text, pg_table_size(oid), pg_indexes_size(oid) FROM pg_class \
        WHERE relname IN ('comments', 'comment_words', 'queue_entries') ORDER BY 1";
    let gigabytes = |bytes: i64| bytes as f64 / 1e9;
    for row in client.query(sql, &[]).await.expect("sizes") {
        let (name, table, indexes): (String, i64, i64) = (row.get(0), row.get(1), row.get(2));
        println!("{name}: {:.1} GB, indexes {:.1} GB", gigabytes(table), gigabytes(indexes));
    }
}
