//! The paths that a Rust file names, each from the crate's root on: enough of a parser for the sources of the house.

/// A path as its segments, such as `crate`, `domain`, `user`.
pub type ModulePath = Vec<String>;

/// The module of a file of `src`: `src/mail/smtp.rs` is `crate::mail::smtp`.
pub fn module_of(file: &str) -> ModulePath {
    let inside = file.trim_start_matches("src/").trim_end_matches(".rs");
    let segments = inside.split('/').filter(|segment| *segment != "lib").map(str::to_owned);
    std::iter::once("crate".to_owned()).chain(segments).collect()
}

/// Every path that the file's code names, with what it means by `self` and `super` put in its place.
pub fn paths(file: &str, text: &str) -> Vec<ModulePath> {
    let tokens = tokens(text);
    let module = module_of(file);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_path = is_name(&tokens[at]) && tokens.get(at + 1).is_some_and(|next| next == "::");
        let begins = at == 0 || tokens[at - 1] != "::" || at > 1 && tokens[at - 2] == "use";
        if is_path && begins && tokens[at] != "use" {
            at = tree(&tokens, at, &mut Vec::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found.into_iter().filter_map(|path| absolute(&module, path)).collect()
}

/// Reads a path or a tree of them from `at` on, and returns where it ends.
fn tree(tokens: &[String], mut at: usize, prefix: &mut ModulePath, found: &mut Vec<ModulePath>) -> usize {
    let depth = prefix.len();
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            at += 1;
            while tokens.get(at).is_some_and(|token| token != "}") {
                let start = at;
                at = tree(tokens, at, prefix, found);
                // A name of its own, a comma, whatever a tree doesn't begin with.
                at = at.max(start + 1);
            }
            prefix.truncate(depth);
            return at + 1;
        }
        if !is_name(token) {
            break;
        }
        prefix.push(token.clone());
        at += 1;
        match tokens.get(at).map(String::as_str) {
            Some("::") => at += 1,
            // What it is called here is nobody's path.
            Some("as") => {
                at += 2;
                break;
            }
            _ => break,
        }
    }
    if prefix.len() > depth {
        found.push(prefix.clone());
    }
    prefix.truncate(depth);
    at
}

fn absolute(module: &[String], path: ModulePath) -> Option<ModulePath> {
    let mut base = match path.first()?.as_str() {
        "crate" | "vestibule" => vec!["crate".to_owned()],
        "self" => module.to_vec(),
        "super" => module.to_vec(),
        _ => return Some(path),
    };
    let mut rest = path.as_slice();
    if !matches!(path.first()?.as_str(), "super") {
        rest = &rest[1..];
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend(rest.iter().filter(|segment| *segment != "self").cloned());
    Some(base)
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs; comments and texts are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else if let Some(end) = raw_string(rest).or_else(|| string(rest)) {
            end
        } else if is_name(rest) {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Where a text that begins here ends.
fn string(rest: &str) -> Option<usize> {
    if rest.starts_with("'\"'") {
        return Some(3);
    }
    rest.strip_prefix('"')?;
    let mut escaped = false;
    for (index, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(index + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

fn raw_string(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('r')?;
    let fence = inside.split('"').next().filter(|fence| fence.bytes().all(|b| b == b'#'))?;
    let body = inside.get(fence.len() + 1..)?;
    let end = format!("\"{fence}");
    let length = body.find(&end).unwrap_or(body.len());
    Some(1 + fence.len() + 1 + length + end.len())
}

#[test]
fn paths_are_read_however_they_are_written() {
    let text = r##"
//! Not crate::comment::x
use std::{env, fs as files};
use ::q::r;
use crate::{a::{self, B}, c::D as _, e::*};
use super::{f, super::g};
pub(crate) use self::h::I;
fn x() -> j::K { crate::l::m("crate::text::x", r#"crate::raw::"x"#, '"'); n(); o::p::<Q>(); }
"##;
    let mut found: Vec<_> = paths("src/one/two.rs", text).iter().map(|path| path.join("::")).collect();
    found.sort();
    let expected = [
        "crate::a",
        "crate::a::B",
        "crate::c::D",
        "crate::e",
        "crate::g",
        "crate::l::m",
        "crate::one::f",
        "crate::one::two::h::I",
        "j::K",
        "o::p",
        "q::r",
        "std::env",
        "std::fs",
    ];
    assert_eq!(found, expected);
    assert_eq!(module_of("src/lib.rs"), ["crate"]);
}
