//! The Bidi Rule of RFC 5893, section 2: whether a text reads in one order however it is displayed.

use unicode_bidi::{
    BidiClass::{self, AL, AN, BN, CS, EN, ES, ET, NSM, ON, R},
    bidi_class,
};

/// Whether a text has nothing that runs from right to left, or keeps the rule's six conditions.
pub fn keeps_bidi_rule(text: &str) -> bool {
    let classes: Vec<BidiClass> = text.chars().map(bidi_class).collect();
    let has = |class| classes.contains(&class);
    if !(has(R) || has(AL) || has(AN)) {
        return true;
    }
    // Conditions 1, 5 and 6: what begins from left to right can hold none of these three, so nothing of it is left.
    let begins = matches!(classes.first(), Some(&(R | AL)));
    let allowed =
        classes.iter().all(|class| matches!(*class, R | AL | AN | EN | ES | CS | ET | ON | BN | NSM));
    let last = classes.iter().rfind(|class| **class != NSM);
    let ends = matches!(last, Some(&(R | AL | EN | AN)));
    begins && allowed && ends && !(has(EN) && has(AN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_six_conditions_hold() {
        for (text, kept) in [
            ("", true),
            ("alice", true),
            ("1a!", true),
            ("\u{5d0}\u{5d1}", true),
            ("\u{5d0}1", true),
            // 1: the first character is of L, R or AL.
            ("1\u{5d0}", false),
            ("\u{5b0}\u{5d0}", false),
            // 2: nothing in it runs from left to right.
            ("\u{5d0}a\u{5d1}", false),
            ("\u{627}a", false),
            // 3: the end is of R, AL, EN or AN, and marks after it; inside, marks stand where they like.
            ("\u{5d0}-", false),
            ("\u{5d0}-\u{5b0}", false),
            ("\u{5d0}\u{5b0}", true),
            ("\u{5d0}\u{5b0}\u{5d1}\u{5b0}\u{5d2}", true),
            ("\u{645}\u{64f}\u{62d}\u{64e}\u{645}\u{651}\u{64e}\u{62f}", true),
            // 4: European and Arabic digits are not mixed.
            ("\u{627}1\u{661}", false),
            ("\u{627}\u{661}\u{662}", true),
            // 5: what begins from left to right stays so.
            ("a\u{5d0}", false),
            ("a\u{661}", false),
        ] {
            assert_eq!(keeps_bidi_rule(text), kept, "{text:?}");
        }
    }
}
