"""The normal form of words: one spelling for what people type in several ways.

Texts are made plain first (`unicode_form`). Then tags are cut out; an apostrophe belongs to a word
between two of its letters; emoticons are words; letters that are repeated for emphasis stand once;
and contractions of *not* have their apostrophe. Words are cut out of one buffer of bytes, and the
few that are spelled otherwise are respelled afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from itertools import product
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from imdb_classifier.text.unicode_form import plain
from imdb_classifier.text.words import Words, borders_of, buffer_of, pieces_between, words_per_text

_END: Final = "\0"
_GAP, _LETTER, _APOSTROPHE, _ANGLE, _EYES = 0, 1, 2, 4, 8
"""Kinds of bytes; a byte may be both of the last two."""


def _kind(byte: int) -> int:
    character = chr(byte)
    if character == "'":
        return _APOSTROPHE
    kind = _ANGLE if character in f"<>{_END}" else _GAP
    return kind | (_EYES if character in ":;=<" else int(byte >= 0x80 or character.isalnum()))


_KINDS: Final = bytes(map(_kind, range(256)))
_BEGINS_TAG: Final = np.array([chr(b) in "/!abcdefghijklmnopqrstuvwxyz" for b in range(256)])
_IS_LATIN: Final = np.array([chr(b) in "abcdefghijklmnopqrstuvwxyz" for b in range(256)])


def _number(emoticon: str) -> int:
    return int.from_bytes(emoticon.encode(), "little")


def _emoticons() -> Mapping[str, str]:
    """Return one spelling for each emoticon: without nose, and with the commonest mouth."""
    mouths = {")": ")]}", "(": "([{", "d": "d", "p": "p"}
    found = {"<3": "<3", "</3": "</3", ":*": ":*", ":|": ":|", ":'(": ":(", ":')": ":)"}
    for (mouth, like), eyes, nose in product(mouths.items(), ":=;", ("", "-", "^", "o")):
        spelled = f"{';' if eyes == ';' else ':'}{mouth}"
        found |= {f"{eyes}{nose}{other}": spelled for other in like}
    return found | {f":{nose}{mouth}": f":{mouth}" for nose in ("", "-") for mouth in "/o|*"}


_LONGEST: Final = 3
_SPELLED: Final = sorted(_emoticons().items(), key=lambda pair: _number(pair[0]))
_EMOTICONS: Final = tuple(spelled for _, spelled in _SPELLED)
_NUMBERS: Final = np.array([_number(typed) for typed, _ in _SPELLED], np.uint32)

_NEGATED: Final = [
    *("ai", "are", "ca", "could", "did", "does", "do", "had", "has", "have", "is", "might"),
    *("must", "need", "ought", "sha", "should", "was", "were", "wo", "would"),
]
_CONTRACTIONS: Final = {
    typed: f"{verb}n't" for verb in _NEGATED for typed in (f"{verb}nt", f"{verb}'nt", f"{verb}n'nt")
}
"""As typed without an apostrophe, or with one in the wrong place. Of these, only *wont* and *cant*
are words, and IMDB reviews hardly ever mean them. Contractions of other words are left alone, since
*ill*, *were* and *its* are words that people do mean."""
_TYPED: Final = tuple(_CONTRACTIONS)
_MEANT: Final = tuple(_CONTRACTIONS.values())

_REPEATED: Final = re.compile(r"([a-z])\1\1+")


@cache
def _array(words: tuple[str, ...]) -> pa.StringArray:
    # Not at import: for this, pyarrow imports pandas.
    return pa.array(words)


def normal_words(texts: pa.StringArray) -> Words:
    """Return the words of texts in their normal form.

    Args:
        texts: string, (texts,), at least one, valid UTF-8 without nulls.
    """
    lowered, rows = buffer_of(plain(texts), _END)
    characters = bytes(lowered).replace(b"`", b"'")
    del lowered  # as large as all texts
    raw = np.frombuffer(characters, np.uint8)
    kinds = np.frombuffer(characters.translate(_KINDS), np.uint8)
    in_word = kinds == _LETTER
    special = np.flatnonzero(kinds > _LETTER)
    kind = kinds[special]
    del kinds  # as large, too
    apostrophes = special[kind == _APOSTROPHE]
    inside = in_word[apostrophes - 1] & in_word[apostrophes + 1]
    in_word[apostrophes[inside]] = True
    mouths, emoticons = _mark_emoticons(raw, in_word, special[kind & _EYES != 0])
    _cut_tags(raw, in_word, special[kind & _ANGLE != 0])
    borders = borders_of(in_word)
    pieces = pieces_between(borders, characters)
    kept = in_word[mouths]
    places, respelled = _respelled(raw, in_word, borders, pieces)
    places = np.concatenate([places, np.searchsorted(borders[::2], mouths[kept])])
    respelled = pa.concat_arrays([respelled, _array(_EMOTICONS).take(pa.array(emoticons[kept]))])
    order = np.argsort(places)
    return Words(
        pieces, words_per_text(borders, rows), places[order], respelled.take(pa.array(order))
    )


def _mark_emoticons(
    raw: NDArray[np.uint8], in_word: NDArray[np.bool_], eyes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Make the second character of each emoticon a word, so that its first one is a gap.

    Args:
        raw: The texts.
        in_word: Whether each byte belongs to a word; changed.
        eyes: Where emoticons may begin.

    Returns:
        Their second characters; their positions in `_EMOTICONS`: int64, (emoticons,).
    """
    last = len(raw) - 1  # the end of a text
    after = [raw[np.minimum(eyes + place, last)].astype(np.uint32) for place in range(_LONGEST)]
    found = np.full(len(eyes), -1)
    for length in (_LONGEST, _LONGEST - 1):
        numbers = sum(after[place] << np.uint32(8 * place) for place in range(length))
        at = np.searchsorted(_NUMBERS, numbers)
        mouth = after[length - 1]
        is_one = (
            (found < 0) & (mouth > 0) & (_NUMBERS[np.minimum(at, len(_NUMBERS) - 1)] == numbers)
        )
        behind = np.minimum(eyes + length, last)
        # "film:(1999)", "rating:D" and "http://" have none.
        is_one &= ~in_word[behind] & ~((mouth == ord("/")) & (raw[behind] == ord("/")))
        is_one &= ~(_IS_LATIN[mouth] & in_word[eyes - 1])
        found[is_one] = at[is_one]
        in_word[eyes[is_one] + 1] = True
        in_word[eyes[is_one & (length > 2)] + 2] = False
    is_emoticon = found >= 0
    return eyes[is_emoticon] + 1, found[is_emoticon]


def _cut_tags(
    raw: NDArray[np.uint8], in_word: NDArray[np.bool_], angles: NDArray[np.int64]
) -> None:
    """Make a gap of each tag.

    Args:
        raw: The texts.
        in_word: Whether each byte belongs to a word; changed.
        angles: Where ``<``, ``>`` and ends of texts are.
    """
    begins, ends = angles[:-1], angles[1:]
    are_tags = (raw[begins] == ord("<")) & (raw[ends] == ord(">")) & _BEGINS_TAG[raw[begins + 1]]
    begins, lengths = begins[are_tags], (ends - begins)[are_tags]
    first = np.cumsum(lengths) - lengths
    in_word[np.arange(lengths.sum()) + np.repeat(begins - first, lengths)] = False


def _respelled(
    raw: NDArray[np.uint8],
    in_word: NDArray[np.bool_],
    borders: NDArray[np.int32],
    pieces: pa.StringArray,
) -> tuple[NDArray[np.int64], pa.StringArray]:
    """Return the positions of words that are spelled otherwise, and how.

    Args:
        raw: The texts.
        in_word: Whether each byte belongs to a word.
        borders: Starts and ends of words.
        pieces: The words and the gaps between them.
    """
    # Every text ends in a gap, so what stands for a letter has a successor.
    # In place, as each array is as large as all texts.
    same = raw[1:] == raw[:-1]
    same[1:] &= same[:-1]
    thrice = np.flatnonzero(same[1:])
    thrice = thrice[in_word[thrice]]
    del same
    is_nt = raw[:-2] == ord("n")
    is_nt &= raw[1:-1] == ord("t")
    np.greater(is_nt, in_word[2:], out=is_nt)
    in_nt = np.flatnonzero(is_nt)
    in_nt = in_nt[in_word[in_nt] & in_word[in_nt + 1]]
    del is_nt
    starts = np.ascontiguousarray(borders[::2])
    repeated, ends_in_nt = (_words_at(found, starts) for found in (thrice, in_nt))
    places = np.concatenate([repeated, np.setdiff1d(ends_in_nt, repeated, assume_unique=True)])
    if len(places) == 0:
        return places, pieces[:0]
    typed = pieces.take(pa.array(2 * places))
    lines = "\n".join(typed[: len(repeated)].to_pylist())
    once = pa.array(_REPEATED.sub(_once, lines).split("\n")[: len(repeated)], pa.string())
    once = pa.concat_arrays([once, typed[len(repeated) :]])
    among = pc.index_in(once, value_set=_array(_TYPED))
    meant = pc.coalesce(_array(_MEANT).take(among), once)
    is_other = pc.not_equal(meant, typed)
    return places[is_other.to_numpy(zero_copy_only=False)], meant.filter(is_other)


def _words_at(found: NDArray[np.int64], starts: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the positions of the words in which some bytes are, each once, ascending."""
    # Of one kind with the starts, which would be copied otherwise.
    places = np.searchsorted(starts, found.astype(np.int32), "right") - 1
    return places[np.diff(places, prepend=-1) > 0]


def _once(repeated: re.Match[str]) -> str:
    """Return a letter once that is repeated; numerals, and words of one letter, keep three."""
    lines, (start, end) = repeated.string, repeated.span()
    is_word = {lines[start - 1 : start], lines[end : end + 1]} <= {"", "\n"}
    return repeated[1] * 3 if is_word or repeated[0] == "iii" else repeated[1]
