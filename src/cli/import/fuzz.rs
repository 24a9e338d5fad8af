//! Importers given any bytes.

use super::comment::{ForeignComment, Opinions, Problem, Sink};
use super::{disqus, input, lines, table, wordpress, wordpress_sql};

/// Looks at what is found and keeps nothing.
struct Nothing;

impl Sink for Nothing {
    fn comment(&mut self, comment: ForeignComment) -> Result<(), Problem> {
        let _ = comment.example.time();
        Ok(())
    }

    fn opinions(&mut self, _: u64, _: Opinions) -> Result<(), Problem> {
        Ok(())
    }
}

/// Each importer reads the bytes or says where they are wrong.
pub fn import(data: &[u8]) {
    let _ = input::detect(data);
    let outcomes = [
        wordpress::read_wxr(data, &mut Nothing),
        wordpress_sql::read(data, None, &mut Nothing),
        disqus::read(data, &mut Nothing),
        lines::read_jsonl(data, &mut Nothing),
        lines::read_remark(data, &mut Nothing),
        table::read_csv(data, &mut Nothing),
    ];
    for problem in outcomes.into_iter().filter_map(Result::err) {
        let _ = problem.of("file");
    }
}
