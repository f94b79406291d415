"""Texts in few kinds of characters: what Unicode, HTML and Windows have several of becomes one.

Entities are resolved; quotes, apostrophes, spaces and punctuation of any kind become ASCII, letters
and digits their composed form (NFKC), and characters without width are dropped. Emoji and other
symbols are set apart by spaces. What becomes of a character is derived from Python's `unicodedata`
when it first occurs, and is the same on every Python.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import cache
from html.entities import html5
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_ENTITY: Final = r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});"
_ENTITIES: Final = re.compile(_ENTITY)
_ESCAPED_TIMES: Final = 2
"""How often texts have been escaped at most: ``&amp;#39;`` is an apostrophe that was twice."""

_END: Final = "\0"
_DROPPED: Final = 0x10FFFF
"""Stands for characters that are dropped; Unicode will never use it."""
_JOINER: Final = 0x200D
_CODE_POINTS: Final = 0x110000
_PIECE: Final = 1 << 16
_FIRST_FOREIGN: Final = 0x80
_VARIED: Final = [range(_FIRST_FOREIGN, 0x20000), range(0x2F800, 0x2FA20), range(0xE0000, 0xE0200)]
"""Where there are other characters than letters, and some that others stand for."""
_YOUNGER: Final = [
    *((0x0CF3, 0x0CF4), (0x0ECE, 0x0ECF), (0x2FFC, 0x3000), (0x31EF, 0x31F0), (0x10EFD, 0x10F00)),
    *((0x1123F, 0x11242), (0x11B00, 0x11B0A), (0x11F00, 0x11F5A), (0x1342F, 0x13430)),
    *((0x13439, 0x13456), (0x1B132, 0x1B133), (0x1B155, 0x1B156), (0x1D2C0, 0x1D2D4)),
    *((0x1DF25, 0x1DF2B), (0x1E030, 0x1E06E), (0x1E08F, 0x1E090), (0x1E4D0, 0x1E4FA)),
]
"""Characters that Python 3.13 knows and 3.11 does not, emoji aside: letters to all Pythons."""
_KNOWN: Final = re.compile(f"[^{''.join(f'{chr(a)}-{chr(b - 1)}' for a, b in _YOUNGER)}]+")
_PICTOGRAPHS: Final = range(0x1F000, 0x1FB00)
"""Reserved for emoji, those of later versions of Unicode included."""
_REGIONS: Final = range(0x1F1E6, 0x1F200)
"""Letters of which two are a flag."""


class _Characters:
    """What is known of each code point, once it was learned; threads may learn at the same time.

    Attributes:
        becomes: The code point that stands for it, `_DROPPED` for none: uint32.
        composes: Whether NFKC may change it still: bool.
        is_symbol: Whether it is a word by itself: bool.
    """

    def __init__(self) -> None:
        self.becomes = np.arange(_CODE_POINTS, dtype=np.uint32)
        self.composes, self.is_symbol = np.zeros((2, _CODE_POINTS), np.bool_)
        self._is_known = np.ones(_CODE_POINTS, np.bool_)
        for block in _VARIED:
            self._is_known[block.start : block.stop] = False
        for start, stop in _YOUNGER:
            self._is_known[start:stop] = True

    def learn(self, points: NDArray[np.uint32]) -> None:
        """Derive what is not known yet of some code points: all would take most of a second."""
        # In pieces, since an array of places takes eight bytes for each character.
        for start in range(0, len(points), _PIECE):
            piece = points[start : start + _PIECE]
            for point in np.unique(piece[~self._is_known[piece]]).tolist():
                self._learn_one(point)

    def _learn_one(self, point: int) -> None:
        character = _modern(chr(point))
        known = _one_of_many(character)
        if known in (ord(character), point):
            composed = unicodedata.normalize("NFKC", character)
            self.composes[point] = composed != character or _combines(character)
            self.is_symbol[point] = composed == character and _is_symbol(character)
        if known != point and not self._is_known[known]:
            self._learn_one(known)
        self.becomes[point] = known
        # At last, so that no other thread relies on half of it.
        self._is_known[point] = True


def plain(texts: pa.StringArray) -> pa.StringArray:
    """Return texts in which words are parted by ASCII alone; most texts are as they were.

    Args:
        texts: string, (texts,), valid UTF-8 without nulls.
    """
    needed = pc.or_(pc.invert(pc.string_is_ascii(texts)), pc.match_substring_regex(texts, _ENTITY))
    if not pc.any(needed).as_py():
        return texts
    return pc.replace_with_mask(texts, needed, _plain(texts.filter(needed)))


def _plain(texts: pa.StringArray) -> pa.StringArray:
    joined = _joined(pc.replace_substring(texts, _END, " "))
    for _ in range(_ESCAPED_TIMES):
        joined = _ENTITIES.sub(_resolved, joined)
    rows, composes = _one_of_each(joined)
    if not composes.any():
        return rows
    changed, _ = _one_of_each(_joined(composed(rows.filter(composes))))
    return pc.replace_with_mask(rows, composes, changed)


def composed(texts: pa.StringArray) -> pa.StringArray:
    """Return texts in Unicode's form NFKC: letters with their accents, and one width of each.

    Arrow's own function composes nothing before Arrow 26. Characters that some Pythons do not know
    are left as they are.

    Args:
        texts: string, (texts,), valid UTF-8 without nulls. In those that are not ASCII, characters
            0 become spaces.
    """
    is_foreign = pc.invert(pc.string_is_ascii(texts))
    joined = _joined(pc.replace_substring(texts.filter(is_foreign), _END, " "))
    changed = _KNOWN.sub(lambda known: unicodedata.normalize("NFKC", known[0]), joined)
    return pc.replace_with_mask(texts, is_foreign, pa.array(changed.split(_END)[:-1], pa.string()))


def _resolved(entity: re.Match[str]) -> str:
    if entity[0].startswith("&#"):
        return html.unescape(entity[0])
    return html5.get(entity[0][1:], entity[0])


def _one_of_each(joined: str) -> tuple[pa.StringArray, NDArray[np.bool_]]:
    """Return texts of few kinds of characters, and which of them NFKC may change still.

    Args:
        joined: The texts, each followed by `_END`.
    """
    characters = _characters()
    points = np.frombuffer(joined.encode("utf-32-le"), np.uint32).copy()
    foreign = np.flatnonzero(points >= _FIRST_FOREIGN)
    characters.learn(points[foreign])
    points[foreign] = become = characters.becomes[points[foreign]]
    ends = np.flatnonzero(points == 0)
    composes = np.zeros(len(ends), np.bool_)
    composes[np.searchsorted(ends, foreign[characters.composes[become]])] = True
    is_apart = characters.is_symbol[become].any() or _JOINER in become
    if _DROPPED in become:
        points = points[points != _DROPPED]
    if is_apart:
        points = _with_symbols_apart(points, characters.is_symbol)
    return pa.array(points.tobytes().decode("utf-32-le").split(_END)[:-1], pa.string()), composes


def _with_symbols_apart(
    points: NDArray[np.uint32], is_symbol: NDArray[np.bool_]
) -> NDArray[np.uint32]:
    """Return characters with a space around each symbol, flag or joined sequence of symbols."""
    symbols = is_symbol[points]
    # Joiners count between two symbols; elsewhere, they are dropped.
    joiners = np.flatnonzero(points == _JOINER)
    if len(joiners):
        before, after = symbols[joiners - 1], symbols[np.minimum(joiners + 1, len(points) - 1)]
        points = np.delete(points, joiners[~(before & after)])
        symbols = is_symbol[points] | (points == _JOINER)
    joins = points == _JOINER
    joined = joins.copy()
    joined[1:] |= joins[:-1]
    joined |= _seconds_of_flags(points)
    apart = symbols & ~joined
    apart[1:] |= symbols[:-1] & ~joined[1:]
    return np.insert(points, np.flatnonzero(apart), np.uint32(ord(" ")))


def _seconds_of_flags(points: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Return which characters are the second letter of a flag."""
    letters = (points >= _REGIONS.start) & (points < _REGIONS.stop)
    places = np.flatnonzero(letters)
    begins = np.diff(places, prepend=-2) != 1
    first = np.maximum.accumulate(np.where(begins, places, 0))
    letters[places[(places - first) % 2 == 0]] = False
    return letters


def _joined(texts: pa.StringArray) -> str:
    """Return texts as one string, in which each is followed by `_END`."""
    ended = pc.binary_join_element_wise(texts, "", _END)
    offsets = np.frombuffer(ended.buffers()[1], np.int32)[ended.offset :][: len(ended) + 1]
    return str(memoryview(ended.buffers()[2])[offsets[0] : offsets[-1]], "utf-8")


@cache
def _characters() -> _Characters:
    return _Characters()


def _modern(character: str) -> str:
    """Return what Windows had in the place of a control character, or of one that NFKC replaces."""
    if unicodedata.category(character) == "Cc":
        character = bytes([ord(character)]).decode("cp1252", "replace")
    composed = unicodedata.normalize("NFKC", character)
    return composed if len(composed) == 1 else character


def _one_of_many(character: str) -> int:
    """Return the code point that stands for a character and others like it."""
    name, category = unicodedata.name(character, ""), unicodedata.category(character)
    if ord(character) in (*range(_FIRST_FOREIGN), _JOINER):
        return ord(character)
    if _is_apostrophe(name, category):
        return ord("'")
    if category in ("Cf", "Me") or name.startswith(("VARIATION SELECTOR", "EMOJI MODIFIER")):
        return _DROPPED
    is_mark = name in ("TRADE MARK SIGN", "SERVICE MARK") or "REPLACEMENT CHARACTER" in name
    if category[0] in "ZP" or category in ("Cc", "Co", "Cs", "Sc", "Sk", "Sm") or is_mark:
        return ord(" ")
    return ord(character)


def _is_apostrophe(name: str, category: str) -> bool:
    """Return whether people type a character for an apostrophe; accents and primes are, too."""
    if not (category[0] in "PS" or category == "Lm") or "DOUBLE" in name or "COMBINING" in name:
        return False
    is_letter_like = name.startswith("MODIFIER LETTER") and name.endswith(
        ("COMMA", "PRIME", "ACUTE ACCENT", "GRAVE ACCENT")
    )
    is_quote = "APOSTROPHE" in name or ("SINGLE" in name and "QUOTATION" in name)
    accents = ("ACUTE ACCENT", "GRAVE ACCENT", "PRIME", "REVERSED PRIME")
    return is_quote or is_letter_like or name in accents


def _combines(character: str) -> bool:
    """Return whether a character may become one with that before it."""
    is_vowel_or_final = 0x1160 <= ord(character) < 0x1200  # of Korean syllables
    return unicodedata.category(character)[0] == "M" or is_vowel_or_final


def _is_symbol(character: str) -> bool:
    category = unicodedata.category(character)
    return category == "So" or (category == "Cn" and ord(character) in _PICTOGRAPHS)
