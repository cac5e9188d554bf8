//! The links of a mail: what a person could click in its text, and where its HTML leads.

/// A stretch of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An address of the web.
    Link(&'a str),
    /// Anything else.
    Plain(&'a str),
}

/// Every distinct link of a mail: those of its text first, then what only its HTML has.
pub fn list_links(text: &str, html: Option<&str>) -> Vec<String> {
    let of_text = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Link(link) => Some(link.to_owned()),
        Piece::Plain(_) => None,
    });
    let mut links = Vec::new();
    for link in of_text.chain(hrefs(html.unwrap_or_default())) {
        if !links.contains(&link) {
            links.push(link);
        }
    }
    links
}

/// Cuts a text into links and what is between them; put together again it is the same.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut plain, mut at) = (0, 0);
    while let Some(start) = text.get(at..).and_then(find_scheme).map(|found| at + found) {
        let rest = text.get(start..).unwrap_or_default();
        let link = link_at_start(rest);
        let begins_word = text.get(..start).is_none_or(|before| !before.ends_with(char::is_alphanumeric));
        at = start + link.len().max("http".len());
        if !link.is_empty() && begins_word {
            pieces.extend(text.get(plain..start).filter(|plain| !plain.is_empty()).map(Piece::Plain));
            pieces.push(Piece::Link(link));
            plain = at;
        }
    }
    pieces.extend(text.get(plain..).filter(|plain| !plain.is_empty()).map(Piece::Plain));
    pieces
}

fn find_scheme(text: &str) -> Option<usize> {
    [text.find("https://"), text.find("http://")].into_iter().flatten().min()
}

/// The link that a text begins with, without the signs that end a sentence; empty if it names no host.
fn link_at_start(text: &str) -> &str {
    let ends = |c: char| {
        c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\'' | '`') || turns_text(c)
    };
    let link = text.split(ends).next().unwrap_or_default();
    let trimmed = link.trim_end_matches(['.', ',', ';', ':', '!', '?', ']', '}']);
    let trimmed = if trimmed.contains('(') { trimmed } else { trimmed.trim_end_matches(')') };
    let host = trimmed.split_once("://").map(|(_, host)| host).unwrap_or_default();
    if host.starts_with(|c: char| c.is_alphanumeric() || c == '[') { trimmed } else { "" }
}

/// Signs that turn text round, and would make a link look as if it led elsewhere.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The links in the `href`s of an HTML text.
fn hrefs(html: &str) -> impl Iterator<Item = String> {
    let values = html.split("href=").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        rest.get(1..)?.split_once(quote).map(|(value, _)| unescape(value))
    });
    values.filter(|link| link_at_start(link) == link && !link.is_empty())
}

/// What an attribute's value means: the references that escaping makes are put back.
fn unescape(value: &str) -> String {
    let mut parts = value.split('&');
    let mut unescaped = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some((c, rest)) = part.split_once(';').and_then(|(name, rest)| Some((character(name)?, rest)))
        {
            unescaped.push(c);
            unescaped.push_str(rest);
        } else {
            unescaped.push('&');
            unescaped.push_str(part);
        }
    }
    unescaped
}

fn character(reference: &str) -> Option<char> {
    match reference {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = reference.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        list_links(text, None)
    }

    #[test]
    fn only_addresses_of_the_web_are_links() {
        assert_eq!(
            links("See https://shop.example/a?k=1&b=(x), or (http://b.example)."),
            ["https://shop.example/a?k=1&b=(x)", "http://b.example"]
        );
        for none in [
            "javascript:alert(1)",
            "data:text/html,x",
            "https://",
            "https://\"onload=x",
            "xhttps://shop.example",
            "https:///x",
            "//shop.example",
        ] {
            assert_eq!(links(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn a_link_ends_before_what_could_end_an_attribute_or_turn_it_round() {
        for end in ["\"", "'", "<", ">", " ", "\n", "\u{202e}", "\u{0}"] {
            assert_eq!(links(&format!("https://a.example/x{end}y")), ["https://a.example/x"], "{end:?}");
        }
    }

    #[test]
    fn the_pieces_of_a_text_are_the_text() {
        for text in [
            "",
            "http",
            "http://",
            "ahttp://b http://c.",
            "\u{e4}https://a.example\u{e4} x https://https://b",
        ] {
            let whole: String = pieces(text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Link(text) | Piece::Plain(text) => text,
                })
                .collect();
            assert_eq!(whole, text);
        }
    }

    #[test]
    fn what_only_the_html_has_comes_last_and_unescaped() {
        let html = "<a href=\"https:&#x2f;&#x2f;a.example&#x2f;?k=1&amp;b=2\">x</a> <a href='http://b.example'> \
                    <a href=\"javascript:x\"> <a href=\"https://c.example/ x\"> <a href=https://d.example>";
        assert_eq!(
            list_links("http://b.example", Some(html)),
            ["http://b.example", "https://a.example/?k=1&b=2"]
        );
    }
}
