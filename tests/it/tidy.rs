//! The rules of the house, kept by reading the house: what a compiler and a linter can't know.
//!
//! Every rule is a function from the house to what is wrong with it. Its test holds it against the house as it
//! stands, and then against houses in which one thing was spoilt, so that a rule that sees nothing is found out.

mod code;
mod pages;
mod paths;

use std::collections::BTreeMap;

use crate::support::house;

/// The texts of the house, by their paths.
#[derive(Clone)]
struct House(BTreeMap<String, String>);

/// What is wrong, a sentence for each.
type Problems = Vec<String>;

impl House {
    fn read() -> Self {
        let endings = [".rs", ".md", ".toml", ".sql", ".proto"];
        let paths = endings.into_iter().flat_map(house::files);
        Self(paths.map(|path| (path.clone(), house::read(&path))).collect())
    }

    fn text(&self, path: &str) -> &str {
        self.0.get(path).map_or("", String::as_str)
    }

    /// The files of a folder with an ending, and their texts.
    fn files<'a>(&'a self, folder: &'a str, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        all.filter(move |(path, _)| path.starts_with(folder) && path.ends_with(ending))
    }
}

/// Holds a rule against the house.
fn keeps(rule: fn(&House) -> Problems) {
    let problems = rule(&House::read());
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Holds a rule against a house in which a text was changed, which it has to notice in these words.
fn notices(rule: fn(&House) -> Problems, path: &str, change: impl FnOnce(&str) -> String, said: &str) {
    let mut house = House::read();
    let text = change(house.text(path));
    assert_ne!(text, house.text(path), "nothing was changed in {path}");
    house.0.insert(path.to_owned(), text);
    let problems = rule(&house);
    assert!(
        problems.iter().any(|problem| problem.contains(said)),
        "not noticed: {said}\n{}",
        problems.join("\n")
    );
}

/// A change that adds a line at the top.
fn with(line: &'static str) -> impl FnOnce(&str) -> String {
    move |text| format!("{line}\n{text}")
}

/// A change that puts one thing in the place of another.
fn replacing(from: &'static str, to: &'static str) -> impl FnOnce(&str) -> String {
    move |text| text.replace(from, to)
}

/// A file's text without its tests, which stand at its end.
fn without_tests(text: &str) -> &str {
    text.find("\n#[cfg(test)]\nmod tests {").map_or(text, |start| &text[..=start])
}

/// What is in one of two lists only.
fn differences(what: &str, here: (&str, Vec<String>), there: (&str, Vec<String>)) -> Problems {
    let only = |(name, list): &(&str, Vec<String>), (other, others): &(&str, Vec<String>)| {
        let missing = list.iter().filter(|item| !others.contains(item));
        missing.map(|item| format!("{what} {item} stands in {name} but not in {other}")).collect::<Problems>()
    };
    [only(&here, &there), only(&there, &here)].concat()
}

/// The words between backticks.
fn code_spans(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The cells of every row of the page's tables whose first column is called so.
fn rows<'a>(page: &'a str, column: &str) -> Vec<Vec<&'a str>> {
    let mut rows = Vec::new();
    let mut wanted = None;
    for line in page.lines() {
        let inside = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|'));
        let cells = inside.map(|inside| inside.split('|').map(str::trim).collect::<Vec<_>>());
        wanted = match (cells, wanted) {
            (None, _) => None,
            (Some(header), None) => Some(header[0] == column),
            (Some(cells), Some(wanted)) => {
                if wanted && !cells[0].starts_with("---") {
                    rows.push(cells);
                }
                Some(wanted)
            }
        };
    }
    rows
}

/// The part of a page below a heading of the second level.
fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    page.split("\n## ").find(|section| section.lines().next() == Some(heading)).unwrap_or_default()
}

/// `CreateInactiveUser` as files and functions spell it.
fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    snake
}

/// The calls of each service, as the protos declare them.
fn calls(house: &House) -> Vec<(String, String)> {
    let mut calls = Vec::new();
    for (_, text) in house.files("proto/", ".proto") {
        let mut service = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("service ") {
                service = rest.trim_end_matches(" {");
            } else if let Some(rest) = line.trim().strip_prefix("rpc ") {
                let name = rest.split('(').next().unwrap_or_default();
                calls.push((service.to_owned(), name.to_owned()));
            }
        }
    }
    calls
}
