//! Characters that no text can hold, wherever they stand, and texts that are too long.

use tonic::Code;

use super::{
    Answer, House,
    fields::{Content, Field},
    requests, wire,
};
use crate::contract::store::Store;

/// A text that is far too long, in a request that is just not too large to be read.
const ALMOST_TOO_LARGE: usize = 1_000_000;

/// Controls of C0 and C1 and the one between them, NUL first.
fn controls() -> impl Iterator<Item = char> {
    ('\u{0}'..='\u{1f}').chain('\u{7f}'..='\u{9f}')
}

/// What turns the direction of what follows.
const BIDI: &[char] = &[
    '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}',
    '\u{2069}', '\u{200e}', '\u{200f}', '\u{61c}',
];
/// What has no width.
const UNSEEN: &[char] = &['\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}', '\u{ad}', '\u{feff}'];
/// Of these UTS 46 makes nothing, so that a domain with one is the domain without.
const MADE_NOTHING_OF: &[char] = &['\u{200b}', '\u{2060}', '\u{ad}', '\u{feff}'];
/// Noncharacters, private use, and what is not assigned.
const NO_CHARACTERS: &[char] = &[
    '\u{fffe}',
    '\u{ffff}',
    '\u{fdd0}',
    '\u{fdef}',
    '\u{1ffff}',
    '\u{10ffff}',
    '\u{e000}',
    '\u{f8ff}',
    '\u{f0000}',
    '\u{10fffd}',
    '\u{378}',
    '\u{e01ff}',
];
/// Stands on whatever comes before.
const MARK: char = '\u{301}';

pub async fn r8_a_text_that_can_not_be_is_refused_by_the_name_of_its_field(store: Store) {
    let house = House::open(&store).await;
    let mut texts = 0;
    for call in &house.calls {
        for field in Field::all(&call.method.input()).iter().filter(|field| field.content() == Content::Text)
        {
            texts += 1;
            let sample = requests::sample(field.name());
            // What is as right as the sample is answered as the sample is.
            let around = requests::around(call, field.name());
            let right = wire::send(&house.channel, &call.method, &field.fill_text(&around, &sample)).await;
            assert_ne!(right.code, Code::InvalidArgument, "{}", field.path());
            let new = call.method.name() == "CreateInactiveUser";
            for (text, may_be) in hostile(field.name(), new, &sample) {
                let expected = if may_be { right.clone() } else { refusal(field) };
                let request = field.fill_text(&around, &text);
                let what = format!("{} is {:?}", field.path(), text.chars().take(60).collect::<String>());
                house.expect(call, &request, &expected, &what).await;
            }
        }
        house.is_unchanged(&store).await;
    }
    assert!(texts >= 20, "only {texts} fields were found");
}

/// Texts for a field, perhaps of a new user, each with whether it can be.
fn hostile(name: &str, new: bool, sample: &str) -> Vec<(String, bool)> {
    let is_domain = name == "email_domain";
    // What a mail server says is free, as long as it is one line that reads as it stands.
    let may_be_in = |character: char| {
        is_domain && MADE_NOTHING_OF.contains(&character)
            || name == "reason" && !BIDI.contains(&character) && !character.is_control()
    };
    let mut texts = Vec::new();
    for character in controls().chain([BIDI, UNSEEN, NO_CHARACTERS].concat()) {
        texts.push((format!("{character}{sample}"), may_be_in(character)));
    }
    // Alone and at the end a few of each kind will do.
    for character in ['\0', '\t', '\n', '\r', '\u{7f}', '\u{85}', '\u{202e}', '\u{200b}', '\u{ffff}'] {
        let nothing = MADE_NOTHING_OF.contains(&character);
        texts.push((
            format!("{sample}{character}"),
            may_be_in(character) || nothing && ["email", "recipient"].contains(&name),
        ));
        texts.push((character.to_string(), name == "reason" && may_be_in(character)));
    }
    // RFC 8265 has nothing against a mark in front; a new username has.
    let mark_may_be = ["password", "reason"].contains(&name) || name.starts_with("username") && !new;
    texts.push((format!("{MARK}{sample}"), mark_may_be));
    // Alone it is too short for a new password.
    texts.push((MARK.to_string(), mark_may_be && !new));
    texts.push(("a".repeat(ALMOST_TOO_LARGE), false));
    texts.push(("\u{1f4a9}".repeat(ALMOST_TOO_LARGE / 4), false));
    texts.push((format!("{sample}\r\nBcc: eve@example.com"), false));
    texts
}

/// What a field with a wrong text is answered.
pub fn refusal(field: &Field) -> Answer {
    match field.name() {
        "activation_key" | "key" => Answer::new(Code::NotFound, "ACTIVATION_KEY_UNKNOWN", &[]),
        "password" => Answer::new(Code::InvalidArgument, "PASSWORD_REJECTED", &["password"]),
        "page_token" => Answer::new(Code::InvalidArgument, "INVALID_PAGE_TOKEN", &["page_token"]),
        _ => Answer::wrong(&field.path()),
    }
}
