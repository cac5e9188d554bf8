//! Usernames, addresses and passwords by the standards: tables with the expected answer of each entry, every
//! character there is, and who is taken for whom by a server.

mod every_character;
mod registering;
mod table;

use vestibule::domain::{
    email_address::{EmailAddress, EmailDomain},
    password::Password,
    username::Username,
    username_policy::UsernamePolicy,
};

use crate::support::server::on_each_store;
use table::{Row, rows};

on_each_store! {
    registering: [
        x7_names_are_equal_when_the_standard_says_so_and_by_nothing_else,
        a_new_name_that_is_reserved_or_looks_like_another_is_named_with_the_other_wrong_fields,
        a_site_with_another_script_can_allow_names_that_look_latin,
        x7_mail_goes_to_the_address_that_the_database_holds,
    ]
}

/// Whether a column says that there is no such form.
const REFUSED: &str = "!";
/// Whether a column says that the form is the entry itself.
const UNCHANGED: &str = "=";

/// What a column expects of an entry.
fn expected(row: &Row, column: usize) -> Option<&str> {
    match row.columns[column].as_str() {
        REFUSED => None,
        UNCHANGED => Some(&row.columns[0]),
        form => Some(form),
    }
}

/// Fails with every row that went wrong, not with the first.
fn all_as_expected(rows: &[Row], wrong: impl Fn(&Row) -> Option<String>) {
    let wrong: Vec<_> =
        rows.iter().filter_map(|row| Some(format!("line {}: {}", row.line, wrong(row)?))).collect();
    assert!(wrong.is_empty(), "{} of {} are wrong\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

#[test]
fn x7_addresses_of_the_table_have_the_form_or_the_refusal_that_it_says() {
    let rows = rows(include_str!("data/addresses.tsv"), 2);
    assert!(rows.len() >= 300, "{} addresses", rows.len());
    all_as_expected(&rows, |row| {
        let parsed = EmailAddress::parse(&row.columns[0]).ok();
        let form = parsed.as_ref().map(EmailAddress::as_str);
        (form != expected(row, 1)).then(|| format!("{:?} gives {form:?}", shortened(&row.columns[0])))
    });
    for row in rows.iter().filter(|row| expected(row, 1).is_some()) {
        let address = EmailAddress::parse(&row.columns[0]).unwrap();
        assert_eq!(EmailAddress::parse(address.as_str()).unwrap(), address, "it is its own form");
        assert_eq!(EmailDomain::parse(address.domain()).unwrap().as_str(), address.domain());
    }
}

#[test]
fn x7_usernames_of_the_table_have_the_forms_or_the_refusal_that_it_says() {
    let rows = rows(include_str!("data/usernames.tsv"), 3);
    all_as_expected(&rows, |row| {
        let parsed = Username::parse(&row.columns[0]).ok();
        let forms = parsed.as_ref().map(|name| (name.as_str(), name.key().as_str()));
        let both = expected(row, 1).zip(expected(row, 2));
        (forms != both).then(|| format!("{:?} gives {forms:?}", shortened(&row.columns[0])))
    });
}

#[test]
fn passwords_of_the_table_have_the_form_or_the_refusal_that_it_says() {
    let rows = rows(include_str!("data/passwords.tsv"), 2);
    all_as_expected(&rows, |row| {
        let parsed = Password::parse(&row.columns[0]).ok();
        let form = parsed.as_ref().map(|password| str::from_utf8(password.expose()).unwrap());
        (form != expected(row, 1)).then(|| format!("{:?} gives {form:?}", shortened(&row.columns[0])))
    });
}

#[test]
fn new_names_of_the_table_are_accepted_or_refused_for_the_reason_that_it_says() {
    let rows = rows(include_str!("data/new_usernames.tsv"), 2);
    let policy =
        UsernamePolicy::new(["admin", "no-reply", "Straße"].map(|name| Username::parse(name).unwrap()));
    let said = [
        ("reserved", "must not be a reserved name"),
        ("mark", "must not begin with a combining mark"),
        ("character", "must be written in characters that UTS 39 recommends for identifiers"),
        (
            "mixed",
            "must be written in one script with its digits, or in Latin with Chinese, Japanese or Korean",
        ),
        ("look-alike", "must not look like another name, in ASCII letters"),
    ];
    all_as_expected(&rows, |row| {
        let name = match Username::parse(&row.columns[0]) {
            Ok(name) => name,
            Err(invalid) => return Some(format!("{:?} is no username: {invalid}", row.columns[0])),
        };
        let refusal = policy.check(&name).err().map(|invalid| invalid.0);
        let expected =
            said.iter().find(|(word, _)| row.columns[1] == *word).map(|(_, said)| (*said).to_owned());
        assert!(expected.is_some() || row.columns[1] == "accepted", "{}", row.columns[1]);
        (refusal != expected).then(|| format!("{name:?} {refusal:?}"))
    });
}

/// An entry as a failure shows it.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}
