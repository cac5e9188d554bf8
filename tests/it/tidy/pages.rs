//! The rules for pages: what they promise is what the code has.

use std::collections::BTreeSet;

use figment::{
    Figment,
    providers::{Format as _, Toml},
};
use serde_json::Value;

use super::{
    House, Problems, calls, code_spans, differences, keeps, notices, replacing, rows, section, with,
};

/// The codes of gRPC that a reason can come with.
const CODES: [&str; 12] = [
    "INVALID_ARGUMENT",
    "ALREADY_EXISTS",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "OUT_OF_RANGE",
    "DEADLINE_EXCEEDED",
    "UNAVAILABLE",
    "INTERNAL",
];

#[test]
fn the_page_of_errors_lists_every_reason_with_its_codes() {
    keeps(errors);
    notices(
        errors,
        "docs/errors.md",
        replacing("| DRAINING | UNAVAILABLE", "| DRAINING | ABORTED"),
        "DRAINING: UNAVAILABLE",
    );
    notices(errors, "docs/errors.md", replacing("| DRAINING |", "| DRAINED |"), "DRAINING");
    let added = replacing(
        "ERROR_REASON_INTERNAL = 19;",
        "ERROR_REASON_INTERNAL = 19;\n  // ABORTED. New.\n  ERROR_REASON_NEW = 20;",
    );
    notices(
        errors,
        "proto/vestibule/v1/error_reason.proto",
        added,
        "NEW: ABORTED stands in error_reason.proto",
    );
}

fn errors(house: &House) -> Problems {
    let codes = |text: &str| {
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        words
            .filter(|word| CODES.contains(word))
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut declared = Vec::new();
    let mut comment = String::new();
    for line in house.text("proto/vestibule/v1/error_reason.proto").lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("//") {
            comment.push_str(text);
        } else {
            let value = line.strip_prefix("ERROR_REASON_").and_then(|rest| rest.split_once(" = "));
            if let Some((name, _)) = value.filter(|(name, _)| *name != "UNSPECIFIED") {
                declared.push(format!("{name}: {}", codes(&comment)));
            }
            comment.clear();
        }
    }
    let page = rows(house.text("docs/errors.md"), "reason");
    let listed = page.iter().map(|row| format!("{}: {}", row[0], codes(row[1]))).collect();
    differences("the reason", ("error_reason.proto", declared), ("docs/errors.md", listed))
}

#[test]
fn the_page_of_settings_lists_every_key_with_its_default() {
    keeps(settings);
    notices(
        settings,
        "config.default.toml",
        replacing("drain_seconds = 10", "drain_seconds = 11"),
        "grpc.drain_seconds = 11 stands in config",
    );
    notices(
        settings,
        "config.default.toml",
        replacing("[grpc]", "[grpc]\ncolour = 1"),
        "grpc.colour = 1 stands in config",
    );
    notices(
        settings,
        "docs/configuration.md",
        replacing("| `grpc.listen` |", "| `grpc.lsten` |"),
        "grpc.lsten = 127.0.0.1:50051 stands in docs",
    );
    notices(
        settings,
        "docs/configuration.md",
        replacing("| `database.url_file` |", "| `database.file` |"),
        "database.url_file is documented nowhere",
    );
    notices(
        settings,
        "src/config/settings.rs",
        replacing("pub url: SecretString,", "pub url: SecretString,\n    pub more: Option<u32>,"),
        "database.more is documented nowhere",
    );
}

fn settings(house: &House) -> Problems {
    let defaults = Figment::from(Toml::string(house.text("config.default.toml")));
    let mut declared = Vec::new();
    flatten("", &defaults.extract::<Value>().expect("the defaults are TOML"), &mut declared);
    let mut optional = optional_settings(house.text("src/config/settings.rs"));
    let mut documented = Vec::new();
    for row in rows(house.text("docs/configuration.md"), "key") {
        let key = &code_spans(row[0]).concat();
        if let [default] = code_spans(row[1]).as_slice() {
            documented.push(format!("{key} = {default}"));
        } else if let Some(index) = optional.iter().position(|name| name == key) {
            optional.remove(index);
        } else {
            documented.push(format!("{key} = "));
        }
    }
    let mut problems =
        differences("the setting", ("config.default.toml", declared), ("docs/configuration.md", documented));
    problems.extend(optional.iter().map(|key| format!("{key} is documented nowhere")));
    problems
}

/// Every key with its value, those of a list's items as if they were the list's.
fn flatten(prefix: &str, value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let prefix = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&prefix, value, into);
            }
        }
        // A list of names is told by its length.
        Value::Array(items) if items.iter().all(Value::is_string) => {
            into.push(format!("{prefix} = {} entries", items.len()));
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(prefix, item, into)),
        Value::String(text) if !text.is_empty() => into.push(format!("{prefix} = {text}")),
        other => into.push(format!("{prefix} = {other}")),
    }
}

/// The settings that have no default, by the comments above their structs.
fn optional_settings(code: &str) -> Vec<String> {
    let mut table = String::new();
    let mut optional = Vec::new();
    for line in code.lines().map(str::trim) {
        if line.starts_with("///") && line.contains("`[") {
            table = code_spans(line).concat().replace(['[', ']'], "");
        }
        let field = line.strip_prefix("pub ").and_then(|field| field.split_once(": Option<"));
        optional.extend(field.map(|(name, _)| format!("{table}.{name}")));
    }
    optional
}

#[test]
fn pages_name_the_calls_and_the_commands_that_exist() {
    keeps(lists);
    notices(lists, "CHANGELOG.md", replacing("GetUser, ", ""), "UserService/GetUser");
    notices(
        lists,
        "README.md",
        replacing("UserService/GetUser", "UserService/FindUser"),
        "README.md names vestibule.v1.UserService/FindUser",
    );
    notices(
        lists,
        "src/cli.rs",
        replacing("    Version,\n", "    Version,\n    /// More.\n    DoMore,\n"),
        "the command do-more",
    );
    notices(lists, "CHANGELOG.md", replacing("`dev`, ", ""), "the command dev");
}

fn lists(house: &House) -> Problems {
    let declared: Vec<_> = calls(house).iter().map(|(service, call)| format!("{service}/{call}")).collect();
    let changelog = house.text("CHANGELOG.md");
    let listed = changelog.lines().filter_map(|line| line.strip_prefix("- `")?.split_once("`: "));
    let listed = listed.filter(|(service, _)| service.ends_with("Service")).flat_map(|(service, calls)| {
        calls.trim_end_matches('.').split(", ").map(move |call| format!("{service}/{call}"))
    });
    let mut problems =
        differences("the call", ("the protos", declared.clone()), ("CHANGELOG.md", listed.collect()));
    for (path, text) in house.files("", ".md") {
        let named = text
            .split("vestibule.v1.")
            .skip(1)
            .filter_map(|rest| rest.split(|c: char| !c.is_ascii_alphabetic() && c != '/').next());
        for call in named.filter(|name| name.contains('/') && !declared.contains(&(*name).to_owned())) {
            problems.push(format!("{path} names vestibule.v1.{call}, which is no call"));
        }
    }
    let commands =
        house.text("src/cli.rs").split("enum Command {").nth(1).and_then(|rest| rest.split("\n}").next());
    let commands = commands
        .unwrap_or_default()
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['/', '#']) && !line.is_empty());
    let commands = commands
        .map(|line| kebab_case(line.split(['(', ',']).next().unwrap_or_default()))
        .collect::<Vec<_>>();
    for page in ["CHANGELOG.md", "docs/operations.md"] {
        let named = code_spans(house.text(page));
        let is_named =
            |command: &String| named.contains(command) || named.contains(&format!("vestibule {command}"));
        let missing = commands.iter().filter(|command| !is_named(command));
        problems.extend(missing.map(|command| format!("the command {command} stands not in {page}")));
    }
    problems
}

fn kebab_case(name: &str) -> String {
    super::snake_case(name).replace('_', "-")
}

#[test]
fn no_page_depends_on_somebodys_machine() {
    keeps(machine_paths);
    for path in ["/home/me/x", "/root/.cargo", "/tmp/x", "/Users/me", "C:\\x"] {
        let said = format!("docs/errors.md: {path}");
        notices(machine_paths, "docs/errors.md", |text| format!("{text}See `{path}`.\n"), &said);
    }
}

fn machine_paths(house: &House) -> Problems {
    let mut problems = Vec::new();
    for (path, text) in house.files("", ".md") {
        let words = text.split(|c: char| c.is_whitespace() || "`\"'()=<>,".contains(c));
        for word in words {
            let machine = ["/home/", "/root/", "/tmp/", "/work/", "/Users/", "/mnt/", "C:\\"];
            if machine.iter().any(|start| word.starts_with(start)) {
                problems.push(format!("{path}: {}", word.trim_end_matches('.')));
            }
        }
    }
    problems
}

#[test]
fn the_changelog_tells_of_this_version() {
    keeps(changelog);
    notices(changelog, "CHANGELOG.md", replacing("## Unreleased", "## 0.0.9"), "0.1.0 nor Unreleased");
    notices(
        changelog,
        "CHANGELOG.md",
        |text| text[..text.find("### Added").unwrap()].to_owned(),
        "nothing stands below Unreleased",
    );
}

fn changelog(house: &House) -> Problems {
    let version = env!("CARGO_PKG_VERSION");
    let page = house.text("CHANGELOG.md");
    let headings: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let Some(current) =
        headings.first().filter(|heading| **heading == "Unreleased" || heading.contains(version))
    else {
        return vec![format!("CHANGELOG.md begins with neither {version} nor Unreleased")];
    };
    let told = section(page, current).lines().any(|line| line.starts_with("- "));
    if told { Vec::new() } else { vec![format!("nothing stands below {current}")] }
}

#[test]
fn markdown_has_a_sentence_a_line() {
    keeps(sentences);
    notices(sentences, "docs/errors.md", with("One sentence. Another one."), "One sentence. Another one.");
    notices(sentences, "README.md", with("- A *list*. Of two."), "A *list*. Of two.");
    notices(sentences, "README.md", with("- **Title.** One. Two!"), "One. Two!");
}

fn sentences(house: &House) -> Problems {
    let mut problems = Vec::new();
    for (path, text) in house.files("", ".md") {
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.trim_start().starts_with("```");
            // A table's cell is no place for a line's end, and what stands out at a line's beginning is its title.
            let text = line.trim_start().trim_start_matches("- ");
            let text = text.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches(". ");
            let title = ["**", "*"].iter().find_map(|mark| text.strip_prefix(mark)?.split_once(mark));
            let prose = title.map_or(text, |(_, rest)| rest);
            let prose: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("x");
            let mut ends = prose
                .match_indices(['.', '?', '!'])
                .map(|(index, _)| prose[index + 1..].trim_start_matches(['*', ')']));
            let second = ends.any(|rest| {
                rest.strip_prefix(' ').is_some_and(|rest| rest.starts_with(|c: char| c.is_uppercase()))
            });
            if !fenced && !line.starts_with(['|', '#']) && second {
                problems.push(format!("{path}: {line}"));
            }
        }
    }
    problems
}
