"""No option without a test that fails when it is ignored."""

from __future__ import annotations

import typer

from imdb_classifier.cli.app import app
from tests.options import covered, options_of


def test_every_option_is_covered() -> None:
    options = sorted(options_of(typer.main.get_command(app)))
    assert sorted(name for name in covered() if ":" not in name) == options
