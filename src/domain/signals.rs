//! The names of all signals. A name never changes its meaning.

use super::SignalName;

macro_rules! signals {
    ($($(#[doc = $doc:literal])+ $constant:ident = $name:literal;)+) => {
        $($(#[doc = $doc])+ pub const $constant: SignalName = SignalName::new($name);)+

        /// Every signal that a check of this version can find.
        pub static ALL_SIGNALS: [SignalName; [$($name),+].len()] = [$($constant),+];
    };
}

signals! {
    /// The form's hidden field was filled.
    HONEYPOT_FILLED = "honeypot-filled";
    /// The form came back sooner than a person can type.
    TOO_FAST = "too-fast";
    /// The page takes no more comments.
    PAGE_CLOSED = "page-closed";
    /// The comment replies to one that is held.
    PARENT_HELD = "parent-held";
    /// At least as many links as the site's limit, or three.
    LINK_COUNT = "link-count";
    /// A link through a public shortener, which hides where it leads.
    LINK_SHORTENER = "link-shortener";
    /// A link shows one site and leads to another.
    LINK_ANCHOR_MISMATCH = "link-anchor-mismatch";
    /// A link to a host that the site's owner forbade.
    HOST_BLOCKLISTED = "host-blocklisted";
    /// BBCode, which only robots try on every form.
    BBCODE_MARKUP = "bbcode-markup";
    /// Links as raw HTML.
    HTML_MARKUP = "html-markup";
    /// A picture and no words.
    IMAGE_ONLY = "image-only";
    /// The name is an advertisement, an address or a keyword list.
    KEYWORD_NAME = "keyword-name";
    /// The name is or contains a web address in full.
    ADDRESS_NAME = "address-name";
    /// The address is at a throw-away provider.
    DISPOSABLE_ADDRESS = "disposable-address";
    /// The address belongs to a function (sales, webmaster) and not to a person.
    ROLE_ADDRESS = "role-address";
    /// Words with letters of several scripts.
    MIXED_SCRIPTS = "mixed-scripts";
    /// Letters that stand for look-alikes, or in a decorative style.
    LOOK_ALIKE_LETTERS = "look-alike-letters";
    /// A name with a number in decorative letters, among words in plain ones.
    STYLED_NAME = "styled-name";
    /// Invisible characters inside words that need none.
    INVISIBLE_CHARACTERS = "invisible-characters";
    /// Characters that force the direction of writing.
    BIDI_CONTROLS = "bidi-controls";
    /// Letters under piles of marks.
    ZALGO = "zalgo";
    /// Mostly capital letters.
    SHOUTING = "shouting";
    /// One character or few words again and again.
    REPEATS = "repeats";
    /// The same text was sent lately.
    EXACT_DUPLICATE = "exact-duplicate";
    /// Nearly the same text was sent lately.
    NEAR_DUPLICATE = "near-duplicate";
    /// A person called a text like this one spam.
    NEAR_REJECTED = "near-rejected";
    /// A person called a text like this one ham.
    NEAR_APPROVED = "near-approved";
    /// The author has no approved comment here.
    FIRST_TIME_AUTHOR = "first-time-author";
    /// The author's comments were welcome here.
    KNOWN_GOOD_AUTHOR = "known-good-author";
    /// The author's comments were spam here.
    KNOWN_BAD_AUTHOR = "known-bad-author";
    /// Words that the site's owner wants to see first.
    WORD_LIST_HOLD = "word-list-hold";
    /// Words that the site's owner forbade.
    WORD_LIST_REJECT = "word-list-reject";
    /// A script that none of the site's languages is written in.
    UNEXPECTED_LANGUAGE = "unexpected-language";
}
