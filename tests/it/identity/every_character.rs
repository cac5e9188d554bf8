//! What is stored is its own form: every character there is, alone and in company, for every normalisation.

use std::thread;

use vestibule::domain::{
    email_address::{EmailAddress, EmailDomain},
    password::Password,
    username::Username,
};

/// Where a character can stand: alone, between letters, at an end, among Hebrew ones, before a mark, behind a virama.
const COMPANY: [(&str, &str); 7] = [
    ("", ""),
    ("A", "B"),
    ("a", ""),
    ("", "a"),
    ("\u{5d0}", "\u{5d1}"),
    ("", "\u{301}"),
    ("\u{915}\u{94d}", ""),
];
/// The first two are enough for ideographs and syllables, of which there are a hundred thousand that only stand for
/// themselves.
const SHORT_COMPANY: usize = 2;

/// Calls `check` with every character in every company, and returns how many texts it accepted.
fn accepted(check: fn(&str) -> bool) -> usize {
    let half = |characters: std::ops::RangeInclusive<char>| {
        let mut text = String::new();
        let mut accepted = 0;
        for character in characters {
            let stands_for_itself = matches!(
                character,
                '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ac00}'..='\u{d7a3}' | '\u{20000}'..='\u{2f7ff}'
            );
            let company = if stands_for_itself { SHORT_COMPANY } else { COMPANY.len() };
            for (before, after) in &COMPANY[..company] {
                text.clear();
                text.push_str(before);
                text.push(character);
                text.push_str(after);
                accepted += usize::from(check(&text));
            }
        }
        accepted
    };
    thread::scope(|scope| {
        let first = scope.spawn(|| half('\u{0}'..='\u{8fff}'));
        half('\u{9000}'..=char::MAX) + first.join().unwrap()
    })
}

#[test]
fn every_character_is_looked_at() {
    let characters = 0x11_0000 - 0x800;
    assert_eq!(accepted(|text| text.chars().count() == 1), characters);
    assert_eq!(accepted(|text| text.starts_with('A') && text.ends_with('B')), characters);
}

#[test]
fn x7_a_username_is_its_own_form_whatever_the_character() {
    let names = accepted(|text| {
        let Ok(name) = Username::parse(text) else { return false };
        let (shown, key) = (name.as_str(), name.key().as_str());
        // What is its own form in both ways is parsed already.
        if shown != text {
            assert_eq!(Username::parse(shown).unwrap(), name, "{text:?}: what is shown is the name");
        }
        if key != shown {
            let again = Username::parse(key).unwrap();
            assert_eq!((again.as_str(), again.key().as_str()), (key, key), "{text:?}");
        }
        true
    });
    assert!(names > 200_000, "only {names}");
}

#[test]
fn x7_a_domain_is_its_own_form_whatever_the_character() {
    let domains = accepted(|text| {
        let Ok(domain) = EmailDomain::parse(text) else { return false };
        assert!(domain.as_str().is_ascii(), "{text:?}");
        assert_eq!(EmailDomain::parse(domain.as_str()).unwrap(), domain, "{text:?}");
        true
    });
    assert!(domains > 200_000, "only {domains}");
}

#[test]
fn a_local_part_is_ascii_whatever_the_character() {
    let addresses = accepted(|text| {
        let address = format!("{text}@example.com");
        let Ok(parsed) = EmailAddress::parse(&address) else { return false };
        assert_eq!(parsed.as_str(), address);
        assert!(parsed.as_str().is_ascii());
        true
    });
    assert!(addresses < 128 * 4, "{addresses}");
}

#[test]
fn a_password_is_its_own_form_whatever_the_character() {
    let passwords = accepted(|text| {
        let Ok(password) = Password::parse(text) else { return false };
        let form = str::from_utf8(password.expose()).unwrap();
        assert!(form == text || Password::parse(form).unwrap().expose() == form.as_bytes(), "{text:?}");
        true
    });
    assert!(passwords > 200_000, "only {passwords}");
}
