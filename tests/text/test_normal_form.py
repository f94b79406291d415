"""Words in their normal form: what people type in several ways is one word."""

from __future__ import annotations

import hashlib
import html
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imdb_classifier.config import PRODUCTION, SEED, TINY
from imdb_classifier.model.bundle import Bundle, load_bundle, model_hash_of
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.text.encoding import words_of
from imdb_classifier.text.normal_form import normal_words
from imdb_classifier.text.unicode_form import _Characters, _characters

HASH_OF_TABLES = "623698896914be2840bf40e7e9a77623c879e9fa3f061fd2a0832725b27e4526"
"""Of Python 3.11, 3.12 and 3.13."""

# A text, and its words, parted by spaces.
EXPECTED = [
    # as ever
    ("The film", "the film"),
    ("", ""),
    ("   \t\r\n ", ""),
    ("?!...", ""),
    ("good,bad;film:the", "good bad film the"),
    ("well-made", "well made"),
    ("snake_case", "snake case"),
    ("10/10", "10 10"),
    ("$5.00 + 20%", "5 00 20"),
    ("ÉLAN Élan élan", "élan élan élan"),
    ("line\rreturn\x0bfeed\x7fend", "line return feed end"),
    ("a\0b", "a b"),
    # apostrophes
    ("don't", "don't"),
    ("don’t", "don't"),
    ("don‘t", "don't"),
    ("don‛t", "don't"),
    ("donʼt", "don't"),
    ("don′t", "don't"),
    ("don`t", "don't"),
    ("don´t", "don't"),
    ("don＇t", "don't"),
    ("don\x92t", "don't"),
    ("don&#39;t", "don't"),
    ("don&apos;t", "don't"),
    ("don&rsquo;t", "don't"),
    ("don&#146;t", "don't"),
    ("don&#x2019;t", "don't"),
    ("don&amp;#39;t", "don't"),
    ("'good'", "good"),
    ("‘good’", "good"),
    ("''good''", "good"),
    ("``good''", "good"),
    ("dogs' 'tis '90s", "dogs tis 90s"),
    ("rock'n'roll", "rock'n'roll"),
    ("it's ill we're", "it's ill we're"),
    # not, with and without its apostrophe
    ("dont", "don't"),
    ("DONT", "don't"),
    ("did'nt", "didn't"),
    ("didnt doesnt isnt wasnt", "didn't doesn't isn't wasn't"),
    ("couldnt wouldnt shouldnt", "couldn't wouldn't shouldn't"),
    ("arent werent havent hasnt hadnt", "aren't weren't haven't hasn't hadn't"),
    ("wont cant aint", "won't can't ain't"),
    ("cannot can not", "cannot can not"),
    ("its were ill shell well", "its were ill shell well"),
    ("i'm im", "i'm im"),
    ("want went moment n't nt", "want went moment n't nt"),
    ("wonts recant font", "wonts recant font"),
    # quotes
    ("“good” „bad“ «fine» ‹so›", "good bad fine so"),
    ('"good"', "good"),
    ("&quot;good&quot; &laquo;bad&raquo;", "good bad"),
    ("「良い」", "良い"),
    # spaces
    ("very\u00a0good", "very good"),
    ("very&nbsp;good", "very good"),
    ("very&amp;nbsp;good", "very good"),
    ("very\u2003good\u2009film", "very good film"),
    ("very\u3000good", "very good"),
    ("very\u2028good\u2029film", "very good film"),
    ("very\u202fgood", "very good"),
    ("very\x85good", "very good"),
    # characters without width
    ("go\u200bod", "good"),
    ("go\u200cod", "good"),
    ("go\u200dod", "good"),
    ("\ufeffgood", "good"),
    ("go\u00adod", "good"),
    ("go\u2060od", "good"),
    ("\u200egood\u200f", "good"),
    ("don\u200b’t", "don't"),
    # dashes, ellipses and other punctuation
    ("good—bad", "good bad"),
    ("good–bad", "good bad"),
    ("good\x96bad\x97fine", "good bad fine"),
    ("good…bad", "good bad"),
    ("good\x85bad", "good bad"),
    ("good&hellip;bad&mdash;fine", "good bad fine"),
    ("¿good? ¡bad!", "good bad"),
    ("good‼bad⁉", "good bad"),
    ("good·bad•fine", "good bad fine"),
    ("très bien, n’est-ce pas", "très bien n'est ce pas"),
    ("良い。悪い、", "良い 悪い"),
    ("5€ 6£", "5 6"),
    ("a→b ≠ c", "a b c"),
    # letters and digits
    ("cafe\u0301", "café"),
    ("café", "café"),
    ("Zwo\u0308lf", "zwölf"),
    ("\u1112\u1161\u11ab", "한"),
    ("ﬁne", "fine"),
    ("ＧＯＯＤ　ＦＩＬＭ", "good film"),
    ("𝐠𝐨𝐨𝐝 𝓯𝓲𝓵𝓶", "good film"),
    ("½ ²", "1 2 2"),
    ("①", "1"),
    ("film™", "film"),
    ("&eacute;lan &Eacute;LAN", "élan élan"),
    ("na&iuml;ve", "naïve"),
    ("r&b AT&T", "r b at t"),
    ("&nothing; &amp", "nothing amp"),
    # tags
    ("good.<br /><br />Bad", "good bad"),
    ("good<br>bad</p>", "good bad"),
    ("<i>very</i> good", "very good"),
    ("<a href='x.html' title=\":)\">link</a>", "link"),
    ("good&lt;br&gt;bad", "good bad"),
    ("<!-- note -->good", "good"),
    ("a < b > c", "a b c"),
    ("5 <6 and 7> 8", "5 6 and 7 8"),
    ("good <br", "good br"),
    ("<b <i>good", "b good"),
    # emoji
    ("🎬", "🎬"),
    ("film🎬", "film 🎬"),
    ("🎬film", "🎬 film"),
    ("🎬🎬🎬", "🎬 🎬 🎬"),
    ("❤️ ❤", "❤ ❤"),
    ("👍🏽 👍", "👍 👍"),
    ("👨‍👩‍👧", "👨‍👩‍👧"),
    ("🤷🏽‍♀️", "🤷‍♀"),
    ("❤️‍🔥good", "❤‍🔥 good"),
    ("🇩🇪🇫🇷", "🇩🇪 🇫🇷"),
    ("🇩", "🇩"),
    ("1️⃣", "1"),
    ("★★☆", "★ ★ ☆"),
    ("&#128512;", "😀"),
    ("good\u200d🎬", "good 🎬"),
    ("🎬\u200dgood", "🎬 good"),
    ("🫨", "🫨"),
    ("good😀’s", "good 😀 s"),
    # emoticons
    ("good :)", "good :)"),
    ("good:)", "good :)"),
    (":-) :^) :o) =) :] :}", ":) :) :) :) :) :)"),
    (":( :-( =( :[ :{", ":( :( :( :( :("),
    (";) ;-)", ";) ;)"),
    (":D :-D =D", ":d :d :d"),
    (":P :-p", ":p :p"),
    (":/ :-/ :| :*", ":/ :/ :| :*"),
    (":'( :')", ":( :)"),
    ("<3 </3", "<3 </3"),
    ("i &lt;3 it", "i <3 it"),
    ("good :))))", "good :)"),
    (":):(", ":) :("),
    ("：）", ":)"),
    ("rating:D", "rating d"),
    ("film:(1999)", "film 1999"),
    ("http://a.b", "http a b"),
    ("<35", "35"),
    ("at 10:30", "at 10 30"),
    # letters that are repeated
    ("soooo", "so"),
    ("sooooooo SOOOO", "so so"),
    ("nooo", "no"),
    ("loooove baaad", "love bad"),
    ("yesss!!!", "yes"),
    ("good food all", "good food all"),
    ("donttt", "don't"),
    ("Rocky III, part XVIII", "rocky iii part xviii"),
    ("www xxx zzz zzzzz", "www xxx zzz zzz"),
    ("1000000", "1000000"),
    ("hmmm hmmmmm", "hm hm"),
]


@pytest.mark.parametrize(("text", "words"), EXPECTED, ids=[ascii(text) for text, _ in EXPECTED])
def test_hand_written_words(text: str, words: str) -> None:
    assert words_of(text, "normal") == words.split()


def test_texts_of_one_array_do_not_touch() -> None:
    words = normal_words(pa.array([text for text, _ in EXPECTED]))
    assert words.spelled().to_pylist() == " ".join(words for _, words in EXPECTED).split()
    assert words.per_text.tolist() == [len(words.split()) for _, words in EXPECTED]


PARTS = st.one_of(
    st.sampled_from([text for text, _ in EXPECTED]),
    st.sampled_from(list(" '’`<>/:;=)(-&nbsp;\0\u200d\ufe0f🎬🇩oiİΣ\u0301´")),
    st.characters(exclude_categories=["Cs"]),
)
TEXTS = st.lists(PARTS, max_size=12).map("".join)


@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_a_text_has_the_same_words_alone_and_among_others(texts: list[str]) -> None:
    words = normal_words(pa.array(texts))
    alone = [words_of(text, "normal") for text in texts]
    assert words.spelled().to_pylist() == [word for text in alone for word in text]
    assert words.per_text.tolist() == [len(text) for text in alone]


@given(TEXTS)
def test_words_are_in_their_normal_form(text: str) -> None:
    words = words_of(text, "normal")
    assert words_of(" ".join(words), "normal") == words


TYPED = (
    "I didn't like it... It wasn't \"good\" - and I wouldn't watch the café scene again :)",
    "The worst film I have seen.\nBoring\nand awful; it isn't bad, it's a fiancé's nightmare!",
)
TYPOGRAPHY: dict[str, Callable[[str], str]] = {
    "curly apostrophes": lambda text: text.replace("'", "\u2019"),
    "primes": lambda text: text.replace("'", "\u2032"),
    "accents for apostrophes": lambda text: text.replace("'", "\u00b4"),
    "apostrophes of Windows": lambda text: text.replace("'", "\x92"),
    "curly quotes": lambda text: text.replace('"', "\u201c"),
    "guillemets": lambda text: text.replace('"', "\u00bb"),
    "CRLF": lambda text: text.replace("\n", "\r\n"),
    "CR": lambda text: text.replace("\n", "\r"),
    "line separators": lambda text: text.replace("\n", "\u2028"),
    "no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "narrow spaces": lambda text: text.replace(" ", "\u2009"),
    "byte-order mark": lambda text: f"\ufeff{text}",
    "zero-width spaces": lambda text: "\u200b".join(text.replace(":)", "")) + ":)" * (":)" in text),
    "soft hyphens": lambda text: text.replace("ght", "g\u00adht"),
    "decomposed letters": lambda text: unicodedata.normalize("NFD", text),
    "full width": lambda text: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text
    ),
    "entities": html.escape,
    "entities, twice": lambda text: html.escape(html.escape(text)),
    "numbers for entities": lambda text: text.replace("'", "&#8217;").replace(" ", "&nbsp;"),
    "a glued dash": lambda text: text.replace(" - ", "\u2014"),
    "a glued ellipsis": lambda text: text.replace("... ", "\u2026"),
    "tags": lambda text: f"<p>{text}</p>".replace("\n", "<br />"),
}


@pytest.mark.parametrize("name", TYPOGRAPHY)
def test_typography_changes_no_word_and_no_score(name: str, tiny_bundle: Bundle) -> None:
    changed = [TYPOGRAPHY[name](text) for text in TYPED]
    assert changed != list(TYPED)
    assert [words_of(text, "normal") for text in changed] == [
        words_of(text, "normal") for text in TYPED
    ]
    with Scorer(tiny_bundle) as scorer:
        scores, as_typed = (
            scorer.probabilities(pa.array(texts)).to_numpy() for texts in (changed, list(TYPED))
        )
    assert np.abs(scores - as_typed).max() <= 0.02


@pytest.mark.parametrize("emoji", ["🎬", "❤️", "👍🏽", "👨\u200d👩\u200d👧", "🇩🇪"])
def test_a_glued_emoji_is_a_word_of_its_own(emoji: str) -> None:
    word = emoji.replace("\ufe0f", "").replace("🏽", "")
    assert words_of(f"good{emoji}bad", "normal") == ["good", word, "bad"]


def test_characters_are_the_same_on_every_python() -> None:
    known = _characters()
    known.learn(np.arange(0x110000, dtype=np.uint32))
    tables = (known.becomes, known.composes, known.is_symbol)
    held = hashlib.sha256(b"".join(table.tobytes() for table in tables)).hexdigest()
    assert held == HASH_OF_TABLES


def test_a_character_is_learned_with_the_one_that_stands_for_it() -> None:
    known = _characters()
    known.learn(np.arange(0x110000, dtype=np.uint32))
    replaced = np.flatnonzero(known.becomes != np.arange(0x110000))
    for point in replaced[:: len(replaced) // 500]:
        alone = _Characters()
        alone.learn(np.array([point], np.uint32))
        become = alone.becomes[point]
        assert become == known.becomes[point]
        assert alone.composes[become] == known.composes[become]
        assert alone.is_symbol[become] == known.is_symbol[become]


def test_threads_may_learn_the_same_characters() -> None:
    points = np.arange(0x80, 0x4000, dtype=np.uint32)
    alone, together = _Characters(), _Characters()
    alone.learn(points)
    seen = []

    def learn(_: int) -> None:
        together.learn(points)
        seen.append(together.becomes[points].tobytes())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(learn, range(8)))
    assert {*seen} == {alone.becomes[points].tobytes()}
    assert np.array_equal(together.composes, alone.composes)
    assert np.array_equal(together.is_symbol, alone.is_symbol)


def test_recipes_choose_the_form(tiny_bundle: Bundle) -> None:
    assert PRODUCTION.encoding.text_form == TINY.encoding.text_form == "normal"
    assert SEED.encoding.text_form == "keras"
    assert tiny_bundle.recipe.encoding == TINY.encoding
    assert tiny_bundle.manifest["recipe"]["encoding"]["text_form"] == "normal"
    known = set(tiny_bundle.vocabulary.words.to_pylist())
    assert known
    assert all(words_of(word, "normal") == [word] for word in known)


@pytest.mark.parametrize(
    ("plain", "typed"),
    [
        ("I don't think it's bad.", "I don’t think it’s bad."),
        ("A great film, really.", "A\u00a0great film, really."),
        ("Tom & Jerry were great.", "Tom &amp; Jerry were great."),
        ("A masterpiece! I loved it.", "A masterpiece!<br /><br />I loved it."),
        ("The café scene was awful.", "The cafe\u0301 scene was awful."),
        ("It was so bad.", "It was sooooo bad."),
        ("A wonderful, moving film.", "Ａ ｗｏｎｄｅｒｆｕｌ, moving film."),
        ("Nothing - nothing at all - works.", "Nothing—nothing at all—works."),
    ],
)
def test_typography_makes_no_difference_to_the_bundled_model(plain: str, typed: str) -> None:
    with Scorer(load_bundle(bundled_path())) as scorer:
        expected, found = scorer.probabilities(pa.array([plain, typed])).to_pylist()
    assert found == expected


def test_a_form_is_in_the_hash_of_a_model() -> None:
    keras, normal = (
        model_hash_of([b"graph"], replace(TINY, encoding=replace(TINY.encoding, text_form=form)))
        for form in ("keras", "normal")
    )
    assert keras != normal
