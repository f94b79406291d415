"""The mutations of `make mutants` fit the code; the command checks that tests find them."""

from __future__ import annotations

import pytest

from tests.mutants.__main__ import CHECKOUT, Mutant, mutants

MUTANTS = mutants()


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.rule)
def test_each_breaks_one_place_and_names_its_tests(mutant: Mutant) -> None:
    source = (CHECKOUT / mutant.file).read_text("utf-8")
    compile(mutant.applied(source), mutant.file, "exec")
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (CHECKOUT / path).read_text("utf-8")


def test_every_room_is_broken_somewhere() -> None:
    package = CHECKOUT / "imdb_classifier"
    rooms = {file.parent for file in package.glob("*/*.py") if file.name != "__init__.py"}
    places = [CHECKOUT / mutant.file for mutant in MUTANTS]
    outside = {CHECKOUT / folder for folder in ("flows", "deployments")}
    assert {folder for place in places for folder in place.parents} >= rooms | outside
    assert len(MUTANTS) >= 60
