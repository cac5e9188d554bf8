//! Reads the tables of `data/`: a line for each entry, columns between tabs, comments behind a hash.

use std::iter;

/// One entry.
pub struct Row {
    pub line: usize,
    pub columns: Vec<String>,
}

/// The entries of a table, each with so many columns.
pub fn rows(text: &str, columns: usize) -> Vec<Row> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("# "));
    lines
        .map(|(index, line)| {
            let found: Vec<_> = line.split('\t').map(unescape).collect();
            assert_eq!(found.len(), columns, "line {}", index + 1);
            Row { line: index + 1, columns: found }
        })
        .collect()
}

/// `\t`, `\r`, `\n`, `\\`, `\u{HEX}` for a character, `\{TEXT*N}` for a text N times.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, escape)) = rest.split_once('\\') {
        plain.push_str(before);
        let kind = escape.chars().next().expect("something is escaped");
        rest = &escape[kind.len_utf8()..];
        match kind {
            't' => plain.push('\t'),
            'r' => plain.push('\r'),
            'n' => plain.push('\n'),
            '\\' => plain.push('\\'),
            'u' => {
                let (hex, after) = rest[1..].split_once('}').expect("\\u{HEX}");
                plain.push(u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).expect("a character"));
                rest = after;
            }
            '{' => {
                let (repeated, after) = rest.split_once('*').expect("\\{TEXT*N}");
                let (times, after) = after.split_once('}').expect("\\{TEXT*N}");
                plain.extend(iter::repeat_n(unescape(repeated), times.parse().expect("a number")));
                rest = after;
            }
            other => panic!("\\{other} is no escape"),
        }
    }
    plain + rest
}

#[test]
fn a_table_is_read_as_it_is_meant() {
    let rows = rows("# a comment\n\n\\{\\u{fc}.*2}a\t\\\\\\t\\r\\n\n\t!\n", 2);
    let read: Vec<_> =
        rows.iter().map(|row| (row.line, row.columns[0].as_str(), row.columns[1].as_str())).collect();
    assert_eq!(read, [(3, "\u{fc}.\u{fc}.a", "\\\t\r\n"), (4, "", "!")]);
}
