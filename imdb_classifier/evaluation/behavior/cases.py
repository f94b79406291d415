"""The cases of the behavior suite, expanded from the templates in ``suite.toml``.

A template becomes as many texts as its longest list of words has entries: the n-th text takes the
n-th word of each list in braces, and starts again where a list is shorter. The template's position
shifts the words, so that templates do not all combine the same ones. In templates of pairs, a
change replaces all given strings, in order, or calls a string method such as ``upper``; changes
that leave a text as it is are no cases.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from imdb_classifier.schema import NEGATIVE, POSITIVE, THRESHOLD

SUITE_FILE: Final = Path(__file__).with_name("suite.toml")
UNSURE: Final = (0.1, 0.9)
"""Range of the probability of a text without an opinion."""
_FINGERPRINT_DIGITS: Final = 12


@dataclass(frozen=True)
class Case:
    """One test: a text, or a text and a changed copy of it.

    Attributes:
        texts: The text and, if the test is about a change, the changed text.
        expected: ``positive`` or ``negative`` (the label); ``unsure`` (a probability in `UNSURE`);
            ``rises``, ``falls`` or ``unchanged`` (the probability, from one text to the other).
        within: If it should be unchanged, by how much the probability may differ.
    """

    texts: tuple[str, ...]
    expected: str
    within: float | None = None

    def passes(self, *probabilities: float) -> bool:
        """Return whether the probabilities of positive of the texts are as expected."""
        first, last = probabilities[0], probabilities[-1]
        match self.expected:
            case "positive" | "negative":
                return (first >= THRESHOLD) == (self.expected == POSITIVE)
            case "unsure":
                return UNSURE[0] <= first <= UNSURE[1]
            case "rises":
                return last > first
            case "falls":
                return last < first
            case _:
                return abs(last - first) <= (self.within or 0)

    @property
    def requirement(self) -> str:
        """What is expected, with its limit."""
        if self.expected == "unsure":
            return "probability from {} to {}".format(*UNSURE)
        return self.expected if self.within is None else f"{self.expected} within {self.within}"


@dataclass(frozen=True)
class Capability:
    """Something that a model should be able to do, and the cases that test it.

    Attributes:
        area: The group of capabilities that it belongs to.
        name: Its name, unique in the suite.
        cases: Its cases.
    """

    area: str
    name: str
    cases: tuple[Case, ...]


@cache
def load_suite() -> tuple[Capability, ...]:
    """Return the capabilities of the suite, in the order of its file."""
    suite = tomllib.loads(SUITE_FILE.read_text("utf-8"))
    return tuple(
        Capability(entry["area"], entry["name"], tuple(_cases(entry, suite["words"])))
        for entry in suite["capability"]
    )


@cache
def suite_fingerprint() -> str:
    """Return what identifies the suite: the first 12 hexadecimal digits of its cases' SHA-256.

    Rates of suites with different fingerprints cannot be compared.
    """
    cases = json.dumps([UNSURE, *map(asdict, load_suite())])
    return hashlib.sha256(cases.encode()).hexdigest()[:_FINGERPRINT_DIGITS]


def _cases(entry: Mapping[str, Any], words: Mapping[str, list[str]]) -> Iterator[Case]:
    for expected in (POSITIVE, NEGATIVE, "unsure"):
        for text in _expanded(entry.get(expected, ()), words):
            yield Case((text,), expected)
    for text in _expanded(entry.get("pairs", ()), words):
        for change in entry["changes"]:
            changed = _changed(text, change)
            if changed != text:
                yield Case((text, changed), entry.get("score", "unchanged"), entry.get("within"))


def _expanded(templates: list[str], words: Mapping[str, list[str]]) -> Iterator[str]:
    for position, template in enumerate(templates):
        lists = {name: words[name] for name in re.findall(r"{(\w+)}", template)}
        for number in range(max(map(len, lists.values()), default=1)):
            chosen = {
                name: listed[(number + position * shift) % len(listed)]
                for shift, (name, listed) in enumerate(lists.items())
            }
            yield template.format(**chosen)


def _changed(text: str, change: str | Mapping[str, str]) -> str:
    if isinstance(change, str):
        changed: str = getattr(text, change)()
        return changed
    for old, new in change.items():
        text = text.replace(old, new)
    return text
