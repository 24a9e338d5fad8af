//! SQL as `mysqldump`, `mariadb-dump` and phpMyAdmin write it, read as it comes: the columns of
//! tables and the rows that are inserted. Nothing is executed.

use std::io::Read;

use super::comment::{Place, Problem};
use super::sql_bytes::{Bytes, Value};

/// Columns of a table. WordPress's comments have 15.
const COLUMN_COUNT_MAX: usize = 256;

/// Takes what a dump says of tables.
pub(super) trait Tables {
    /// A table has these columns.
    fn table(&mut self, name: &str, columns: Vec<String>);

    /// Rows of a table follow, in the order of these columns or, if there are none, in the
    /// table's. Whether they are wanted.
    fn rows(&mut self, name: &str, columns: Option<Vec<String>>) -> Result<bool, Problem>;

    /// A row of the table that was wanted last. What is wrong with it, or what went wrong.
    fn row(&mut self, values: &mut [Value], place: Place) -> Result<(), Problem>;
}

/// Reads a dump to its end.
pub(super) fn read(bytes: impl Read, tables: &mut dyn Tables) -> Result<(), Problem> {
    let mut dump = Dump { bytes: Bytes::new(bytes), tables, values: Vec::new() };
    while dump.statement()? {}
    Ok(())
}

struct Dump<'a, R> {
    bytes: Bytes<R>,
    tables: &'a mut dyn Tables,
    values: Vec<Value>,
}

impl<R: Read> Dump<'_, R> {
    /// Reads a statement; false at the end.
    fn statement(&mut self) -> Result<bool, Problem> {
        self.bytes.skip_space()?;
        let word = self.bytes.word()?;
        match word.as_str() {
            "INSERT" | "REPLACE" => self.insert()?,
            "CREATE" => self.create()?,
            "DELIMITER" => self.pass_programs()?,
            "" if self.bytes.peek()?.is_none() => return Ok(false),
            _ => self.bytes.skip_statement()?,
        }
        Ok(true)
    }

    /// Triggers and the like stand between two of these; the second gives the semicolon back.
    fn pass_programs(&mut self) -> Result<(), Problem> {
        if self.bytes.line()?.trim() == ";" {
            return Ok(());
        }
        while self.bytes.peek()?.is_some() {
            let line = self.bytes.line()?;
            let mut words = line.split_whitespace();
            let delimiter = words.next().is_some_and(|word| word.eq_ignore_ascii_case("delimiter"));
            if delimiter && words.next() == Some(";") {
                return Ok(());
            }
        }
        Ok(())
    }

    fn create(&mut self) -> Result<(), Problem> {
        self.bytes.skip_space()?;
        if self.bytes.word()? != "TABLE" {
            return self.bytes.skip_statement();
        }
        let name = self.table_name(&["IF", "NOT", "EXISTS"])?;
        if self.bytes.peek()? != Some(b'(') {
            return self.bytes.skip_statement();
        }
        self.bytes.next()?;
        let mut columns = Vec::new();
        // A column begins with its quoted name, a key with a word.
        loop {
            self.bytes.skip_space()?;
            if matches!(self.bytes.peek()?, Some(b'`' | b'"')) && columns.len() < COLUMN_COUNT_MAX {
                columns.push(self.bytes.name()?);
            }
            match self.bytes.skip_until(|byte, depth| depth == 0 && matches!(byte, b',' | b')'))? {
                b',' => {}
                _ => break,
            }
        }
        self.tables.table(&name, columns);
        self.bytes.skip_statement()
    }

    /// The name of a table, behind words that may stand before it and the name of a database.
    fn table_name(&mut self, before: &[&str]) -> Result<String, Problem> {
        loop {
            self.bytes.skip_space()?;
            let name = self.bytes.name()?;
            self.bytes.skip_space()?;
            if self.bytes.peek()? == Some(b'.') {
                self.bytes.next()?;
            } else if !before.contains(&name.to_ascii_uppercase().as_str()) {
                return Ok(name);
            }
        }
    }

    fn insert(&mut self) -> Result<(), Problem> {
        let before = ["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "INTO"];
        let table = self.table_name(&before)?;
        let mut columns = None;
        if self.bytes.peek()? == Some(b'(') {
            columns = Some(self.column_list()?);
            self.bytes.skip_space()?;
        }
        let values = matches!(self.bytes.word()?.as_str(), "VALUES" | "VALUE");
        if !values || !self.tables.rows(&table, columns)? {
            return self.bytes.skip_statement();
        }
        loop {
            self.bytes.skip_space()?;
            let place = self.bytes.place();
            self.bytes.expect(b'(')?;
            self.read_row()?;
            self.tables.row(&mut self.values, place)?;
            self.bytes.skip_space()?;
            match self.bytes.peek()? {
                Some(b',') => self.bytes.next()?,
                Some(b';') => {
                    self.bytes.next()?;
                    return Ok(());
                }
                // ON DUPLICATE KEY UPDATE …
                Some(_) => return self.bytes.skip_statement(),
                None => return Err(self.bytes.ended()),
            };
        }
    }

    fn column_list(&mut self) -> Result<Vec<String>, Problem> {
        self.bytes.expect(b'(')?;
        let mut columns = Vec::new();
        loop {
            self.bytes.skip_space()?;
            columns.push(self.bytes.name()?);
            self.bytes.skip_space()?;
            match self.bytes.next()? {
                Some(b',') if columns.len() < COLUMN_COUNT_MAX => {}
                Some(b')') => return Ok(columns),
                Some(_) => return Err(self.bytes.problem("a list of columns is expected")),
                None => return Err(self.bytes.ended()),
            }
        }
    }

    /// Reads values up to the closing bracket.
    fn read_row(&mut self) -> Result<(), Problem> {
        self.values.clear();
        loop {
            self.bytes.skip_space()?;
            let value = self.bytes.value()?;
            self.values.push(value);
            self.bytes.skip_space()?;
            match self.bytes.next()? {
                Some(b',') if self.values.len() < COLUMN_COUNT_MAX => {}
                Some(b')') => return Ok(()),
                Some(_) => return Err(self.bytes.problem("a value that is none of a dump")),
                None => return Err(self.bytes.ended()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Default)]
    struct All(Vec<String>);

    impl Tables for All {
        fn table(&mut self, name: &str, columns: Vec<String>) {
            self.0.push(format!("{name}: {}", columns.join(" ")));
        }

        fn rows(&mut self, name: &str, columns: Option<Vec<String>>) -> Result<bool, Problem> {
            self.0.push(format!("{name} <- {}", columns.unwrap_or_default().join(" ")));
            Ok(name != "passed")
        }

        fn row(&mut self, values: &mut [Value], _: Place) -> Result<(), Problem> {
            let text = |value: &Value| match value {
                Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                None => "-".into(),
            };
            self.0.push(values.iter().map(text).collect::<Vec<_>>().join("|"));
            Ok(())
        }
    }

    fn all(dump: &str) -> Result<Vec<String>, String> {
        let mut all = All::default();
        match read(dump.as_bytes(), &mut all) {
            Ok(()) => Ok(all.0),
            Err(Problem::Broken(Place::Byte(at), problem)) => Err(format!("{at}: {problem}")),
            Err(problem) => panic!("{problem:?}"),
        }
    }

    #[test]
    fn tables_and_rows_are_read() {
        let dump = "/*!999999\\- enable the sandbox mode */\n-- MariaDB dump; 'x\n# (\n\
            DROP TABLE IF EXISTS `t`;\n/*!40101 SET x = 1 */;\n\
            CREATE TABLE `t` (\n  `id` bigint(20) NOT NULL AUTO_INCREMENT,\n  `a, b` varchar(3) DEFAULT '),',\n\
              PRIMARY KEY (`id`),\n KEY `k` (`id`,`a, b`(10))\n) ENGINE=InnoDB COMMENT='; (';\n\
            LOCK TABLES `t` WRITE;\n\
            INSERT INTO `t` VALUES (1,'it\\'s; ''quoted''\\n\\\\'),(-2,NULL),\n(3.5e7,_binary 'ab'),(0x4142,x'43');\n\
            INSERT IGNORE INTO db.t (id, `b`) VALUES (7,\"say \"\"it\"\"\") ON DUPLICATE KEY UPDATE id=';';\n\
            INSERT INTO passed VALUES (NOW(), ';');\n\
            INSERT INTO t SELECT * FROM t;\n\
            DELIMITER ;;\nCREATE TRIGGER x BEGIN INSERT INTO t VALUES (NEW.id); END ;;\nDELIMITER ;\n\
            REPLACE INTO t VALUE (8)";
        let error = all(dump).unwrap_err();
        assert!(error.contains("ends inside of a statement"), "{error}");
        let read = all(&format!("{dump};\n-- end")).unwrap();
        let expected = [
            "t: id a, b",
            "t <- ",
            "1|it's; 'quoted'\n\\",
            "-2|-",
            "3.5e7|ab",
            "AB|C",
            "t <- id b",
            "7|say \"it\"",
            "passed <- ",
            "t <- ",
            "8",
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_no_literal_has_a_place() {
        assert_eq!(
            all("INSERT INTO t VALUES (NOW());").unwrap_err(),
            "26: a value that is none of a dump"
        );
        assert!(all("INSERT INTO t VALUES (1,'x").unwrap_err().starts_with("26: "));
        assert!(all("INSERT INTO t VALUES 1;").unwrap_err().contains("`(` is expected"));
        assert!(all(&format!("INSERT INTO t VALUES ({});", "1,".repeat(1_000))).is_err());
    }

    proptest! {
        #[test]
        fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes[..], &mut All::default());
        }

        #[test]
        fn rubbish_with_statements_never_panics(
            dump in "(INSERT |INTO |CREATE TABLE |VALUES |t|`|'|\"|\\(|\\)|,|;|\\\\|-|--|/|\\*|#|\n|DELIMITER |1|x'|_b )*",
        ) {
            let _ = read(dump.as_bytes(), &mut All::default());
        }

        #[test]
        fn strings_come_back(text in "[^\0]{0,40}") {
            let escaped = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
            let read = all(&format!("INSERT INTO t VALUES ('{escaped}');")).unwrap();
            prop_assert_eq!(&read[1], &text);
        }
    }
}
