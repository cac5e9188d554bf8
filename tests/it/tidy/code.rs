//! The rules for code: who imports whom, what stands where, and what every rule of the service is tested by.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    House, Problems, calls, code_spans, differences, keeps, notices,
    paths::{ModulePath, module_of, paths},
    replacing, rows, section, snake_case, with, without_tests,
};

/// How many lines a file may have, its tests aside.
const MAX_LINES: usize = 400;
/// What an operation file may hold that is no call: what several of them share, or a command alone does.
const SHARED_OPERATIONS: [&str; 11] = [
    "batches",
    "check_clock",
    "email_warnings",
    "issue_code",
    "issue_key",
    "issue_verification_key",
    "mail_counters",
    "once",
    "remind",
    "renew_event_log",
    "work",
];
/// The rules of the service, by the numbers that tests carry.
const RULES: [(char, &[u32]); 3] = [
    ('R', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]),
    ('U', &[1, 2, 3, 4, 5, 6, 7, 8]),
    ('X', &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23]),
];

#[test]
fn modules_import_only_what_the_architecture_allows() {
    keeps(imports);
    notices(imports, "src/domain/user.rs", with("use crate::grpc;"), "domain::user imports grpc");
    notices(imports, "src/clock.rs", with("use crate::{domain::Timestamp, random};"), "clock imports random");
    notices(imports, "src/repository/users.rs", with("use super::postgres;"), "imports repository::postgres");
    notices(imports, "src/workers/mail_outbox.rs", with("use crate::mail::smtp::X;"), "imports mail::smtp");
    notices(imports, "src/cli/serve.rs", with("use crate::mailbox::Mailbox;"), "cli::serve imports mailbox");
    notices(imports, "src/new.rs", with("//! New."), "new is in no row");
    notices(
        imports,
        "ARCHITECTURE.md",
        replacing("telemetry → config", "telemetry → nothing"),
        "telemetry imports config",
    );
}

fn imports(house: &House) -> Problems {
    let allowed = allowed_imports(house);
    let mut problems = Vec::new();
    for (file, text) in house.files("src/", ".rs") {
        let module = module_of(file);
        let Some(unit) = unit(&allowed, &module) else {
            if file != "src/lib.rs" {
                problems.push(format!("{} is in no row of ARCHITECTURE.md", module[1..].join("::")));
            }
            continue;
        };
        let imported: BTreeSet<_> = paths(file, without_tests(text))
            .iter()
            .filter(|path| path[0] == "crate")
            .filter_map(|path| self::unit(&allowed, path))
            .collect();
        for other in imported {
            if other != unit && !allowed[unit].iter().any(|allowed| allowed == other) {
                problems.push(format!(
                    "{} imports {other}, which ARCHITECTURE.md does not allow",
                    module[1..].join("::")
                ));
            }
        }
    }
    problems
}

/// The rows of the page's block: modules, an arrow, and what each of them may import.
fn allowed_imports(house: &House) -> BTreeMap<String, Vec<String>> {
    let section = section(house.text("ARCHITECTURE.md"), "Who may import whom");
    let block = section.split("```").nth(1).unwrap_or_default();
    let list = |text: &str| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
    let mut allowed = BTreeMap::new();
    for (modules, imports) in block.lines().filter_map(|line| line.split_once('→')) {
        for module in list(modules) {
            allowed.insert(module, list(imports));
        }
    }
    allowed
}

/// The innermost of the named modules that a path leads into.
fn unit<'a>(allowed: &'a BTreeMap<String, Vec<String>>, path: &ModulePath) -> Option<&'a str> {
    let leads_into = |name: &&String| {
        path.get(1..).is_some_and(|path| {
            path.join("::") == **name || path.join("::").starts_with(&format!("{name}::"))
        })
    };
    allowed.keys().filter(leads_into).max_by_key(|name| name.len()).map(String::as_str)
}

#[test]
fn crates_stand_where_the_architecture_puts_them() {
    keeps(fences);
    notices(
        fences,
        "src/operations/activate.rs",
        with("use tonic::Status;"),
        "operations::activate names tonic",
    );
    notices(fences, "src/domain/user.rs", with("use std::{env, fs};"), "domain::user names std::env");
    notices(fences, "src/server.rs", with("fn x() { chrono::Utc::now(); }"), "server names chrono::Utc::now");
    notices(fences, "src/config.rs", with("use ::sqlx::Pool;"), "config names sqlx");
    notices(fences, "ARCHITECTURE.md", replacing("| `rand` | `random` |", ""), "rand has no place");
}

fn fences(house: &House) -> Problems {
    let section = section(house.text("ARCHITECTURE.md"), "Which crate stands where");
    let fences: Vec<(String, Vec<String>)> = rows(section, "what")
        .into_iter()
        .filter_map(|row| <[&str; 2]>::try_from(row).ok())
        .flat_map(|[crates, modules]| {
            let modules = code_spans(modules);
            code_spans(crates).into_iter().map(move |name| (name, modules.clone()))
        })
        .collect();
    let mut problems = Vec::new();
    for needed in
        ["tonic", "prost", "sqlx", "lettre", "minijinja", "rand", "clap", "std::env", "chrono::Utc::now"]
    {
        if !fences.iter().any(|(name, _)| name == needed) {
            problems.push(format!("{needed} has no place in ARCHITECTURE.md"));
        }
    }
    for (file, text) in house.files("src/", ".rs") {
        let module = module_of(file)[1..].join("::");
        let named: BTreeSet<_> =
            paths(file, without_tests(text)).iter().map(|path| path.join("::") + "::").collect();
        for (name, modules) in &fences {
            let named = named.iter().any(|path| path.starts_with(&format!("{name}::")));
            let inside =
                modules.iter().any(|place| module == *place || module.starts_with(&format!("{place}::")));
            if named && !inside {
                problems.push(format!("{module} names {name}, whose place is {}", modules.join(", ")));
            }
        }
    }
    problems
}

#[test]
fn the_stores_are_twins() {
    keeps(twins);
    notices(
        twins,
        "migrations/sqlite/0002_more.sql",
        with("SELECT 1;"),
        "0002_more.sql stands in migrations/sqlite",
    );
    notices(
        twins,
        "src/repository/sqlite/events.rs",
        with("//! Events."),
        "events.rs stands in src/repository/sqlite",
    );
    notices(
        twins,
        "src/repository/postgres/users.rs",
        replacing("fn find_user(", "fn find_somebody("),
        "users.rs has no find_user",
    );
    notices(
        twins,
        "src/repository/sqlite/outbox.rs",
        |text| {
            text.replace("fn claim_mails", "fn x")
                .replace("fn settle_mails", "fn claim_mails")
                .replace("fn x", "fn settle_mails")
        },
        "another order",
    );
}

fn twins(house: &House) -> Problems {
    let names = |folder: &'static str, ending| {
        let files = house.files(folder, ending);
        (folder, files.map(|(path, _)| path[folder.len()..].to_owned()).collect::<Vec<_>>())
    };
    let [postgres, sqlite] =
        ["src/repository/postgres/", "src/repository/sqlite/"].map(|folder| names(folder, ".rs"));
    let mut problems = differences("the file", postgres.clone(), sqlite);
    let [of_postgres, of_sqlite] =
        ["migrations/postgres/", "migrations/sqlite/"].map(|folder| names(folder, ".sql"));
    problems.extend(differences("the migration", of_postgres, of_sqlite));
    for file in postgres.1 {
        let of = |folder: &str| without_tests(house.text(&format!("src/repository/{folder}{file}")));
        let promised = of("").split("\npub trait ").nth(1).and_then(|rest| rest.split("\n}").next());
        let promised = functions(promised.unwrap_or_default());
        let (postgres, sqlite) = (functions(of("postgres/")), functions(of("sqlite/")));
        for (folder, functions) in [("postgres/", &postgres), ("sqlite/", &sqlite)] {
            let missing = promised.iter().filter(|name| !functions.contains(name));
            problems.extend(missing.map(|name| format!("{folder}{file} has no {name}")));
        }
        let shared = |of: &[String], other: &[String]| {
            let shared = of.iter().filter(|name| other.contains(name));
            shared.cloned().collect::<Vec<_>>()
        };
        // A helper may be called as a promise is: what comes twice is looked at once, where it first stands.
        let order = |list: Vec<String>| {
            let mut seen = BTreeSet::new();
            list.into_iter().filter(|name| seen.insert(name.clone())).collect::<Vec<_>>()
        };
        if order(shared(&postgres, &sqlite)) != order(shared(&sqlite, &postgres)) {
            problems
                .push(format!("postgres/{file} and sqlite/{file} have the same functions in another order"));
        }
    }
    problems
}

fn functions(text: &str) -> Vec<String> {
    let after = text.lines().filter_map(|line| line.split_once("fn "));
    let after = after.filter(|(before, _)| !before.contains("//") && !before.contains('"'));
    after.map(|(_, rest)| rest.split(['(', '<']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn files_are_short_and_open_with_their_job() {
    keeps(files);
    notices(files, "src/clock/mod.rs", with("//! The clock."), "src/clock/mod.rs: beside its folder");
    notices(
        files,
        "src/clock.rs",
        |text| text.replacen("//!", "//", 1),
        "src/clock.rs: does not open with //!",
    );
    let long = |text: &str| "//! Long.\n".repeat(MAX_LINES + 1 - without_tests(text).lines().count()) + text;
    notices(files, "src/clock.rs", long, "src/clock.rs: 401 lines");
    notices(files, "tests/it/main.rs", |text| text.replacen("//!", "//", 1), "does not open with //!");
}

fn files(house: &House) -> Problems {
    let mut problems = Vec::new();
    for (path, text) in house.files("src/", ".rs").chain(house.files("tests/", ".rs")) {
        let lines = without_tests(text).lines().count();
        if path.starts_with("src/") && lines > MAX_LINES {
            problems.push(format!("{path}: {lines} lines, where {MAX_LINES} are the limit"));
        }
        if path.ends_with("/mod.rs") {
            problems.push(format!("{path}: beside its folder stands a file of its name, never mod.rs"));
        }
        if !text.starts_with("//! ") {
            problems.push(format!("{path}: does not open with //! and its job"));
        }
    }
    problems
}

#[test]
fn nothing_is_left_for_later_and_no_test_is_skipped() {
    keeps(leftovers);
    for (word, line) in [
        (["TO", "DO"].concat(), "// TO+DO: more"),
        (["FIX", "ME"].concat(), "// FIX+ME"),
        (["X", "XX"].concat(), "// X+XX"),
        (["#[ig", "nore"].concat(), "#[ig+nore]"),
        (["#[ig", "nore"].concat(), "#[ig+nore = \"slow\"]"),
    ] {
        let line = line.replace('+', "");
        for path in ["src/clock.rs", "tests/it/main.rs", "proto/vestibule/v1/user.proto", "README.md"] {
            notices(leftovers, path, |text| format!("{line}\n{text}"), &format!("{path}: {word}"));
        }
    }
}

fn leftovers(house: &House) -> Problems {
    // Put together here, so that this file passes.
    let words = [["TO", "DO"], ["FIX", "ME"], ["X", "XX"], ["#[ig", "nore"]].map(|parts| parts.concat());
    let mut problems = Vec::new();
    for (path, text) in house.files("", "") {
        for word in &words {
            // In a word of more than these letters it is something else.
            let whole = |start: usize| {
                let letter = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
                !letter(text[..start].chars().next_back())
                    && !letter(text[start + word.len()..].chars().next())
            };
            if text.match_indices(word.as_str()).any(|(start, _)| whole(start)) {
                problems.push(format!("{path}: {word}"));
            }
        }
    }
    problems
}

#[test]
fn an_operation_is_a_file_named_after_its_call() {
    keeps(operations);
    notices(
        operations,
        "src/operations/do_something.rs",
        with("//! Something."),
        "do_something stands in src/operations",
    );
    let added = replacing("service UserService {", "service UserService {\n  rpc MergeUsers(X) returns (Y);");
    notices(operations, "proto/vestibule/v1/user_service.proto", added, "merge_users stands in the protos");
}

fn operations(house: &House) -> Problems {
    let folder = "src/operations/";
    let name = |path: &str| path[folder.len()..].trim_end_matches(".rs").to_owned();
    let files = house.files(folder, ".rs").map(|(path, _)| name(path));
    let files = files.filter(|name| !SHARED_OPERATIONS.contains(&name.as_str())).collect();
    let calls = calls(house).iter().map(|(_, call)| snake_case(call)).collect();
    differences("the operation", (folder, files), ("the protos", calls))
}

#[test]
fn every_rule_has_a_test_that_carries_its_number() {
    keeps(untested_rules);
    let all: Vec<_> = RULES
        .iter()
        .flat_map(|(letter, numbers)| numbers.iter().map(move |number| format!("{letter}{number}")))
        .collect();
    let found =
        |line: &str| all.iter().filter(|rule| rules_of(line).contains(*rule)).cloned().collect::<Vec<_>>();
    assert_eq!(found("    async fn r4_x4_every_name_is_there() {"), ["R4", "X4"]);
    assert_eq!(found("pub async fn u1_u3_conditions(store: Store) {"), ["U1", "U3"]);
    assert_eq!(found("    // R10, X12: at its instant"), ["R10", "X12"]);
    assert_eq!(found("fn the_r1_rule() { let x1 = \"R2\"; }"), [""; 0]);
    let everywhere: Vec<_> = House::read().files("", ".rs").map(|(path, _)| path.to_owned()).collect();
    for rule in &all {
        let mut house = House::read();
        for path in &everywhere {
            let without = house.text(path).lines().filter(|line| !rules_of(line).contains(rule));
            let without = without.collect::<Vec<_>>().join("\n");
            house.0.insert(path.clone(), without);
        }
        // A test that carried other numbers, too, is gone for them as well.
        assert!(untested_rules(&house).contains(&format!("{rule} has no test")));
    }
}

fn untested_rules(house: &House) -> Problems {
    let of_src = house.files("src/", ".rs").map(|(_, text)| &text[without_tests(text).len()..]);
    let of_tests = house.files("tests/", ".rs").map(|(_, text)| text);
    let tested: BTreeSet<_> = of_src.chain(of_tests).flat_map(str::lines).flat_map(rules_of).collect();
    let all = RULES
        .iter()
        .flat_map(|(letter, numbers)| numbers.iter().map(move |number| format!("{letter}{number}")));
    all.filter(|rule| !tested.contains(rule)).map(|rule| format!("{rule} has no test")).collect()
}

/// The rules that a test's name begins with, or that a comment names.
fn rules_of(line: &str) -> Vec<String> {
    let is_rule = |word: &&str| {
        let mut chars = word.chars();
        chars.next().is_some_and(|c| matches!(c, 'R' | 'U' | 'X'))
            && word.len() > 1
            && chars.all(|c| c.is_ascii_digit())
    };
    if let Some((_, comment)) = line.split_once("//") {
        return comment
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(is_rule)
            .map(str::to_owned)
            .collect();
    }
    let name = line.trim_start().trim_start_matches("pub ").trim_start_matches("async ");
    let Some(name) = name.strip_prefix("fn ") else { return Vec::new() };
    let name = name.to_uppercase();
    name.split('_').take_while(is_rule).map(str::to_owned).collect()
}
