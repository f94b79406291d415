"""Values for the templates of the documentation: figures, public names, command help."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import click

import imdb_classifier
from benchmarks import __main__ as bench
from benchmarks import ablation, cluster, distillation, expected_accuracy, many_files, seeds, year
from benchmarks.table import markdown_table
from imdb_classifier import tasks
from imdb_classifier.cli.app import root_command
from imdb_classifier.cli.commands.shared_options import help_of
from imdb_classifier.config import PRODUCTION
from imdb_classifier.evaluation.behavior.cases import load_suite
from imdb_classifier.evaluation.behavior.judgment import Behavior
from imdb_classifier.evaluation.promotion import LEAST_OWN_ROWS, Gates
from imdb_classifier.evaluation.report import render
from imdb_classifier.evaluation.slices import LEAST_ROWS
from imdb_classifier.monitoring.drift_limits import DriftLimits
from imdb_classifier.recipe_file import PARTS
from imdb_classifier.registry.versions import bundled_path
from imdb_classifier.tasks.score_tasks import UNIT_ROWS

CHECKOUT = Path(__file__).parents[1]


def context() -> dict[str, Any]:
    """Return all values that a page may use, by name."""
    figures = {file.stem: _json(file) for file in sorted((CHECKOUT / "benchmarks").glob("*.json"))}
    model = _json(bundled_path() / "evaluation.json")
    behavior = Behavior.from_dict(model["behavior"])
    return {
        **figures,
        "model": model,
        "manifest": _json(bundled_path() / "manifest.json"),
        "model_mb": _scoring_files_bytes() / 1e6,
        "tables": {
            **bench.tables(figures["results"]),
            **cluster.tables(figures["cluster"]),
            "behavior": render("behavior.md.j2", behavior=behavior),
            "behavior_areas": behavior_areas(behavior),
            "recipe": recipe_settings(),
            "ablation": ablation.table(figures["ablation"]),
            "coverage": expected_accuracy.coverage_table(figures["expected_accuracy"]),
            "expected_accuracy": expected_accuracy.table(figures["expected_accuracy"]),
            "changed_reviews": expected_accuracy.changed_reviews(figures["expected_accuracy"]),
            "distillation": distillation.table(figures["distillation"]),
            "many_files": many_files.table(figures["many_files"])
            if "many_files" in figures
            else "",
            "year": year.table(figures["year"]) if "year" in figures else "",
            # Measured separately, because it takes an idle machine a quarter of an hour.
            "seeds": seeds.table(figures["seeds"]) if "seeds" in figures else "",
            "production_seeds": seeds.table(figures["production_seeds"]),
        },
        "rate": {
            row["name"]: row["reviews_per_second"]
            for row in figures["results"]["scoring"]["contenders"]
        },
        "measured": measured,
        "billion": billion(figures["cluster"], figures["results"]),
        "gates": asdict(Gates()),
        "slice_rows": LEAST_ROWS,
        "least_own_rows": LEAST_OWN_ROWS,
        "behavior_capabilities": len(load_suite()),
        "drift_limits": asdict(DriftLimits()),
        "public": public_names(),
        "tasks": tasks.__all__,
        "command_line": command_line,
    }


def measured(conditions: Mapping[str, Any]) -> str:
    """Return date, CPU, commit and versions of a measurement as a sentence."""
    packages = ", ".join(f"{name} {version}" for name, version in conditions["packages"].items())
    return (
        f"Measured on {conditions['date']} with {conditions['cores']} cores of an "
        f"{conditions['cpu']}, at commit `{conditions['commit'][:10]}`, Python "
        f"{conditions['python']}, {packages}."
    )


def recipe_settings() -> str:
    """Return a Markdown table of every setting of a recipe, with its value in `production`."""
    rows = ["| setting | type | in `production` | meaning |", "|---|---|---|---|"]
    for part in PARTS:
        settings = getattr(PRODUCTION, part)
        for field in fields(settings):
            value, meaning = getattr(settings, field.name), help_of(type(settings), field.name)
            kind = str(field.type).replace(" | None", ' or `"none"`')
            rows.append(f"| `{part}.{field.name}` | {kind} | {value} | {meaning} |")
    return "\n".join(rows)


def behavior_areas(behavior: Behavior) -> str:
    """Return a Markdown table of the failures in each area of the behavior suite."""
    rows = []
    for area in dict.fromkeys(part.area for part in behavior.capabilities):
        parts = [part for part in behavior.capabilities if part.area == area]
        cases, failures = (sum(getattr(p, name) for p in parts) for name in ("cases", "failures"))
        worst = max(parts, key=lambda part: part.failure_rate)
        rows.append(
            {
                "area": area,
                "capabilities": len(parts),
                "cases": cases,
                "failed": f"{100 * failures / cases:.0f} %",
                "most often": f"{worst.name} ({100 * worst.failure_rate:.0f} %)",
            }
        )
    return markdown_table(rows)


def billion(clusters: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, float]:
    """Estimate what a billion reviews take on 200 cores, from two Dask workers on two cores.

    Returns:
        rate (reviews per second and core); minutes on 200 cores, on 64 workers of 3 threads
        (minutes_64x3) and of 1 (minutes_64x1); bytes per review; gigabytes per second to read.
    """
    rate = cluster.FILES * UNIT_ROWS / clusters["of_text"][-1]["seconds"] / 2
    of_bytes = max(results["memory"], key=lambda row: row["rows"])
    size = of_bytes["file, MB"] * 1e6 / of_bytes["rows"]
    minutes = {cores: 1e9 / (cores * rate) / 60 for cores in (200, 192, 64)}
    return {
        "rate": rate,
        "minutes": minutes[200],
        "minutes_64x3": minutes[192],
        "minutes_64x1": minutes[64],
        "bytes": size,
        "gigabytes_a_second": size / (minutes[192] * 60),
    }


def public_names() -> dict[str, list[str]]:
    """Return the names that the package exports, by kind."""
    kinds: dict[str, list[str]] = {"functions": [], "classes": [], "errors": [], "constants": []}
    for name in imdb_classifier.__all__:
        kinds[_kind(getattr(imdb_classifier, name))].append(name)
    return kinds


def command_line(
    command: click.Command = root_command,
    name: str = "imdb-classifier",
    above: click.Context | None = None,
) -> Iterator[dict[str, Any]]:
    """Yield what the help of a command and of those below it says.

    Returns:
        Of each command, its name, usage, help text, parameters (kind to names and descriptions),
        and the commands below it (name to summary).
    """
    context = click.Context(command, info_name=name, parent=above, **command.context_settings)
    kinds: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
    for parameter in command.get_params(context):
        if record := parameter.get_help_record(context):
            kinds[f"{parameter.param_type_name.title()}s"].append(record)
    below = command.commands if isinstance(command, click.Group) else {}
    yield {
        "name": context.command_path,
        "usage": command.get_usage(context).removeprefix("Usage: "),
        "help": inspect.cleandoc(command.help or ""),
        "parameters": kinds,
        "commands": {name: found.get_short_help_str(1_000) for name, found in below.items()},
    }
    for name, found in below.items():
        yield from command_line(found, name, context)


def _kind(value: object) -> str:
    if inspect.isfunction(value):
        return "functions"
    if not inspect.isclass(value):
        return "constants"
    return "errors" if issubclass(value, Exception) else "classes"


def _scoring_files_bytes() -> int:
    return sum(
        (bundled_path() / name).stat().st_size
        for name in ("model.onnx", "vocabulary.txt", "ngrams.npy")
    )


def _json(file: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return values
