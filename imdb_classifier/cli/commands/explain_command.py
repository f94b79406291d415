"""The command `explain`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from imdb_classifier.cli.commands.shared_options import (
    as_json_option,
    engine_option,
    model_option,
    registry_option,
    threads_option,
)
from imdb_classifier.cli.console import show, table
from imdb_classifier.errors import TextTypeError

if TYPE_CHECKING:
    from imdb_classifier.model.engines import EngineChoice


@click.command
@click.argument(
    "texts",
    metavar="TEXT...",
    nargs=-1,
    required=True,
    help="The texts. A single - reads one text from standard input, which keeps it out of "
    "the shell's history.",
)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=10,
    help="How many words, and how many n-grams, to list.",
)
@model_option
@threads_option
@engine_option
@registry_option
@as_json_option
def explain(
    texts: tuple[str, ...],
    top: int,
    model: str,
    threads: int | None,
    engine: EngineChoice,
    registry: str | None,
    as_json: bool,
) -> None:
    """Show the words and n-grams that moved the score of a text most."""
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring import explanations
    from imdb_classifier.scoring.scorer import Scorer

    given = (_piped(),) if texts == ("-",) else texts
    bundle = Registry.at(registry).load(model, engine)
    with Scorer(bundle, threads) as scorer:
        found = explanations.explain(given, model=scorer, top=top)
    if as_json:
        values = {
            "model_id": bundle.model_id,
            "engine": bundle.engine.name,
            "explanations": [asdict(explanation) for explanation in found],
        }
        show(True, values, "")
        return
    for number, explanation in enumerate(found, 1):
        if explanation.probability is None:
            show(False, {}, f"Text {number}: no text")
            continue
        shown = table(
            f"Text {number}: probability of positive {explanation.probability:.3f}, log-odds "
            f"{explanation.ngram_log_odds:+.2f} by n-grams and {explanation.lstm_log_odds:+.2f} by "
            "the LSTM",
            *("word or n-gram", "kind", "#log-odds", "#by n-grams", "#by the LSTM"),
        )
        for word in explanation.words:
            parts = (word.log_odds, word.ngram_log_odds, word.lstm_log_odds)
            shown.add_row(word.word, "word", *(f"{part:+.2f}" for part in parts))
        for ngram in explanation.ngrams:
            shown.add_row(ngram.ngram, "n-gram", f"{ngram.log_odds:+.2f}", "", "")
        show(False, {}, shown)


def _piped() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise TextTypeError(None, "standard input", "not valid UTF-8") from error
