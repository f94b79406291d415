from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from tests.command_line import Run, write_reviews

pytestmark = pytest.mark.usefixtures("loaded_afresh_once")


@pytest.mark.covers("models promote MODEL", "models promote --data", "models promote --json")
def test_a_worse_challenger_is_refused(run: Run, registry: Registry) -> None:
    outcome = run("models", "promote", "@challenger", "--data", FOLDER, "--json")
    assert outcome.code == 3
    assert outcome.json["promote"] is False
    overall = outcome.json["overall"]
    assert overall["challenger_accuracy"] < overall["champion_accuracy"]
    assert "champion" not in registry.aliases()
    shown = run("models", "promote", "@challenger", "--data", FOLDER)
    assert shown.code == 3
    assert "refused (failed:" in " ".join(shown.out.split())
    assert re.search(r"golden scores +. yes +. The exported model loads", shown.out)


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("speed=1", 78),
        ("accuracy", 2),
        ("accuracy=x", 2),
        ("accuracy=90", 78),
        ("shop.accuracy=1", 78),
    ],
)
def test_what_is_no_gate(run: Run, registry: Registry, gate: str, code: int) -> None:
    assert run("models", "promote", "@challenger", "--gate", gate).code == code


@pytest.mark.covers(
    "models promote --gate",
    "models promote --gate-on",
    "models promote --label-map",
    "models promote --reference",
    "models promote --to",
)
def test_promotion_and_roll_back(
    run: Run,
    registry: Registry,
    tiny_bundle: Bundle,
    twins: list[Bundle],
    stars: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOGNAME", "ada")
    twin = registry.register(twins[0], "{}", "").model_id
    registry.promote(twin)
    gates = [f"--gate={name}" for name in ("accuracy=0.5", "log_loss=1", "calibration_error=1")]
    promote = ("models", "promote", tiny_bundle.model_id, "--data", FOLDER)
    own = ("--gate-on", f"shop={stars}", "--label-map", "1=negative,5=positive")
    refused = run(*promote, *gates, f"--reference={twin}", *own, "--gate=shop.accuracy=1")
    assert refused.code == 3
    assert "refused (failed: own set shop: accuracy)" in " ".join(refused.out.split())
    outcome = run(*promote, *gates, f"--reference={twin}", *own, "--json")
    assert outcome.code == 0
    assert outcome.json["own_sets"][0]["champion"]["rows"] == 120
    assert outcome.json["champion"] == twin
    decision = registry.decision(tiny_bundle.model_id)
    assert decision is not None
    assert decision["requested_by"] == {"user": "ada"}
    again = run(*promote, "--gate=accuracy=1", "--json")
    assert again.code == 0
    assert again.json["reason"] == (
        f"{tiny_bundle.model_id} is the champion already; nothing was decided."
    )
    assert registry.decision(tiny_bundle.model_id) == decision
    back = run("models", "promote", "--to", "previous", "--json")
    assert back.json == {"promote": True, "champion": twin, "previous": tiny_bundle.model_id}
    record = Path(registry.root, "versions", f"{twin}.rollback.json")
    assert json.loads(record.read_bytes())["requested_by"] == {"user": "ada"}
    assert registry.champion_id() == twin
    assert registry.aliases()["previous"] == tiny_bundle.model_id


@pytest.mark.parametrize(
    "option",
    [
        "--gate=accuracy=0.9",
        "--batch=b",
        "--text-column=body",
        "--reference=tiny",
        "--gate-on=shop=s",
        "--label-map=5=positive",
        "--data=keras",
    ],
)
def test_a_roll_back_takes_no_options_of_a_check(
    run: Run, other_registry: Registry, option: str
) -> None:
    before = other_registry.aliases()
    outcome = run(
        *("models", "promote", "--to", "previous", option, "--registry", other_registry.root)
    )
    assert outcome.code == 2
    assert "--to previous makes no checks" in " ".join(outcome.err.split())
    assert other_registry.aliases() == before


@pytest.mark.covers("models list --registry", "models list --json")
def test_the_versions_of_another_registry(run: Run, other_registry: Registry) -> None:
    listed = run("models", "list", "--registry", other_registry.root, "--json").json
    assert listed["registry"] == other_registry.root
    assert {model["recipe"]: model["aliases"] for model in listed["models"]} == {
        "tiny": ["champion", "challenger"],
        "production": ["previous"],
    }


def test_versions_without_a_decision_are_named(run: Run, registry: Registry) -> None:
    version = registry.aliases()["challenger"]
    assert [model["undecided"] for model in run("models", "list", "--json").json["models"]].count(
        True
    ) == 1
    said = f"Without a promotion decision: {version}. Decide with `imdb-classifier models promote"
    assert said in run("models", "list").err
    registry.record(version, {"promote": False})
    assert "promotion decision" not in run("models", "list").err


@pytest.mark.covers("models show --registry", "models show --json")
def test_a_version_of_another_registry(run: Run, other_registry: Registry) -> None:
    shown = run("models", "show", "@champion", "--registry", other_registry.root, "--json").json
    assert shown["id"] == other_registry.aliases()["champion"]


@pytest.mark.covers(
    "models promote --batch", "models promote --text-column", "models promote --registry"
)
def test_labels_that_change_in_a_batch_of_another_registry(
    run: Run, other_registry: Registry, tmp_path: Path
) -> None:
    write_reviews(tmp_path / "batch.parquet", ["A wonderful film.", "A dull film."], "body")
    command = ("models", "promote", other_registry.aliases()["previous"], "--data", FOLDER)
    batch = ("--batch", tmp_path / "batch.parquet", "--text-column", "body")
    decision = run(*command, *batch, "--registry", other_registry.root, "--json").json
    assert decision["champion"] == other_registry.aliases()["champion"]
    assert decision["label_changes"]["rows"] == 2


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json"])
def test_a_damaged_version_is_listed_with_what_is_wrong(
    run: Run, registry: Registry, name: str
) -> None:
    damaged = registry.load("@challenger")
    os.truncate(damaged.path / name, 100)
    outcome = run("models", "list", "--json")
    assert outcome.code == 0
    intact, listed = outcome.json["models"]
    assert (intact["recipe"], intact["damaged"]) == ("production", None)
    assert (listed["id"], listed["aliases"]) == (damaged.model_id, ["challenger"])
    assert f"{name} does not match its SHA-256 checksum" in listed["damaged"]
    outcome = run("models", "list")
    assert re.search(rf"{damaged.model_id} +. @challenger +. damaged", outcome.out)
    assert f"Warning: {damaged.model_id} is damaged. The files of a model" in outcome.err


@pytest.mark.covers(
    "models prune --dry-run",
    "models prune --registry",
    "models prune --json",
)
def test_old_versions_are_pruned(run: Run, other_registry: Registry) -> None:
    refused = other_registry.aliases()["champion"]
    other_registry.record(refused, {"promote": False})
    for alias in ("champion", "challenger"):
        (Path(other_registry.root) / alias).unlink()
    (other_registry.work / "tiny-1-abandoned" / "checkpoints").mkdir(parents=True)
    left = Path(other_registry.root, "versions", ".tiny-0123456789ab.7.unfinished")
    left.mkdir()
    os.utime(left, ns=(0, 0))
    command = ("models", "prune", "--registry", other_registry.root)
    assert run(*command, "--keep", "2", "--dry-run", "--json").json["pruned"] == []
    would = run(*command, "--keep", "0", "--dry-run", "--json").json
    assert (would["pruned"], would["leftovers"]) == ([refused], [left.name])
    assert refused in other_registry.ids()
    shown = run(*command, "--keep", "0")
    assert "Deleted: 1 version, 1 training, 1 leftover of" in " ".join(shown.out.split())
    assert re.search(r"tiny-1-abandoned +. training", shown.out)
    assert refused not in other_registry.ids()
    assert not left.exists()
    assert run(*command).code == run(*command, "--keep", "-1").code == 2
