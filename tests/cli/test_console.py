from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from imdb_classifier.cli.console import Terminal, with_options
from imdb_classifier.errors import printable
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.samples import FOLDER
from tests.command_line import CANARY, SAMPLE, Run
from tests.model.test_bundle import change_manifest

HOSTILE = [
    "[red]a[link=x]",
    "\x1b[31mb\x1b[0m",
    "c\nError: forged",
    "<script>d",
    "\u202ee",
    ":warning:",
]


@pytest.mark.parametrize("arguments", [("--json",), ()], ids=["json", "table"])
def test_hostile_names_are_shown_as_they_are_and_do_nothing(
    run: Run, registry: Registry, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "in").mkdir()
    for number, name in enumerate(HOSTILE):
        column = "text" if number % 2 else f"t {name}"
        table = pa.table({column: [f"{CANARY} {name}", None]})
        pq.write_table(table, pa.OSFile(bytes(tmp_path / "in" / f"{name}.parquet"), "wb"))
    model = ("--model", "@challenger", "--allow-unapproved")
    command = (tmp_path / "in", tmp_path / "out", *model, *arguments)
    scored, planned = run("score", *command), run("plan", *command)
    # One file fails no more, so that there is something to verify.
    for number, name in enumerate(HOSTILE):
        if number % 2 == 0:
            (tmp_path / "in" / f"{name}.parquet").unlink()
    assert run("score", *command).code == 0
    verified = run("verify", tmp_path / "out", *arguments)
    assert (scored.code, planned.code, verified.code) == (75, 0, 0)
    for outcome in (scored, planned, verified):
        shown = outcome.out + outcome.err
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        assert CANARY not in shown
    forged = [line for line in scored.err.splitlines() if "forged" in line]
    assert forged
    assert all("c\\nError: forged" in line for line in forged)
    for name in HOSTILE:
        shown = f"{printable(name)}.parquet".replace(" ", "")
        assert shown in names_in(scored.out)
        assert shown in names_in(planned.out)
    for name in HOSTILE[::2]:
        assert f"t {printable(name)}" in scored.err


def names_in(shown: str) -> str:
    """The names of files in JSON or in a table's first column, without the spaces and folds."""
    if shown.startswith("{"):
        return " ".join(file["name"] for file in json.loads(shown)["files"]).replace(" ", "")
    rows = [line for line in shown.splitlines() if line.startswith("\u2502")]
    return "".join(line.split("\u2502")[1].replace(" ", "") for line in rows)


@pytest.mark.parametrize("columns", ["80", "40", None])
def test_ids_are_never_folded_or_cut(
    run: Run,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    columns: str | None,
) -> None:
    recipe = "reviews_of_kitchen_appliances_and_of_other_things_too"
    model_id = f"{recipe}-{tiny_bundle.model_hash[:12]}"
    copy = Path(shutil.copytree(tiny_bundle.path, tmp_path / "copy"))

    def rename(manifest: dict[str, Any]) -> None:
        manifest["recipe"]["name"], manifest["model_id"] = recipe, model_id

    change_manifest(copy, rename)
    Registry.at(tmp_path / "registry").register(load_bundle(copy), "{}", "")
    if columns is None:
        monkeypatch.delenv("COLUMNS", raising=False)
    else:
        monkeypatch.setenv("COLUMNS", columns)
    # A console keeps the width that it found first.
    monkeypatch.setattr("imdb_classifier.cli.console.out", Terminal())
    listed = run("models", "list").out
    assert f"│ {model_id} │" in listed
    shown = run("models", "show", model_id).out
    assert model_id in shown.splitlines()
    scored = run("score", SAMPLE, tmp_path / "out.parquet").out
    assert f"scored by {load_bundle(bundled_path()).model_id} (" in scored
    if columns is None:
        assert f"│ @challenger │ {recipe} │" in listed
        assert f"/versions/{model_id} │" in shown


def test_on_a_terminal_there_are_bars(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(stderr=True)
    terminal.console = Console(stderr=True, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr("imdb_classifier.cli.console.err", terminal)
    outcome = run("train", "--data", FOLDER, "--recipe", "tiny", "--json")
    assert outcome.code == 0
    assert "epoch 1/4  loss" in outcome.err
    assert "epoch 4/4  loss" in outcome.err
    for stage in ("36/36", "training steps,", "86/86", "test reviews,"):
        assert stage in outcome.err
    outcome = run("score", SAMPLE, tmp_path / "out.parquet", "--json")
    assert outcome.code == 0
    assert "86/86" in outcome.err


@pytest.mark.parametrize(
    ("library", "command_line"),
    [
        ("Choose another `max_bad_files`.", "Choose another --max-bad-files."),
        ("Use `only=new,stale`.", "Use --only new,stale."),
        ("`output` must be a folder, as `source` is.", "OUTPUT must be a folder, as INPUT is."),
        ("Correct it in `gates`.", "Correct it in --gate."),
        ("List them with `imdb-classifier models list`.",) * 2,
    ],
)
def test_parameters_become_options(library: str, command_line: str) -> None:
    assert with_options(library) == command_line


def test_errors_name_options(run: Run) -> None:
    outcome = run("train", "--recipe", "best", "--json")
    assert outcome.json["error"].endswith("It is 'best'. Choose one of them as `recipe`.")
    assert outcome.err.strip().endswith("It is 'best'. Choose one of them as --recipe.")
