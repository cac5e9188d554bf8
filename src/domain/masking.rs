//! What may be a key, or a mail that holds one, in what a mail server said: it may have repeated the mail.

/// A row of this many hexadecimal digits may be a key, or half of one that was wrapped.
const MASKED_HEX_DIGITS: usize = 16;
/// A row of this many characters of base64 may be an encoded body.
const MASKED_BASE64_CHARS: usize = 40;

/// The text with `***` in the place of whatever looks like a key, part of one, or an encoded text.
pub fn mask_keys(text: &str) -> String {
    let text = mask(text, MASKED_HEX_DIGITS, |c| c.is_ascii_hexdigit());
    mask(&text, MASKED_BASE64_CHARS, |c| c.is_ascii_alphanumeric() || "+/=".contains(c))
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
