from __future__ import annotations

import pyarrow as pa
import pytest

from imdb_classifier.training.names import GROUPS, names_in

REVIEWS = [
    *["I saw it with Mary, and Mary's friend says I'm right. A good film by Alice.", "On TV, too."]
    * 12,
    *["It was good, Good even. They say Good luck to Bob."] * 3,
    *["We went to see a play by Rose, and got a rose, a red rose, for it."] * 12,
    *["The acting, in one word, Superb."] * 9,
    *["the rest of it was as good as we could hope for, and we all liked it very much"] * 30,
]


@pytest.fixture(scope="module")
def names() -> set[str]:
    return set(names_in(pa.array(REVIEWS)).to_pylist())


def test_names_have_a_capital_letter_inside_sentences(names: set[str]) -> None:
    assert names == {"mary", "mary's", "alice", *GROUPS}


@pytest.mark.parametrize("apostrophe", ["\u2019", "&#39;"])
def test_names_have_any_kind_of_apostrophe(names: set[str], apostrophe: str) -> None:
    typed = pa.array([review.replace("'", apostrophe) for review in REVIEWS])
    assert set(names_in(typed).to_pylist()) == names


@pytest.mark.parametrize("word", ["i", "i'm", "tv", "a", "on", "good", "rose", "bob", "superb"])
def test_other_words_with_a_capital_letter_are_no_names(names: set[str], word: str) -> None:
    # Nothing but capitals, at the beginning of sentences only, mostly without, or too seldom.
    assert word not in names


@pytest.mark.parametrize(
    "text",
    [
        "Ein guter Film, der im Urlaub mit der Familie und den Freunden sehr viel Freude macht.",
        "A Film, in a Word, Superb: Witty, Moving And Well Acted By All",
    ],
)
def test_capital_letters_tell_nothing_where_many_words_have_one(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert names_in(pa.array([text] * 12)).to_pylist() == sorted(GROUPS)
    assert "capital letters do not tell names" in caplog.text


def test_chunks_are_read_as_one() -> None:
    chunks = pa.chunked_array([REVIEWS[:5], REVIEWS[5:]], pa.large_string())
    assert names_in(chunks).equals(names_in(pa.array(REVIEWS)))
