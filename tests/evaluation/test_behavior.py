from __future__ import annotations

import re
import tomllib
import unicodedata

import numpy as np
import pytest

from imdb_classifier.evaluation.behavior.cases import (
    SUITE_FILE,
    Capability,
    Case,
    load_suite,
    suite_fingerprint,
)
from imdb_classifier.evaluation.behavior.judgment import SuiteScores, judge, texts_of

SUITE = load_suite()
CASES = {capability.name: capability.cases for capability in SUITE}
TEMPLATES = ("positive", "negative", "unsure", "pairs")
KEYS = {"area", "name", *TEMPLATES, "changes", "within", "score"}


def test_the_suite_is_large_and_each_capability_has_cases_of_its_own() -> None:
    assert len(SUITE) >= 40
    assert len(texts_of(SUITE)) >= 1_000
    assert len(CASES) == len(SUITE)
    for capability in SUITE:
        cases = capability.cases
        assert len(cases) >= 12, capability.name
        assert len({case.texts for case in cases}) == len(cases), capability.name
        assert all(text.strip() and "{" not in text for case in cases for text in case.texts)
    kinds = {case.expected for cases in CASES.values() for case in cases}
    assert kinds == {"positive", "negative", "unsure", "unchanged", "rises", "falls"}


def test_the_file_says_nothing_that_is_not_read() -> None:
    suite = tomllib.loads(SUITE_FILE.read_text("utf-8"))
    used = set()
    for entry in suite["capability"]:
        assert entry.keys() <= KEYS
        assert ("pairs" in entry) == ("changes" in entry) == ("within" in entry or "score" in entry)
        texts = [text for key in TEMPLATES for text in entry.get(key, ())]
        used |= {name for text in texts for name in re.findall(r"{(\w+)}", text)}
        # Every change changes something.
        assert all(
            any(old in text for case in CASES[entry["name"]] for text in case.texts[:1])
            for change in entry.get("changes", ())
            if not isinstance(change, str)
            for old in change
        ), entry["name"]
    assert used == suite["words"].keys()


def test_pairs_differ_only_in_what_is_tested() -> None:
    for case in (*CASES["decomposed letters"], *CASES["full-width letters"]):
        text, changed = case.texts
        assert text != changed
        assert unicodedata.normalize("NFKC", changed) == text
    for text, changed in (case.texts for case in CASES["upper and lower case"]):
        assert text != changed
        assert text.casefold() == changed.casefold()


def test_templates_become_texts() -> None:
    first, second, *_ = CASES["one plain sentence"]
    assert first == Case(("This is a good film.",), "positive")
    assert second == Case(("This is a great movie.",), "positive")
    assert CASES["more praise"][0] == Case(
        ("The acting is good.", "The acting is very good."), "rises"
    )
    assert CASES["short and long form"][0] == Case(
        ("The acting is not good.", "The acting isn't good."), "unchanged", 0.1
    )


@pytest.mark.parametrize(
    ("case", "passed", "failed"),
    [
        (Case(("a",), "positive"), [(0.5,), (1.0,)], [(0.49,)]),
        (Case(("a",), "negative"), [(0.49,)], [(0.5,)]),
        (Case(("a",), "unsure"), [(0.1,), (0.9,)], [(0.09,), (0.91,)]),
        (Case(("a", "b"), "rises"), [(0.4, 0.5)], [(0.5, 0.5), (0.5, 0.4)]),
        (Case(("a", "b"), "falls"), [(0.5, 0.4)], [(0.5, 0.5), (0.4, 0.5)]),
        (Case(("a", "b"), "unchanged", 0.25), [(0.5, 0.75), (0.5, 0.25)], [(0.5, 0.8), (0.5, 0.2)]),
    ],
    ids=lambda value: value.expected if isinstance(value, Case) else "",
)
def test_what_passes(
    case: Case, passed: list[tuple[float, ...]], failed: list[tuple[float, ...]]
) -> None:
    assert [case.passes(*scores) for scores in passed + failed] == [True] * len(passed) + [
        False
    ] * len(failed)


def test_failures_are_counted_and_learned_texts_left_out() -> None:
    texts = [f"text {number}" for number in range(10)]
    suite = (
        Capability("a", "labels", tuple(Case((text,), "positive") for text in texts)),
        Capability("a", "pairs", (Case((texts[0], texts[1]), "rises"),)),
        Capability("b", "learned", (Case((texts[9], texts[1]), "falls"),)),
    )
    scores = np.array([0.9, 0.8, *[0.25] * 8], np.float32)
    learned = np.arange(10) == 9
    found = judge(suite, "f", SuiteScores(scores, learned))
    assert (found.suite, found.texts, found.learned) == ("f", 10, 1)
    labels, pairs = found.capabilities
    assert (labels.texts, labels.cases, labels.failures, labels.failure_rate) == (9, 9, 7, 7 / 9)
    assert [example.texts for example in labels.examples] == [("text 2",), ("text 5",), ("text 8",)]
    assert (pairs.texts, pairs.cases, pairs.failures) == (2, 1, 1)
    assert pairs.examples[0].in_words == "text 0 (0.90) → text 1 (0.80): expected rises"


def test_the_fingerprint_is_that_of_the_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    before = suite_fingerprint.__wrapped__()
    assert before == suite_fingerprint()
    monkeypatch.setattr("imdb_classifier.evaluation.behavior.cases.UNSURE", (0.2, 0.8))
    assert suite_fingerprint.__wrapped__() != before
