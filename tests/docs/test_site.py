"""The site builds strictly, documents everything that is public, and loads nothing from elsewhere.

The tests stand in one group, so that one process builds it.
"""

from __future__ import annotations

import html
import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

import imdb_classifier
from benchmarks import __main__ as bench
from benchmarks import ablation, cluster, distillation, expected_accuracy, seeds, year
from docs.context import behavior_areas
from imdb_classifier import flows, tasks
from imdb_classifier.cli.app import root_command
from imdb_classifier.config import PRODUCTION
from imdb_classifier.evaluation.behavior.judgment import Behavior
from imdb_classifier.recipe_file import PARTS
from imdb_classifier.registry.versions import bundled_path
from tests.docs.conftest import CHECKOUT

pytestmark = pytest.mark.xdist_group("docs")

DOCUMENTED_BY_HAND = {"RECIPES", "__version__"}
"""Constants have no docstring of their own."""


def text_of(page: Path) -> str:
    """What a page says, without its marks."""
    return html.unescape(re.sub(r"<[^>]+>", "", page.read_text("utf-8")))


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and all below it, each with its full name."""
    yield name, command
    for sub, below in getattr(command, "commands", {}).items():
        yield from commands(below, f"{name} {sub}")


ALL_COMMANDS = dict(commands(root_command, "imdb-classifier"))


def test_every_public_name_is_in_the_api_reference(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text("utf-8")
    names = set(re.findall(r'id="imdb_classifier\.(\w+)"', page))
    assert set(imdb_classifier.__all__) - names == set()


def test_every_setting_of_a_recipe_is_in_the_table(site: Path) -> None:
    page = (site / "reference" / "recipes.html").read_text("utf-8")
    rows = [re.findall(r"<td>(.*?)</td>", row, re.DOTALL) for row in page.split("<tr")]
    cells = [[re.sub(r"<[^>]+>", "", cell).strip() for cell in row] for row in rows if row]
    table = {name: (value, meaning) for name, _, value, meaning in cells}
    for part in PARTS:
        settings = asdict(getattr(PRODUCTION, part))
        for name, value in settings.items():
            stated, meaning = table.pop(f"{part}.{name}")
            assert stated == str(value)
            assert len(meaning.split()) > 3, name
    assert table == {}


@pytest.mark.parametrize("name", sorted({*imdb_classifier.__all__} - DOCUMENTED_BY_HAND))
def test_every_public_name_has_a_docstring_with_content(name: str) -> None:
    public = getattr(imdb_classifier, name)
    docstring = public.__doc__ or ""
    # That of a dataclass without one is its signature.
    assert len(docstring.split()) >= 4
    assert not docstring.startswith(f"{name}(")
    if inspect.isfunction(public):
        parameters = inspect.signature(public).parameters
        assert [p for p in parameters if f"        {p}: " not in docstring] == []
    for member, value in vars(public).items() if inspect.isclass(public) else ():
        if not member.startswith("_") and (
            inspect.isfunction(value) or isinstance(value, property)
        ):
            assert value.__doc__, f"{name}.{member}"


def test_every_task_and_flow_is_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "flows.html").read_text("utf-8")
    functions = [name for name in tasks.__all__ if name[0].islower()]
    assert [n for n in functions if f'id="imdb_classifier.tasks.{n}"' not in page] == []
    for flow in flows.__all__:
        assert re.search(rf'id="[\w.]+\.{flow}"', page)


@pytest.mark.parametrize("name", ALL_COMMANDS)
def test_every_command_and_option_is_in_the_reference(site: Path, name: str) -> None:
    page = text_of(site / "reference" / "command-line.html")
    section = re.split(r"\nimdb-classifier(?= [\w -]+¶)", page.replace("Command line¶", "¶"))
    (found,) = [s for s in section if s.startswith(f"{name.removeprefix('imdb-classifier')}¶")] or [
        section[0]
    ]
    options = [o for p in ALL_COMMANDS[name].params for o in p.opts if o.startswith("--")]
    assert [option for option in options if option not in found] == []


def test_docstrings_refer_to_what_is_documented(site: Path) -> None:
    """What stands in single backticks in a docstring of the reference is a link."""
    for page in ("python", "flows"):
        text = (site / "reference" / f"{page}.html").read_text("utf-8")
        code = r'<code class="xref py py-obj docutils literal notranslate">(.*?)</code>'
        linked = rf'<a class="reference internal"[^>]*>{code}'
        dead = set(re.findall(code, text)) - set(re.findall(linked, text))
        assert {re.sub(r"<[^>]+>", "", name) for name in dead} == set()


def test_the_pages_show_the_measured_figures(site: Path) -> None:
    shown = {
        page.stem: text_of(page)
        for folder in ("explanation", "guides")
        for page in (site / folder).glob("*.html")
    }
    figures = {
        file.stem: json.loads(file.read_text("utf-8"))
        for file in (CHECKOUT / "benchmarks").glob("*.json")
    }
    evaluation = json.loads((bundled_path() / "evaluation.json").read_text("utf-8"))
    bundled = json.loads((bundled_path() / "manifest.json").read_text("utf-8"))["model_id"]
    for name in ("ablation", "expected_accuracy"):
        assert figures[name]["model_id"] == bundled
    assert bundled in [row["model_id"] for row in figures["production_seeds"]["seeds"]]
    of_seeds = [seeds.table(figures["seeds"])] if "seeds" in figures else []
    of_year = [year.table(figures["year"])] if "year" in figures else []
    tables = {
        "benchmarks": list(bench.tables(figures["results"]).values()),
        "scale": list(cluster.tables(figures["cluster"]).values()),
        "models": [
            ablation.table(figures["ablation"]),
            expected_accuracy.coverage_table(figures["expected_accuracy"]),
            expected_accuracy.changed_reviews(figures["expected_accuracy"]),
            behavior_areas(Behavior.from_dict(evaluation["behavior"])),
            *of_seeds,
            seeds.table(figures["production_seeds"]),
        ],
        "experiments": [distillation.table(figures["distillation"])],
        "year": of_year,
        "drift": [expected_accuracy.table(figures["expected_accuracy"])],
    }
    for page, expected in tables.items():
        for table in expected:
            for row in table.splitlines()[2:]:
                cells = [
                    re.escape(cell.strip().replace("`", "").replace("...", "…"))
                    for cell in row.split("|")[1:-1]
                ]
                assert re.search(r"\s+".join(cells), shown[page]), row


def test_every_figure_says_what_it_was_measured_with() -> None:
    for file in (CHECKOUT / "benchmarks").glob("*.json"):
        measured = json.loads(file.read_text("utf-8"))["measured"]
        assert set(measured) == {
            "cpu", "cores", "date", "commit", "python", "imdb_classifier", "packages",
        }  # fmt: skip
        assert re.fullmatch(r"[0-9a-f]{40}\+?", measured["commit"])
        assert all(measured["packages"].values())


def test_a_thousand_runs_were_killed() -> None:
    soak = json.loads((CHECKOUT / "benchmarks" / "soak.json").read_text("utf-8"))
    assert sum(way["kills"] for way in soak["ways"].values()) >= 1_000


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded: set[str] = set()
    for page in site.rglob("*.html"):
        tags = re.findall(r"<(?:script|link|img|iframe|source)\b[^>]*>", page.read_text("utf-8"))
        loaded |= {url for tag in tags for url in re.findall(r'(?:src|href)="([^"]*)"', tag)}
    for sheet in site.rglob("*.css"):
        loaded |= set(re.findall(r"(?:url\(|@import )[\"']?([^\"')]+)", sheet.read_text("utf-8")))
    assert loaded
    assert [url for url in loaded if re.match(r"(\w+:)?//", url)] == []
