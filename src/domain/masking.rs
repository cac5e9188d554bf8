//! What may be a key, or a mail that holds one, in what a mail server said: it may have repeated the mail.

/// A row of this many hexadecimal digits may be a key, or half of one that was wrapped.
const MASKED_HEX_DIGITS: usize = 16;
/// A row of this many characters of base64 may be an encoded body.
const MASKED_BASE64_CHARS: usize = 40;

/// A word of so many decimal digits may be an activation code.
const CODE_DIGITS: std::ops::RangeInclusive<usize> = 6..=8;

/// The text with `***` in the place of whatever looks like a key, part of one, an activation code, or an encoded text.
pub fn mask_keys(text: &str) -> String {
    let text = mask(text, MASKED_HEX_DIGITS, |c| c.is_ascii_hexdigit());
    let text = mask(&text, MASKED_BASE64_CHARS, |c| c.is_ascii_alphanumeric() || "+/=".contains(c));
    mask_codes(&text)
}

/// Masks every word that may be an activation code.
fn mask_codes(text: &str) -> String {
    let is_code = |word: &str| CODE_DIGITS.contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
    let (mut masked, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let word = rest.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let length = if word.is_empty() { c.len_utf8() } else { word.len() };
        let (piece, after) = rest.split_at(length);
        masked.push_str(if is_code(word) { "***" } else { piece });
        rest = after;
    }
    masked
}

/// Masks every row of at least `length` ASCII characters that `suspect` knows.
fn mask(text: &str, length: usize, suspect: impl Fn(char) -> bool) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut row = 0;
    for c in text.chars() {
        row = if suspect(c) { row + 1 } else { 0 };
        if row <= length {
            masked.push(c);
        }
        if row == length {
            masked.truncate(masked.len() - length);
            masked.push_str("***");
        }
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_activation_code_is_masked_and_shorter_or_longer_numbers_are_not() {
        for (text, masked) in [
            ("554 5.7.1 spam: 01234567", "554 5.7.1 spam: ***"),
            (">123456</code>,1234567.", ">***</code>,***."),
            (
                "12345 123456789 a1234567 1234567b \u{e4}123456",
                "12345 123456789 a1234567 1234567b \u{e4}123456",
            ),
            ("gr\u{fc}\u{df}e 123456 \u{1f980}", "gr\u{fc}\u{df}e *** \u{1f980}"),
            ("", ""),
        ] {
            assert_eq!(mask_keys(text), masked);
        }
    }
}
