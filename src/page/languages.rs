//! What a person reads, by the browser's account: Accept-Language.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};

use crate::domain::locale::Locale;

/// How many languages are looked at; nobody reads more, and each is looked for among the templates.
const MAX_LANGUAGES: usize = 16;

/// The languages that a request names, the best first. What is malformed, unwanted (`q=0`) or any (`*`) is left out.
pub fn list_languages(headers: &HeaderMap) -> Vec<Locale> {
    let lines = headers.get_all(ACCEPT_LANGUAGE).iter();
    let ranges = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    let mut languages: Vec<_> = ranges.take(MAX_LANGUAGES).filter_map(parse).collect();
    // Those of one quality stay in their order.
    languages.sort_by_key(|(_, quality)| std::cmp::Reverse(*quality));
    languages.into_iter().map(|(locale, _)| locale).collect()
}

/// A language and its quality in thousandths.
fn parse(range: &str) -> Option<(Locale, u16)> {
    let (tag, parameter) = range.split_once(';').unwrap_or((range, "q=1"));
    let quality = parameter.trim().strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim();
    let quality: f32 = quality.parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1")]
    let thousandths = (quality * 1000.0).round() as u16;
    (thousandths > 0).then_some(())?;
    Some((Locale::parse(tag.trim()).ok()?, thousandths))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn languages_come_in_the_order_of_their_quality() {
        let long = "de,".repeat(5000);
        for (text, expected) in [
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de-AT de en"),
            ("en;q=0.1, de ;q=0.2 , fr", "fr de en"),
            ("fr;q=0.5,en;q=0.5", "fr en"),
            ("en;q=0,de", "de"),
            ("*,de;q=0.1", "de"),
            ("de;q=2,fr;q=x,en;level=1,../x,it;q=nan,es", "es"),
            ("", ""),
            (&long, &["de"; MAX_LANGUAGES].join(" ")),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_str(text).unwrap())]);
            let languages = list_languages(&headers);
            let tags: Vec<_> = languages.iter().map(Locale::as_str).collect();
            assert_eq!(tags.join(" "), expected, "{text}");
        }
    }
}
