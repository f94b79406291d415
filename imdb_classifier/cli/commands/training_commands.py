"""The commands `train`, `adapt` and `evaluate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from imdb_classifier.cli.commands.shared_options import (
    as_json_option,
    data_option,
    engine_option,
    gate_on_option,
    label_map_option,
    model_option,
    named_meanings,
    named_paths,
    registry_option,
    threads_option,
)
from imdb_classifier.cli.console import interval, keeps, points, say, show, stage_progress, table

if TYPE_CHECKING:
    from imdb_classifier.model.bundle import Bundle
    from imdb_classifier.model.engines import EngineChoice


@click.command
@data_option
@click.option(
    "--recipe",
    default="production",
    help="What to train: production, seed, tiny, or a TOML file with settings of your own.",
)
@click.option(
    "--seed", default=1, help="Random seed of initial weights, validation split and order."
)
@click.option(
    "--extra-train",
    type=click.Path(),
    multiple=True,
    help="Labeled Parquet files of your own to add, with the columns text and label.",
)
@gate_on_option
@label_map_option
@click.option(
    "--force/--no-force",
    default=False,
    help="Train even if the same data, recipe and seed were already trained.",
)
@registry_option
@as_json_option
@keeps("Finished epochs are kept; rerun to resume.")
def train(
    data: str | None,
    recipe: str,
    seed: int,
    extra_train: tuple[str, ...],
    gate_on: tuple[str, ...],
    label_map: str | None,
    force: bool,
    registry: str | None,
    as_json: bool,
) -> None:
    """Train a model, evaluate it on the IMDB test split, and register it as @challenger."""
    from imdb_classifier.pipeline.train import train_model

    with stage_progress() as progress:
        training = train_model(
            data,
            recipe,
            seed,
            extra_train=extra_train,
            gate_on=named_paths(gate_on),
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


@click.command
@click.argument(
    "labeled",
    metavar="LABELED",
    type=click.Path(),
    help="Labeled Parquet files of your own: at least 50 rows, with the columns text and label.",
)
@model_option
@label_map_option
@data_option
@gate_on_option
@registry_option
@as_json_option
def adapt(
    labeled: str,
    model: str,
    label_map: str | None,
    data: str | None,
    gate_on: tuple[str, ...],
    registry: str | None,
    as_json: bool,
) -> None:
    """Adapt a model to your own texts, and register it as @challenger if that helps."""
    from imdb_classifier.pipeline import adaptations

    with stage_progress() as progress:
        adapted = adaptations.adapt(
            labeled,
            model,
            label_map=named_meanings(label_map),
            data=data,
            gate_on=named_paths(gate_on),
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


@click.command
@model_option
@data_option
@gate_on_option
@label_map_option
@click.option(
    "--output", type=click.Path(), help="Folder for the report as JSON, Markdown and HTML."
)
@click.option(
    "--with-texts/--no-with-texts",
    default=False,
    help="Show the text of the worst reviews in the HTML report.",
)
@click.option(
    "--explain",
    "explain_worst",
    is_flag=True,
    help="List the words that moved the scores of the worst reviews in the HTML report.",
)
@click.option(
    "--suite",
    is_flag=True,
    help="Run only the behavior suite, which needs no reviews, and list the failures.",
)
@click.option(
    "--sample",
    type=click.Path(),
    help="Estimate only the accuracy on scored files, from a file that imdb-classifier "
    "sample wrote and whose column label you filled in.",
)
@threads_option
@engine_option
@registry_option
@as_json_option
def evaluate(
    model: str,
    data: str | None,
    gate_on: tuple[str, ...],
    label_map: str | None,
    output: str | None,
    with_texts: bool,
    explain_worst: bool,
    suite: bool,
    sample: str | None,
    threads: int | None,
    engine: EngineChoice,
    registry: str | None,
    as_json: bool,
) -> None:
    """Evaluate a model on the IMDB test split and with the behavior suite."""
    if suite or sample is not None:
        if any((data, gate_on, label_map, output, with_texts, explain_worst, suite and sample)):
            raise click.BadParameter(
                "--suite and --sample stand alone, need no other reviews and write no report: "
                "leave out --data, --gate-on, --label-map, --output, --with-texts, --explain."
            )
        if sample is not None:
            _evaluate_sample(sample, model, threads, engine, registry, as_json)
        else:
            _run_suite(model, threads, engine, registry, as_json)
        return
    if output is None and (with_texts or explain_worst):
        raise click.BadParameter("--with-texts and --explain are about the report: add --output.")
    from imdb_classifier.evaluation.report import check_report_folder, write_report
    from imdb_classifier.pipeline.evaluate import evaluate_bundle, words_that_moved, worst_texts
    from imdb_classifier.pipeline.own_sets import load_own_sets
    from imdb_classifier.registry.versions import Registry

    own_sets = load_own_sets(named_paths(gate_on), named_meanings(label_map))
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
