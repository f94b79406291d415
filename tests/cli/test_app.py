from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from imdb_classifier import __version__
from imdb_classifier.cli.app import root_command
from imdb_classifier.samples import FOLDER
from tests.command_line import CANARY, SAMPLE, Outcome, Run


@pytest.mark.covers("--version")
def test_version_is_printed(run: Run) -> None:
    for before in ([], ["--quiet"]):
        assert run(*before, "--version") == Outcome(0, f"{__version__}\n", "")


def test_help_shows_whole_sentences(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for arguments, summary in (
        ((), "verify Check that scored files are unchanged since they were written; exit code 65 "),
        ((), "undeploy Remove deployments and automations from the Prefect server. quickstart "),
        (("models",), "promote Make a model the champion if it passes every promotion check; exit"),
        (("data",), "fetch Download a published copy of the IMDB reviews into the cache and verif"),
    ):
        shown = run(*arguments, "--help")
        assert (shown.code, shown.err) == (0, "")
        assert summary in " ".join(shown.out.split())
        assert max(map(len, shown.out.splitlines())) <= 80


def test_the_usage_says_what_is_optional() -> None:
    for command in (root_command, *root_command.commands.values()):
        for found in (command, *getattr(command, "commands", {}).values()):
            context = click.Context(found)
            for parameter in found.params:
                usage = parameter.make_metavar(context)
                if isinstance(parameter, click.Argument):
                    assert usage.startswith("[") != parameter.required, usage


def test_shells_complete_paths(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_IMDB_CLASSIFIER_COMPLETE", "bash_complete")
    for words in ("score re", "score in.parquet re", "models list --registry re"):
        monkeypatch.setenv("COMP_WORDS", f"imdb-classifier {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        assert run() == Outcome(0, "file,re\n", "")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["score", "missing.parquet", "out.parquet"], 66, "missing.parquet matches no file"),
        (["score", SAMPLE, "out.parquet", "--text-column", "body"], 65, "--text-column"),
        (["score", SAMPLE, "out.parquet", "--model", "@nobody"], 66, "Known models: @champion"),
        (["score", SAMPLE, "taken.parquet"], 73, "imdb-classifier did not write it"),
        (["score", "broken.parquet", "out.parquet"], 65, "broken.parquet"),
        (["train", "--data", "nowhere"], 66, "There is no nowhere"),
        (["train"], 66, "Do one of the following"),
        (["train", "--recipe", "nope", "--data", FOLDER], 78, "It is 'nope'"),
        (["evaluate", "--model", "nowhere"], 66, "'nowhere' is none of these"),
        (["models", "promote", "--to", "previous"], 66, "@previous"),
        (["models", "promote"], 2, "Give either MODEL or --to previous"),
        (["score", SAMPLE], 2, "OUTPUT"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, list) else None,
)
def test_bad_input_gives_one_clear_error_and_writes_nothing(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str | Path],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.parquet").write_bytes(b"somebody else's")
    Path("broken.parquet").write_bytes(b"PAR1 no parquet PAR1")
    before = sorted(tmp_path.rglob("*"))
    outcome = run(*arguments)
    assert outcome.code == code
    assert text in " ".join(outcome.err.split())
    assert outcome.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert Path("taken.parquet").read_bytes() == b"somebody else's"


def test_an_error_is_one_json_object_too(run: Run) -> None:
    outcome = run("score", "missing.parquet", "out.parquet", "--json")
    assert outcome.json["exit_code"] == outcome.code == 66
    assert "missing.parquet" in outcome.json["error"]


def test_an_unexpected_error_says_where_but_not_what(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("imdb_classifier.scoring.scorer.Scorer.load", fail)
    outcome = run("score", SAMPLE, tmp_path / "out.parquet")
    assert outcome.code == 70
    assert "Unexpected error: RuntimeError" in outcome.err
    assert "cli/commands/batch_commands.py" in outcome.err
    assert CANARY not in outcome.err


def test_a_package_that_cannot_be_imported_is_named_with_the_reason(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ImportError("cannot import name 'schema' from 'onnx'")

    monkeypatch.setattr("imdb_classifier.scoring.scorer.Scorer.load", fail)
    outcome = run("score", SAMPLE, tmp_path / "out.parquet")
    assert outcome.code == 70
    assert "ImportError (cannot import name 'schema' from 'onnx')" in outcome.err


def test_a_click_of_another_kind_is_named_with_the_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def argument(*names: str, metavar: str, **others: str) -> None:
        if "help" in others:
            raise TypeError("unexpected keyword argument 'help'")

    monkeypatch.setattr("click.argument", argument)
    for name in [name for name in sys.modules if name.startswith("imdb_classifier.cli.")]:
        if name.endswith((".app", "_commands", "_command")):
            monkeypatch.delitem(sys.modules, name)
    outcome = run("score", SAMPLE, "out.parquet")
    assert outcome.code == 78
    assert f"click {version('click')} is installed" in outcome.err
    assert "unexpected keyword argument 'help'" in outcome.err
    assert "pip install --upgrade imdb-classifier click" in outcome.err
