"""No option without a test that fails when it is ignored."""

from __future__ import annotations

from imdb_classifier.cli.app import root_command
from tests.options import covered, options_of


def test_every_option_is_covered() -> None:
    options = sorted(options_of(root_command))
    assert sorted(name for name in covered() if ":" not in name) == options
