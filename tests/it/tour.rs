//! The README's tour as a newcomer takes it: every command of it by the real grpcurl, against `vestibule dev`.

use std::{fs, process::Command};

use chrono::DateTime;
use uuid::Uuid;
use vestibule::domain::event_log::Position;

use crate::support::{
    grpcurl, house,
    process::{FREE_PORTS, Process, run, vestibule},
};

/// A command as the README shows it, and what it says the answer is.
#[derive(Debug, PartialEq, Eq)]
struct Stop {
    command: String,
    promised: String,
}

#[test]
fn every_command_of_the_tour_answers_as_the_readme_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Process::listen(vestibule(folder.path()).args(["dev", "--data", "data"]).args(FREE_PORTS));
    let mut key = None;
    let stops = stops(&house::read("README.md"));
    for Stop { command, promised } in &stops {
        if command.contains("<key>") && key.is_none() {
            key = Some(key_of_the_mail(&mut server));
        }
        let command = command
            .replace("127.0.0.1:50051", &server.address.to_string())
            .replace("<key>", key.as_deref().unwrap_or_default());
        let output = Command::new("sh").arg("-c").arg(&command).env("PATH", path()).output().unwrap();
        let answer = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        compare(promised, &answer).unwrap_or_else(|problem| panic!("{problem}\n$ {command}\n{answer}"));
        assert_eq!(output.status.success(), !promised.starts_with("ERROR:"), "$ {command}");
    }
    let shown = |text: &str| stops.iter().any(|stop| stop.promised.contains(text));
    assert!(shown("is a message:\n//"), "the tour describes a message with its comments");
    assert!(shown("Details:\n  1)\t{\"@type\":"), "the tour shows an error's details as JSON");
    assert!(server.terminate().success());
}

#[test]
fn the_two_commands_are_those_that_exist() {
    let readme = house::read("README.md");
    let section = readme.split("\n## ").find(|section| section.starts_with("Two commands")).unwrap();
    let commands: Vec<_> = house::blocks(section, "sh").concat();
    assert_eq!(commands, ["cargo run -- dev", "./scripts/test"]);
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["dev", "--help"], &[]);
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for address in ["127.0.0.1:50051", "127.0.0.1:8025", "127.0.0.1:8080"] {
        assert!(help.contains(address) && readme.contains(address), "{address}");
    }
    let script = Command::new("bash").arg("-n").arg(house::root().join("scripts/test")).output().unwrap();
    assert!(script.status.success(), "{}", String::from_utf8_lossy(&script.stderr));
    assert!(house::read(".ci/run").contains("\nexec ./scripts/test\n"), "CI runs the same command");
}

#[test]
fn every_command_of_vestibule_that_a_page_names_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for page in house::files(".md") {
        for command in named_commands(&house::read(&page)) {
            seen += 1;
            // Whatever is wrong with an argument before it is said before the help is.
            let arguments: Vec<_> = command.split_whitespace().chain(["--help"]).collect();
            let output = run(folder.path(), &arguments, &[]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}: {command}: {said}");
        }
    }
    assert!(seen > 10, "only {seen} commands found");
}

#[test]
fn every_relative_link_of_a_page_leads_to_a_file_and_to_a_heading_of_it() {
    let mut seen = 0;
    for page in house::files(".md") {
        for link in relative_links(&house::read(&page)) {
            seen += 1;
            let problem = follow(&page, link).err().unwrap_or_default();
            assert!(problem.is_empty(), "{page}: {link}: {problem}");
        }
    }
    assert!(seen > 5, "only {seen} links found");
}

#[test]
fn a_promise_that_is_not_kept_is_noticed() {
    let id = "01a2042f-8993-7ae6-a631-78844411876d";
    let answer = format!("{{\n  \"id\": \"{id}\",\n  \n  \"time\": \"2026-11-22T16:55:54.003063Z\"\n}}\n");
    for (promised, kept) in [
        ("{\n  \"id\": \"<id>\",\n\n  \"time\": \"<time>\"\n}\n", true),
        ("{\n  \"id\": \"<time>\",\n\n  \"time\": \"<time>\"\n}\n", false),
        ("{\n  \"id\": \"<id>\",\n\n  \"time\": \"<id>\"\n}\n", false),
        ("{\n  \"id\": \"<id>\",\n\n  \"time\": \"<time>\"\n", false),
        ("{\n  \"id\": \"<id>\",\n\n  \"time\": \"<time>\"\n}\nmore\n", false),
        ("{\n  \"no\": \"<id>\",\n\n  \"time\": \"<time>\"\n}\n", false),
        ("{\n  \"id\": \"<whatever>\",\n\n  \"time\": \"<time>\"\n}\n", false),
        ("", false),
    ] {
        assert_eq!(compare(promised, &answer).is_ok(), kept, "{promised}");
    }
}

#[test]
fn a_page_is_read_as_a_reader_reads_it() {
    let page = "a\n```console\n$ one\n1\n2\n$ two\n```\n[x](a.md#b) [y](https://c)\n```sh\n$ z\n```\n`vestibule a --b c`\n\
                Say `cargo run -- d` or:\n```sh\nvestibule e\n[no](link.md)\n```\n";
    let stop = |command: &str, promised: &str| Stop { command: command.into(), promised: promised.into() };
    assert_eq!(stops(page), [stop("one", "1\n2\n"), stop("two", "")]);
    assert_eq!(relative_links(page), ["a.md#b"]);
    assert_eq!(named_commands(page), ["a --b c", "d", "e"]);
    assert_eq!(slug("What `a` *is*, and isn't"), "what-a-is-and-isnt");
    for (link, leads_somewhere) in [
        ("LICENSE", true),
        ("README.md#two-commands", true),
        ("#two-commands", true),
        ("docs/decisions", true),
        ("nowhere.md", false),
        ("README.md#nowhere", false),
    ] {
        assert_eq!(follow("README.md", link).is_ok(), leads_somewhere, "{link}");
    }
}

/// The key in the mail that the server's terminal shows.
fn key_of_the_mail(server: &mut Process) -> String {
    let link = server.wait_for("/activate/");
    link.rsplit('/').next().unwrap().to_owned()
}

/// Whether `answer` is what was promised, but for blanks at the ends of lines and what `<id>`, `<time>` and `<position>`
/// stand for.
fn compare(promised: &str, answer: &str) -> Result<(), String> {
    let trimmed: Vec<_> = answer.lines().map(str::trim_end).collect();
    let trimmed = trimmed.join("\n");
    let mut left = trimmed.as_str();
    for (index, piece) in promised.trim_end().split('<').enumerate() {
        let literal = if index == 0 {
            piece
        } else {
            let (name, literal) = piece.split_once('>').ok_or_else(|| format!("<{piece} has no end"))?;
            let (value, rest) = left.split_at(left.find(['"', '\n']).unwrap_or(left.len()));
            let fits = match name {
                "id" => value.parse::<Uuid>().is_ok(),
                "time" => DateTime::parse_from_rfc3339(value).is_ok(),
                "position" => Position::parse(value).is_ok(),
                _ => false,
            };
            if !fits {
                return Err(format!("{value:?} is no <{name}>"));
            }
            left = rest;
            literal
        };
        left =
            left.strip_prefix(literal).ok_or_else(|| format!("promised: {literal:?}, answered: {left:?}"))?;
    }
    if left.is_empty() { Ok(()) } else { Err(format!("not promised: {left:?}")) }
}

/// The commands of the console blocks with what follows each.
fn stops(page: &str) -> Vec<Stop> {
    let mut stops: Vec<Stop> = Vec::new();
    for block in house::blocks(page, "console") {
        for line in block {
            match line.strip_prefix("$ ") {
                Some(command) => stops.push(Stop { command: command.to_owned(), promised: String::new() }),
                None => {
                    let stop = stops.last_mut().expect("a console block begins with a command");
                    stop.promised.push_str(line);
                    stop.promised.push('\n');
                }
            }
        }
    }
    stops
}

/// What follows `vestibule` or `cargo run --` in code: a command with its arguments.
fn named_commands(page: &str) -> Vec<&str> {
    let code = house::prose(page).flat_map(|line| line.split('`').skip(1).step_by(2));
    let shell = house::blocks(page, "sh").concat();
    code.chain(shell)
        .filter_map(|code| code.strip_prefix("vestibule ").or_else(|| code.strip_prefix("cargo run -- ")))
        .map(|command| command.split(['#', '|', '>']).next().unwrap_or_default().trim())
        .collect()
}

fn relative_links(page: &str) -> Vec<&str> {
    house::prose(page)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link)
        .filter(|link| !link.contains("://") && !link.starts_with("mailto:"))
        .collect()
}

/// Whether a link of `page` leads somewhere.
fn follow(page: &str, link: &str) -> Result<(), String> {
    let page = house::root().join(page);
    let (path, heading) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page } else { page.with_file_name("").join(path) };
    if !target.exists() {
        return Err("there is no such file".to_owned());
    }
    if heading.is_empty() {
        return Ok(());
    }
    let text = fs::read_to_string(&target).map_err(|error| error.to_string())?;
    let mut headings = house::prose(&text)
        .filter(|line| line.starts_with('#'))
        .map(|line| slug(line.trim_start_matches('#')));
    if headings.any(|slug| slug == heading) { Ok(()) } else { Err("there is no such heading".to_owned()) }
}

/// What a heading's link ends with.
fn slug(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    kept.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The PATH of the tests, with grpcurl on it.
#[expect(clippy::disallowed_methods, reason = "what a test runs on is none of the program's settings")]
fn path() -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [grpcurl::folder().to_owned()].into_iter().chain(std::env::split_paths(&path));
    std::env::join_paths(folders).unwrap()
}
