"""Names of people, places, groups and the like, which should not decide how a text is labeled.

Reviews of a director's films are mostly good or mostly bad, so a model that knows names learns
them, and gives a sentence that only mentions one a label. Which words are names is seen from the
reviews: names have a capital letter inside sentences, too.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import Final

import pyarrow as pa

from imdb_classifier.text.encoding import text_chunks
from imdb_classifier.text.unicode_form import plain

GROUPS: Final = (
    *("young", "elderly", "aged", "disabled", "handicapped", "deaf", "blind", "autistic"),
    *("black", "white", "immigrant", "immigrants", "refugee", "refugees", "foreigner"),
    *("foreigners", "gay", "gays", "lesbian", "lesbians", "homosexual", "homosexuals"),
    *("bisexual", "transgender"),
)
"""Words for groups of people that have no capital letter."""
_INSIDE: Final = re.compile(r"(?<=[a-z,;] )[^\W\d_][\w']*")
"""A word that does not begin a sentence."""
_TIMES: Final = 10
_SHARE: Final = 0.8
_MOST_CAPITAL: Final = 0.15

logger = logging.getLogger(__name__)


def names_in(texts: pa.ChunkedArray | pa.Array) -> pa.StringArray:
    """Return the words that are names, and `GROUPS`, in their normal form: string, (names,).

    A name has a capital letter, followed by a small one, at least ten times, and at more than 80 %
    of the places inside a sentence where the word stands. If more than 15 % of all words inside
    sentences have one, as in German or in titles, capital letters do not tell names, and none but
    `GROUPS` are returned.

    Args:
        texts: Any string type, (reviews,), without nulls.
    """
    spelled: Counter[str] = Counter()
    for chunk in text_chunks(texts):
        for text in plain(chunk.cast(pa.string())).to_pylist():
            spelled.update(_INSIDE.findall(text))
    capital: Counter[str] = Counter()
    all_times: Counter[str] = Counter()
    for word, times in spelled.items():
        all_times[word.lower()] += times
        if word[0].isupper() and word[1:2].islower():
            capital[word.lower()] += times
    if capital.total() > _MOST_CAPITAL * all_times.total():
        logger.warning("capital letters do not tell names in these reviews, so all words are kept")
        return pa.array(sorted(GROUPS), pa.string())
    names = {
        word
        for word, times in capital.items()
        if times >= _TIMES and times > _SHARE * all_times[word]
    }
    return pa.array(sorted(names | {*GROUPS}), pa.string())
