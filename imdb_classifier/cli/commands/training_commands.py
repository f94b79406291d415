"""The commands `train`, `adapt`, `evaluate` and `explain`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imdb_classifier.cli.commands.shared_options import (
    AsJson,
    Data,
    EngineOption,
    GateOn,
    LabelMapOption,
    ModelOption,
    RegistryOption,
    ThreadsOption,
    named_meanings,
    named_paths,
)
from imdb_classifier.cli.console import interval, keeps, points, say, show, stage_progress, table
from imdb_classifier.errors import TextTypeError
from imdb_classifier.registry.access import CHAMPION

if TYPE_CHECKING:
    from imdb_classifier.model.bundle import Bundle
    from imdb_classifier.model.engines import EngineChoice


@keeps("Finished epochs are kept; rerun to resume.")
def train(
    data: Data = None,
    recipe: Annotated[
        str,
        typer.Option(
            help="What to train: production, seed, tiny, or a TOML file with settings of your own."
        ),
    ] = "production",
    seed: Annotated[
        int, typer.Option(help="Random seed of initial weights, validation split and order.")
    ] = 1,
    extra_train: Annotated[
        list[str] | None,
        typer.Option(
            help="Labeled Parquet files of your own to add, with the columns text and label."
        ),
    ] = None,
    gate_on: GateOn = None,
    label_map: LabelMapOption = None,
    force: Annotated[
        bool,
        typer.Option(help="Train even if the same data, recipe and seed were already trained."),
    ] = False,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Train a model, evaluate it on the IMDB test split, and register it as @challenger."""
    from imdb_classifier.pipeline.train import train_model

    with stage_progress() as progress:
        training = train_model(
            data,
            recipe,
            seed,
            extra_train=extra_train or (),
            gate_on=named_paths(gate_on or ()),
            label_map=named_meanings(label_map),
            force=force,
            registry=registry,
            progress=progress,
        )
    bundle = training.bundle
    if training.skipped:
        say(
            f"Training skipped: {bundle.model_id} was trained on the same reviews, with the same "
            "recipe and seed. Change one of them, or use --force."
        )
        if gate_on:
            say(
                "To evaluate it on your own sets: "
                f"imdb-classifier evaluate --model {bundle.model_id} --gate-on NAME=PATH"
            )
    else:
        say(
            "Registered as @challenger. To score with it: "
            f"imdb-classifier models promote {bundle.model_id}"
        )
    _show_figures(as_json, bundle, training.evaluation, training.report)


def adapt(
    labeled: Annotated[
        str,
        typer.Argument(
            help="Labeled Parquet files of your own: at least 50 rows, with the columns text and "
            "label."
        ),
    ],
    model: ModelOption = CHAMPION,
    label_map: LabelMapOption = None,
    data: Data = None,
    gate_on: GateOn = None,
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Adapt a model to your own texts, and register it as @challenger if that helps."""
    from imdb_classifier.pipeline import adaptations

    with stage_progress() as progress:
        adapted = adaptations.adapt(
            labeled,
            model,
            label_map=named_meanings(label_map),
            data=data,
            gate_on=named_paths(gate_on or ()),
            registry=registry,
            progress=progress,
        )
    shown = table(
        f"{adapted.base.model_id} on your labels (cross-validation)",
        *("change", "strength", "#accuracy", "#log loss", "chosen"),
    )
    for attempt in adapted.attempts:
        shown.add_row(
            attempt.change,
            "" if attempt.strength is None else f"{attempt.strength:g}",
            f"{attempt.accuracy:.2%}",
            f"{attempt.log_loss:.4f}",
            "yes" if attempt == adapted.chosen else "",
        )
    values = {
        "model_id": adapted.bundle.model_id,
        "base": adapted.base.model_id,
        "chosen": asdict(adapted.chosen),
        "attempts": [asdict(attempt) for attempt in adapted.attempts],
        "evaluation": dict(adapted.evaluation),
        "report": dict(adapted.report),
    }
    show(as_json, values, shown)
    if adapted.bundle.model_id == adapted.base.model_id:
        say(f"No change was shown to help on your labels: keep {adapted.base.model_id}.")
        return
    before = (adapted.base.evaluation or {}).get("figures", {}).get("accuracy")
    if adapted.evaluation:
        after = interval(adapted.evaluation["figures"]["accuracy"])
        was = f" (before: {interval(before)})" if before else ""
        say(f"Accuracy on the IMDB test split: {after}{was}")
    say(
        "Registered as @challenger. To score with it: "
        f"imdb-classifier models promote {adapted.bundle.model_id}"
    )


def evaluate(
    model: ModelOption = CHAMPION,
    data: Data = None,
    gate_on: GateOn = None,
    label_map: LabelMapOption = None,
    output: Annotated[
        str | None, typer.Option(help="Folder for the report as JSON, Markdown and HTML.")
    ] = None,
    with_texts: Annotated[
        bool, typer.Option(help="Show the text of the worst reviews in the HTML report.")
    ] = False,
    explain_worst: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="List the words that moved the scores of the worst reviews in the HTML report.",
        ),
    ] = False,
    suite: Annotated[
        bool,
        typer.Option(
            "--suite",
            help="Run only the behavior suite, which needs no reviews, and list the failures.",
        ),
    ] = False,
    sample: Annotated[
        str | None,
        typer.Option(
            help="Estimate only the accuracy on scored files, from a file that imdb-classifier "
            "sample wrote and whose column label you filled in.",
        ),
    ] = None,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a model on the IMDB test split and with the behavior suite."""
    if suite or sample is not None:
        if any((data, gate_on, label_map, output, with_texts, explain_worst, suite and sample)):
            raise typer.BadParameter(
                "--suite and --sample stand alone, need no other reviews and write no report: "
                "leave out --data, --gate-on, --label-map, --output, --with-texts, --explain."
            )
        if sample is not None:
            _evaluate_sample(sample, model, threads, engine, registry, as_json)
        else:
            _run_suite(model, threads, engine, registry, as_json)
        return
    if output is None and (with_texts or explain_worst):
        raise typer.BadParameter("--with-texts and --explain are about the report: add --output.")
    from imdb_classifier.evaluation.report import check_report_folder, write_report
    from imdb_classifier.pipeline.evaluate import evaluate_bundle, words_that_moved, worst_texts
    from imdb_classifier.pipeline.own_sets import load_own_sets
    from imdb_classifier.registry.versions import Registry

    own_sets = load_own_sets(named_paths(gate_on or ()), named_meanings(label_map))
    if output is not None:
        check_report_folder(output)
    where = Registry.at(registry)
    bundle = where.load(model, engine)
    with stage_progress() as progress:
        evaluation, reviews = evaluate_bundle(
            bundle,
            data,
            download=data is not None,
            progress=progress,
            threads=threads,
            own_sets=own_sets,
            registry=where,
        )
    report = {}
    if output is not None:
        texts = worst_texts(evaluation, reviews)
        reasons = words_that_moved(texts, bundle, threads) if explain_worst and texts else None
        report = write_report(
            evaluation, output, texts=texts if with_texts else None, reasons=reasons
        )
    _show_figures(as_json, bundle, evaluation.to_dict(), report)


def explain(
    texts: Annotated[
        list[str],
        typer.Argument(
            metavar="TEXT...",
            help="The texts. A single - reads one text from standard input, which keeps it out of "
            "the shell's history.",
        ),
    ],
    top: Annotated[
        int, typer.Option(min=1, help="How many words, and how many n-grams, to list.")
    ] = 10,
    model: ModelOption = CHAMPION,
    threads: ThreadsOption = None,
    engine: EngineOption = "auto",
    registry: RegistryOption = None,
    as_json: AsJson = False,
) -> None:
    """Show the words and n-grams that moved the score of a text most."""
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring import explanations
    from imdb_classifier.scoring.scorer import Scorer

    given = [_piped()] if texts == ["-"] else texts
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


def _run_suite(
    model: str, threads: int | None, engine: EngineChoice, registry: str | None, as_json: bool
) -> None:
    from imdb_classifier.pipeline.evidence import judge_suite, score_suite
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.scoring.scorer import Scorer

    bundle = Registry.at(registry).load(model, engine)
    with Scorer(bundle, threads) as scorer:
        behavior = judge_suite(score_suite(scorer))
    learned = f" ({behavior.learned:,} left out: trained on)" if behavior.learned else ""
    shown = table(
        f"{bundle.model_id} on {behavior.texts:,} texts of the behavior suite {behavior.suite}"
        f"{learned}",
        *("area", "capability", "#texts", "#cases", "#failed", "example of a failure"),
    )
    for part in behavior.capabilities:
        example = part.examples[0].in_words if part.examples else ""
        rate = f"{part.failures} ({part.failure_rate:.0%})"
        shown.add_row(part.area, part.name, str(part.texts), str(part.cases), rate, example)
    values = {
        "model_id": bundle.model_id,
        "engine": bundle.engine.name,
        "behavior": asdict(behavior),
    }
    show(as_json, values, shown)


def _evaluate_sample(
    path: str,
    model: str,
    threads: int | None,
    engine: EngineChoice,
    registry: str | None,
    as_json: bool,
) -> None:
    from imdb_classifier.registry.versions import Registry
    from imdb_classifier.sampling.sample_accuracy import evaluate_sample

    found = evaluate_sample(
        path, model, registry=Registry.at(registry), threads=threads, engine=engine
    )
    left_out = [
        f"{count:,} {why}"
        for count, why in ((found.unlabeled, "without a label"), (found.learned, "trained on"))
        if count
    ]
    shown = table(
        f"Accuracy of {found.model_id} on {found.all_rows:,} scored rows: "
        f"{interval(asdict(found.accuracy))}, from {found.labeled:,} labeled rows"
        + (f" ({', '.join(left_out)}: left out)" if left_out else ""),
        *("stratum", "#rows", "#labeled", "#right"),
    )
    for stratum in found.strata:
        counts = (stratum.rows, stratum.labeled, stratum.right)
        shown.add_row(str(stratum.stratum), *(f"{count:,}" for count in counts))
    show(as_json, found.to_dict(), shown)


def _show_figures(
    as_json: bool, bundle: Bundle, evaluation: Mapping[str, Any], report: Mapping[str, str]
) -> None:
    shown = table(f"{bundle.model_id} on {evaluation['rows']:,} test reviews", "figure", "#value")
    for name, figure in evaluation["figures"].items():
        shown.add_row(name.replace("_", " "), interval(figure))
    for own in evaluation.get("own_sets", ()):
        called = f"{own['name']} ({own['unseen']:,} reviews)"
        shown.add_row(f"{called}: accuracy", interval(own["accuracy"]))
        shown.add_row(f"{called}: log loss", interval(own["log_loss"]))
        if own["difference"]:
            shown.add_row(f"{called}: points above champion", points(own["difference"]))
    values = {
        "model_id": bundle.model_id,
        "engine": bundle.engine.name,
        "evaluation": evaluation,
        "report": dict(report),
    }
    show(as_json, values, shown)
    if "report.html" in report:
        say(f"Report: {report['report.html']}")
