from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from imdb_classifier import __version__
from imdb_classifier.errors import printable
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.jobs import evaluate_bundle, register_bundle
from imdb_classifier.registry.versions import CHAMPION, Registry
from imdb_classifier.samples import FOLDER
from tests.command_line import Outcome, Run

SAMPLE = FOLDER / "test-00000-of-00001.parquet"
CANARY = "xylophone canary of a review"


@pytest.fixture(scope="module")
def evaluation(tiny_bundle: Bundle) -> Evaluation:
    return evaluate_bundle(tiny_bundle, str(FOLDER))[0]


@pytest.fixture
def registry(tiny_bundle: Bundle, evaluation: Evaluation, tmp_path: Path) -> Registry:
    """The registry of `run`, with the tiny model as its challenger."""
    registry = Registry.at(tmp_path / "registry")
    register_bundle(tiny_bundle, evaluation, registry)
    return registry


def test_version_is_printed(run: Run) -> None:
    assert run("--version") == Outcome(0, f"{__version__}\n", "")


def test_score_puts_a_table_on_standard_output(run: Run, tmp_path: Path) -> None:
    outcome = run("score", SAMPLE, tmp_path / "scored.parquet")
    assert outcome.code == 0
    assert "86" in outcome.out
    assert outcome.err.startswith("The batch is unlike the reviews that the model was checked on: ")
    assert "lengths +" in outcome.err
    scored = pq.read_table(tmp_path / "scored.parquet")
    assert scored.column_names[-2:] == ["sentiment_label", "sentiment_probability"]


def test_json_is_the_only_thing_on_standard_output(run: Run, tmp_path: Path) -> None:
    outcome = run("score", FOLDER, tmp_path / "scored", "--json")
    assert outcome.code == 0
    assert outcome.json["totals"]["rows"] == 264
    assert [file["status"] for file in outcome.json["files"]] == ["scored", "scored"]
    assert (tmp_path / "scored" / "_SUCCESS").exists()
    drift = json.loads((tmp_path / "scored" / "_DRIFT.json").read_text())
    assert drift == outcome.json["drift"]
    assert (drift["rows"], drift["batch"]["without_text"]) == (264, 0)


def test_limits_of_drift(run: Run, tmp_path: Path) -> None:
    limits = ("lengths=9", "scores=9", "positive=1", "truncated=1")
    options = [part for limit in limits for part in ("--drift-limit", limit)]
    outcome = run("score", FOLDER, tmp_path / "scored", *options)
    assert (outcome.code, outcome.err) == (0, "")
    assert run("score", FOLDER, tmp_path / "scored", "--drift-limit", "colour=1").code == 78
    assert run("score", FOLDER, tmp_path / "scored", "--drift-limit", "scores").code == 2


def test_score_takes_column_and_prefix(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in.parquet"
    pq.write_table(pa.table({"body": ["A wonderful film", None]}), source)
    target = tmp_path / "out.parquet"
    assert run("score", source, target, "--text-column", "body", "--prefix", "mood_").code == 0
    scored = pq.read_table(target)
    assert scored.column_names == ["body", "mood_label", "mood_probability"]
    assert scored["mood_label"].null_count == 1


def test_one_bad_file_does_not_stop_the_others(run: Run, tmp_path: Path) -> None:
    source = tmp_path / "in"
    shutil.copytree(FOLDER, source, ignore=shutil.ignore_patterns("*.py", "*.toml", "__pycache__"))
    (source / "broken.parquet").write_bytes(b"PAR1 no parquet PAR1")
    outcome = run("score", source, tmp_path / "out", "--json")
    assert outcome.code == 75
    assert outcome.json["totals"]["failed"] == 1
    assert "broken.parquet" in outcome.err
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    (source / "broken.parquet").unlink()
    outcome = run("score", source, tmp_path / "out", "--json")
    assert outcome.code == 0
    assert [file["status"] for file in outcome.json["files"]] == ["reused", "reused"]


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["score", "missing.parquet", "out.parquet"], 66, "missing.parquet matches no file"),
        (["score", SAMPLE, "out.parquet", "--text-column", "body"], 65, "--text-column"),
        (["score", SAMPLE, "out.parquet", "--model", "@nobody"], 66, "Known: @champion"),
        (["score", SAMPLE, "taken.parquet"], 73, "imdb-classifier did not write it"),
        (["score", "broken.parquet", "out.parquet"], 65, "broken.parquet"),
        (["train", "--data", "nowhere"], 66, "There is no nowhere"),
        (["train"], 66, "Three ways out"),
        (["train", "--recipe", "nope", "--data", FOLDER], 78, "'nope' is not among"),
        (["evaluate", "--model", "nowhere"], 66, "'nowhere' is none of these"),
        (["models", "promote", "--to", "previous"], 66, "@previous"),
        (["models", "promote"], 2, "Name either a MODEL, or --to previous"),
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
    assert text in " ".join(outcome.err.replace("│", " ").split())
    assert outcome.out == ""
    assert sorted(tmp_path.rglob("*")) == before
    assert Path("taken.parquet").read_bytes() == b"somebody else's"


def test_an_error_is_one_json_object_too(run: Run) -> None:
    outcome = run("score", "missing.parquet", "out.parquet", "--json")
    assert outcome.json["exit_code"] == outcome.code == 66
    assert "missing.parquet" in outcome.json["error"]


def test_a_damaged_bundle_is_refused(run: Run, tiny_bundle: Bundle, tmp_path: Path) -> None:
    damaged = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.path, damaged)
    model = bytearray((damaged / "model.onnx").read_bytes())
    model[1000] ^= 1
    (damaged / "model.onnx").write_bytes(model)
    outcome = run("score", SAMPLE, tmp_path / "out.parquet", "--model", damaged)
    assert outcome.code == 65
    assert "model.onnx does not have its SHA-256 sum" in outcome.err
    assert not (tmp_path / "out.parquet").exists()


def test_an_unforeseen_error_says_where_but_not_what(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr("imdb_classifier.scoring.scorer.Scorer.load", fail)
    outcome = run("score", SAMPLE, tmp_path / "out.parquet")
    assert outcome.code == 70
    assert "Internal error: RuntimeError" in outcome.err
    assert "cli/batch_commands.py" in outcome.err
    assert CANARY not in outcome.err


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
    command = (tmp_path / "in", tmp_path / "out", "--model", "@challenger", *arguments)
    scored, planned = run("score", *command, "--undecided"), run("plan", *command)
    # One file fails no more, so that there is something to verify.
    for number, name in enumerate(HOSTILE):
        if number % 2 == 0:
            (tmp_path / "in" / f"{name}.parquet").unlink()
    assert run("score", *command, "--undecided").code == 0
    verified = run("verify", tmp_path / "out", *arguments)
    assert (scored.code, planned.code, verified.code) == (75, 0, 0)
    for outcome in (scored, planned, verified):
        shown = outcome.out + outcome.err
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
        assert CANARY not in shown
    assert not [line for line in scored.err.splitlines() if "fake" in line and "c\\n" not in line]
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


def test_on_a_terminal_there_are_bars(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Console(stderr=True, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr("imdb_classifier.cli.console.err", terminal)
    monkeypatch.setattr("imdb_classifier.cli.training_commands.err", terminal)
    outcome = run("train", "--data", FOLDER, "--recipe", "tiny", "--json")
    assert outcome.code == 0
    assert "epoch 1/4  loss" in outcome.err
    assert "epoch 4/4  loss" in outcome.err
    assert "9/9" in outcome.err
    outcome = run("score", SAMPLE, tmp_path / "out.parquet", "--json")
    assert outcome.code == 0
    assert "86/86" in outcome.err


def test_train_registers_a_challenger_with_its_report(run: Run, tmp_path: Path) -> None:
    outcome = run("train", "--data", FOLDER, "--recipe", "tiny", "--seed", "7", "--json")
    assert outcome.code == 0
    model_id = outcome.json["model_id"]
    assert outcome.json["evaluation"]["rows"] == 86
    assert "epoch 4/4" in outcome.err
    assert "lstm (LSTM)" in outcome.err
    registry = Registry.at(tmp_path / "registry")
    assert registry.aliases() == {"challenger": model_id}
    assert Path(outcome.json["report"]["report.html"]).is_file()
    assert list(registry.work.iterdir()) == []

    listed = run("models", "list", "--json").json["models"]
    assert [(model["recipe"], model["aliases"]) for model in listed] == [
        ("tiny", ["challenger"]),
        ("production", ["champion"]),
    ]
    shown = run("models", "show", "@challenger", "--json").json
    assert shown["manifest"]["seed"] == 7
    assert shown["evaluation"] == outcome.json["evaluation"]


def test_a_worse_challenger_is_refused(run: Run, registry: Registry) -> None:
    outcome = run("models", "promote", "@challenger", "--data", FOLDER, "--json")
    assert outcome.code == 3
    assert outcome.json["promote"] is False
    overall = outcome.json["overall"]
    assert overall["challenger_accuracy"] < overall["champion_accuracy"]
    assert "champion" not in registry.aliases()
    shown = run("models", "promote", "@challenger", "--data", FOLDER)
    assert shown.code == 3
    assert "refused, because of" in " ".join(shown.out.split())
    assert re.search(r"golden scores +. yes +. A fresh process loads", shown.out)


def test_a_version_that_is_not_decided_does_not_score(
    run: Run, registry: Registry, tmp_path: Path
) -> None:
    command = ("score", SAMPLE, tmp_path / "out.parquet", "--model", "@challenger")
    outcome = run(*command)
    assert outcome.code == 78
    assert "or score with it anyway with --undecided" in outcome.err
    assert not (tmp_path / "out.parquet").exists()
    assert run(*command, "--undecided").code == 0


def test_there_is_nothing_to_learn_twice_unless_forced(run: Run, registry: Registry) -> None:
    # The model in the registry was trained just so.
    command = ("train", "--data", FOLDER, "--recipe", "tiny", "--seed", "7", "--json")
    outcome = run(*command)
    assert outcome.code == 0
    assert outcome.json["model_id"] == registry.aliases()["challenger"]
    assert outcome.json["evaluation"]["rows"] == 86
    assert "nothing to learn. Change one of them, or say --force" in outcome.err
    assert "epoch" not in outcome.err
    forced = run(*command, "--force")
    assert forced.json["model_id"] == outcome.json["model_id"]
    assert "epoch 4/4" in forced.err


@pytest.mark.parametrize(("gate", "code"), [("speed=1", 78), ("accuracy", 2), ("accuracy=x", 2)])
def test_what_is_no_gate(run: Run, registry: Registry, gate: str, code: int) -> None:
    assert run("models", "promote", "@challenger", "--gate", gate).code == code


def test_promotion_and_roll_back(run: Run, registry: Registry, tiny_bundle: Bundle) -> None:
    bundled = registry.load(CHAMPION).model_id
    registry.promote("@challenger")
    # A champion is not worse than itself.
    gates = [f"--gate={name}" for name in ("accuracy=0.5", "log_loss=1", "calibration_error=1")]
    promote = ("models", "promote", tiny_bundle.model_id, "--data", FOLDER)
    outcome = run(*promote, *gates, "--json")
    assert outcome.code == 0
    assert outcome.json["champion"] == tiny_bundle.model_id
    assert run("models", "promote", "--to", "previous", "--json").json["champion"] == bundled
    assert registry.load(CHAMPION).model_id == bundled
    assert registry.aliases()["previous"] == tiny_bundle.model_id


def test_evaluate_writes_a_report_without_texts_unless_asked(run: Run, tmp_path: Path) -> None:
    texts = pq.read_table(SAMPLE)["text"].to_pylist()
    assert run("evaluate", "--data", FOLDER, "--output", tmp_path / "report").code == 0
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert not any(text[:25] in page for text in texts)
    outcome = run("evaluate", "--data", FOLDER, "--output", tmp_path / "texts", "--with-texts")
    assert outcome.code == 0
    assert any(text[:25] in (tmp_path / "texts" / "report.html").read_text() for text in texts)


def test_data_says_what_is_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMDB_CLASSIFIER_DATA", str(FOLDER))
    sources = run("data", "--json").json["sources"]
    assert [(source["source"], source["state"]) for source in sources] == [
        ("IMDB_CLASSIFIER_DATA", "configured"),
        ("keras", "missing"),
        ("aclimdb", "missing"),
    ]


def test_scoring_loads_no_heavy_package(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from imdb_classifier import cli\n"
        "try:\n    cli.main()\nexcept SystemExit as ended:\n    assert not ended.code\n"
        "heavy = {'tensorflow', 'keras', 'prefect', 'sklearn', 'matplotlib', 'jinja2'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    arguments = ["score", str(SAMPLE), str(tmp_path / "out.parquet")]
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
