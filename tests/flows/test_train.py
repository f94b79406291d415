from __future__ import annotations

import json
import re
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

from imdb_classifier import tasks
from imdb_classifier.errors import CannotWriteError
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline.train import plan_training, train_bundle
from imdb_classifier.registry.training_runs import training_run
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.samples import FOLDER
from tests.crafted import leave_trained

TRAIN = "flows/train.py:train_imdb"
SCORE = "flows/score.py:score_parquet"
EVALUATE = "flows/evaluate.py:evaluate_imdb"


pytestmark = pytest.mark.usefixtures("loaded_afresh_once")

NO_ENGLISH = {"behavior_lost": 1.0}
"""Gates for models of a made-up language, which can do less of what the bundled model can."""


def _write_made_up(folder: Path, positive: str, negative: str) -> str:
    """Reviews in a language of two words, which no other model knows and a tiny one learns."""
    folder.mkdir()
    labels = pa.array([0, 1] * 200, pa.int8())
    texts = [
        f"{positive if label else negative} film {row % 7}"
        for row, label in enumerate([0, 1] * 200)
    ]
    pq.write_table(pa.table({"text": texts, "label": labels}), folder / "train-0.parquet")
    tests = pa.table({"text": ["zork film", "quux film"] * 20, "label": pa.array([1, 0] * 20)})
    pq.write_table(tests, folder / "test-0.parquet")
    return str(folder)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("made-up")
    right = _write_made_up(folder / "right", positive="zork", negative="quux")
    return right, _write_made_up(folder / "wrong", positive="quux", negative="zork")


@pytest.fixture(scope="module")
def promoted(
    server: Any, made_up: tuple[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Registry, Any, Any]:
    """A registry whose champion was trained by the flow, and that run."""
    root = tmp_path_factory.mktemp("registry")
    parameters = {"data": made_up[0], "recipe": "tiny", "seed": 3, "registry": str(root)}
    state, run = server.flow_run(TRAIN, **parameters, gates=NO_ENGLISH)
    return Registry.at(root), state, run


@pytest.fixture(scope="module")
def right_model(promoted: tuple[Registry, Any, Any]) -> Bundle:
    """The model of `promoted`."""
    registry, state, _ = promoted
    return registry.load(state.result()["challenger"])


@pytest.fixture(scope="module")
def wrong_model(made_up: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return train_bundle(made_up[1], "tiny", 3, tmp_path_factory.mktemp("wrong"))


def test_the_sample_does_not_beat_the_bundled_model(
    server: Any, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    registry, seed = Registry.at(tmp_path), tiny_bundle.manifest["seed"]
    leave_trained(tiny_bundle, str(FOLDER), registry)
    _, run = server.flow_run(
        TRAIN, data=str(FOLDER), recipe="tiny", seed=seed, registry=str(tmp_path)
    )

    seen = server.get(f"/flow_runs/{run}")
    (version,) = registry.ids()
    assert seen["name"] == f"train with seed {seed} (refused): {version}"
    assert sorted(seen["tags"]) == [version, "train"]
    assert (seen["state"]["type"], seen["state"]["name"]) == ("COMPLETED", "NotPromoted")
    assert ": refused (failed: " in seen["state"]["message"]
    assert registry.aliases() == {"challenger": version}
    assert not [*(tmp_path / "work").glob("*")]
    (report,) = (tmp_path / "reports" / version).iterdir()
    assert sorted(path.name for path in report.iterdir()) == [
        "evaluation.json",
        "report.html",
        "report.md",
    ]
    evaluation = server.artifact(run, "imdb-evaluation")
    assert evaluation["data"] == (report / "report.md").read_text()
    decided = registry.decision(version)
    assert decided is not None
    assert (decided["promote"], decided["overall"]["rows"]) == (False, 86)
    assert decided["requested_by"] == {"flow": "train-imdb", "flow_run": str(run)}
    share = f"{decided['overall']['challenger_accuracy']:.1%}"
    assert evaluation["description"] == (
        f"{version} labels {share} of 86 test rows correctly. "
        f"[Report with plots]({(report / 'report.html').as_uri()}): {report}"
    )
    promotion = server.artifact(run, "imdb-promotion")
    change = decided["overall"]["challenger_accuracy"] - decided["overall"]["champion_accuracy"]
    verdict = f"refused: {share}, {100 * change:+.1f} points. Stored in "
    assert promotion["description"].startswith(verdict)
    verdict = promotion["data"]
    assert verdict.startswith(f"# Refused: {version}\n")
    (event,) = server.events(run, 1)
    assert event["event"] == "imdb-classifier.model.refused"
    assert event["resource"]["prefect.resource.id"] == f"imdb-classifier.model.{version}"
    failed = event["payload"]["failed_checks"]
    assert failed
    assert all(f"| {name} | **no** |" in verdict for name in failed)


def test_a_better_model_becomes_champion(server: Any, promoted: tuple[Registry, Any, Any]) -> None:
    registry, _, run = promoted
    bundled = load_bundle(bundled_path()).model_id
    (version,) = set(registry.ids()) - {bundled}
    seen = server.get(f"/flow_runs/{run}")["state"]
    assert (seen["type"], seen["name"]) == ("COMPLETED", "Completed")
    assert seen["message"].startswith(f"Challenger {version} labels 100.00% of 40 test rows")
    assert registry.aliases()["champion"] == version
    assert registry.aliases()["previous"] == bundled
    (event,) = server.events(run, 1)
    assert event["event"] == "imdb-classifier.model.promoted"
    assert event["payload"] == {
        "champion": registry.aliases()["previous"],
        "accuracy": 1.0,
        # It knows neither word, so all reviews get one label of it.
        "champion_accuracy": 0.5,
        "rows": 40,
        "failed_checks": [],
    }


def test_every_stage_is_seen_in_the_log_and_as_progress_of_the_flow_run(
    server: Any, promoted: tuple[Registry, Any, Any]
) -> None:
    registry, _, run = promoted
    messages = [line["message"] for line in server.logs(run)]
    epochs = [message.split("  ")[0] for message in messages if message.startswith("epoch ")]
    assert epochs == ["epoch 1/4", "epoch 2/4", "epoch 3/4", "epoch 4/4"]
    bars = [artifact for artifact in server.artifacts(run) if artifact["type"] == "progress"]
    assert {bar["description"].split(",")[0] for bar in bars} == {
        "88 of 88 training steps",
        "40 of 40 test reviews",
        *(
            f"40 of 40 test reviews scored by {registry.aliases()[alias]}"
            for alias in ("champion", "previous")
        ),
    }
    assert {(bar["key"], bar["task_run_id"], float(bar["data"])) for bar in bars} == {
        (None, None, 100.0)
    }
    (training,) = [bar for bar in bars if "training" in bar["description"]]
    assert re.fullmatch(r"88 of 88 training steps, .* a (second|minute)", training["description"])


def test_a_worse_model_does_not(
    server: Any, promoted: tuple[Registry, Any, Any], made_up: tuple[str, str], wrong_model: Bundle
) -> None:
    registry = promoted[0]
    champion = registry.aliases()["champion"]
    leave_trained(wrong_model, made_up[1], registry)
    state, _ = server.flow_run(
        TRAIN, data=made_up[1], recipe="tiny", seed=3, registry=str(registry.root)
    )
    assert state.name == "NotPromoted"
    assert state.result()["challenger_accuracy"] == 0.0
    assert registry.aliases()["champion"] == champion
    assert registry.aliases()["challenger"] != champion


@pytest.mark.covers(
    "train-imdb:data",
    "train-imdb:force",
    "train-imdb:recipe",
    "train-imdb:registry",
    "train-imdb:seed",
)
def test_there_is_nothing_to_learn_twice_unless_forced(
    server: Any, promoted: tuple[Registry, Any, Any], made_up: tuple[str, str]
) -> None:
    registry = promoted[0]
    parameters = {"data": made_up[0], "recipe": "tiny", "seed": 3, "registry": registry.root}
    state, run = server.flow_run(TRAIN, **parameters)
    assert (state.type.value, state.name) == ("COMPLETED", "NothingToLearn")
    assert state.result() == {"model_id": registry.aliases()["champion"]}
    assert not any(line["message"].startswith("epoch ") for line in server.logs(run))
    state, run = server.flow_run(TRAIN, **parameters, force=True, gates={"accuracy": 1.0})
    assert any(line["message"].startswith("epoch ") for line in server.logs(run))
    assert state.name == "Completed"


@pytest.mark.covers(
    "train-imdb:batch",
    "train-imdb:extra_train",
    "train-imdb:gate_on",
    "train-imdb:reference",
    "train-imdb:text_column",
)
def test_further_reviews_and_a_batch(
    server: Any, made_up: tuple[str, str], tiny_bundle: Bundle, shop: Path, tmp_path: Path
) -> None:
    own, batch = tmp_path / "own.parquet", tmp_path / "batch.parquet"
    pq.write_table(pa.table({"text": ["zork", "quux"], "label": [1, 0]}), own)
    pq.write_table(pa.table({"body": ["zork film"]}), batch)
    state, _ = server.flow_run(
        TRAIN,
        data=made_up[0],
        recipe="tiny",
        registry=str(tmp_path),
        extra_train=[str(own)],
        batch=str(batch),
        text_column="body",
        reference=str(tiny_bundle.path),
        gate_on={"shop": str(shop)},
        gates={"shop.accuracy": 1},
    )
    registry, model = Registry.at(tmp_path), state.result()["challenger"]
    assert registry.load(model).manifest["data"]["rows"] == 402
    decision = registry.decision(model)
    assert decision is not None
    assert decision["label_changes"]["rows"] == 1
    assert decision["reference"]["name"] == f"reference {tiny_bundle.model_id}"
    # The model knows two words that are not in use in the shop.
    assert "own set shop: accuracy, own set shop" in state.message
    evaluated = registry.load(model).evaluation
    assert evaluated is not None
    assert [own["name"] for own in evaluated["own_sets"]] == ["shop"]
    report = Path(state.result()["report"], "report.html").read_text("utf-8")
    assert "<h2>Your own sets</h2>" in report


@pytest.mark.covers(
    "train-imdb:gates",
    "score-parquet:model",
    "score-parquet:registry",
    "score-parquet:allow_unapproved",
)
def test_a_gate_of_ones_own_refuses(
    server: Any, made_up: tuple[str, str], right_model: Bundle, tmp_path: Path
) -> None:
    leave_trained(right_model, made_up[0], Registry.at(tmp_path))
    parameters = {"data": made_up[0], "recipe": "tiny", "seed": 3, "registry": str(tmp_path)}
    state, _ = server.flow_run(TRAIN, **parameters, gates={**NO_ENGLISH, "log_loss": 0.0})
    assert state.name == "NotPromoted"
    assert state.message.endswith(": refused (failed: log loss).")
    model = state.result()["challenger"]
    scoring = {"source": str(FOLDER), "output": str(tmp_path / "out"), "registry": str(tmp_path)}
    state, _ = server.flow_run(SCORE, **scoring, model=model)
    assert state.is_failed()
    assert (
        f"{model} has not passed them. Run `imdb-classifier models promote {model}`"
        in state.message
    )
    state, _ = server.flow_run(SCORE, **scoring, model=model, allow_unapproved=True)
    assert state.is_completed()


def test_a_killed_run_goes_on_from_its_checkpoints(
    server: Any, made_up: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = {"data": made_up[0], "recipe": "tiny", "seed": 4, "registry": str(tmp_path)}

    def killed(*_: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr("imdb_classifier.pipeline.train.write_bundle", killed)
        state, _ = server.flow_run(TRAIN, **parameters)
    assert state.is_failed()
    (folder,) = (tmp_path / "work").iterdir()
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]

    state, run = server.flow_run(TRAIN, **parameters)
    assert state.is_completed()
    assert not any(line["message"].startswith("epoch ") for line in server.logs(run))
    assert not [*(tmp_path / "work").glob("*")]


def test_a_registry_that_cannot_be_written_is_named_before_training(
    server: Any, made_up: tuple[str, str]
) -> None:
    state, run = server.flow_run(
        TRAIN, data=made_up[0], recipe="tiny", registry="/proc/nobody/registry"
    )
    assert state.is_failed()
    assert "Writing to /proc/nobody/registry failed" in state.message
    (checked,) = server.filter("task_runs", flow_runs={"id": {"any_": [str(run)]}})
    assert checked["name"].startswith("check-promotion")


def test_a_version_that_a_killed_run_left_undecided_is_decided(
    server: Any, made_up: tuple[str, str], tmp_path: Path
) -> None:
    program = (
        "import os, signal, sys\n"
        "from imdb_classifier.pipeline import promote\n"
        "promote.decide_promotion = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from imdb_classifier.flows.train import train_imdb\n"
        "train_imdb(sys.argv[1], 'tiny', 3, registry=sys.argv[2])\n"
    )
    root = tmp_path / "registry"
    ran = server.run(["-c", program, made_up[0], str(root)], tmp_path)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    assert (ran.stdout + ran.stderr).count("epoch 1/4") == 1
    registry = Registry.at(root)
    (version,) = registry.ids()
    assert registry.is_undecided(version)

    parameters = {"data": made_up[0], "recipe": "tiny", "seed": 3, "registry": str(root)}
    state, run = server.flow_run(TRAIN, **parameters, gates=NO_ENGLISH)
    assert state.name == "Completed"
    assert registry.aliases()["champion"] == version
    assert not registry.is_undecided(version)
    assert not any(line["message"].startswith("epoch ") for line in server.logs(run))
    assert not [*(root / "work").glob("*")]


@pytest.mark.covers("train-imdb:keep")
def test_old_versions_are_pruned(
    server: Any,
    made_up: tuple[str, str],
    twins: list[Bundle],
    wrong_model: Bundle,
    tmp_path: Path,
) -> None:
    registry = Registry.at(tmp_path)
    old = []
    for twin in twins:
        old.append(registry.register(twin, "{}", "").model_id)
        registry.record(old[-1], {"promote": False})
    leave_trained(wrong_model, made_up[1], registry)
    parameters = {"data": made_up[1], "recipe": "tiny", "seed": wrong_model.manifest["seed"]}
    state, _ = server.flow_run(TRAIN, **parameters, registry=str(tmp_path), keep=1)
    assert state.name == "NotPromoted"
    assert sorted(state.result()["pruned"]) == sorted(old)
    assert registry.ids() == [state.result()["challenger"]]


def test_a_model_stays_promoted_if_old_versions_cannot_be_deleted(
    server: Any,
    made_up: tuple[str, str],
    right_model: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: object) -> None:
        raise CannotWriteError("The registry must be writable.", "It is not.", "Change that.")

    monkeypatch.setattr("imdb_classifier.tasks.model_tasks.prune", refused)
    leave_trained(right_model, made_up[0], Registry.at(tmp_path))
    parameters = {"data": made_up[0], "recipe": "tiny", "seed": 3, "registry": str(tmp_path)}
    state, _ = server.flow_run(TRAIN, **parameters, keep=1, gates=NO_ENGLISH)
    assert (state.type.value, state.name) == ("COMPLETED", "Completed")
    assert state.message.startswith("Challenger ")
    assert state.message.endswith(
        ": promoted. Old versions were not all deleted: The registry must be writable. It is not. "
        "Change that."
    )
    assert Registry.at(tmp_path).champion_id() == state.result()["challenger"]


def test_a_second_training_of_the_same_model_is_refused(
    server: Any, made_up: tuple[str, str], tmp_path: Path
) -> None:
    registry = Registry.at(tmp_path)
    run = plan_training(made_up[0], "tiny", 3, registry).run
    with training_run(registry.work, run):
        state, _ = server.flow_run(
            TRAIN, data=made_up[0], recipe="tiny", seed=3, registry=str(tmp_path)
        )
    assert state.is_failed()
    assert f"Another run is training {run}. Wait until it has finished" in state.message


@pytest.mark.covers(
    "evaluate-imdb:data",
    "evaluate-imdb:gate_on",
    "evaluate-imdb:model",
    "evaluate-imdb:output",
    "evaluate-imdb:registry",
)
def test_evaluating_a_version(
    server: Any,
    promoted: tuple[Registry, Any, Any],
    made_up: tuple[str, str],
    shop: Path,
    tmp_path: Path,
) -> None:
    registry = promoted[0]
    _, run = server.flow_run(
        EVALUATE,
        model="@previous",
        data=made_up[0],
        registry=registry.root,
        output=str(tmp_path / "report"),
        gate_on={"shop": str(shop)},
    )
    seen = server.get(f"/flow_runs/{run}")
    version = registry.aliases()["previous"]
    assert seen["name"] == f"evaluate {version}"
    assert seen["state"]["message"] == (
        f"{version} labels 50.00% of 40 test rows correctly. Report: {tmp_path / 'report'}"
    )
    published = server.artifact(run, "imdb-evaluation")["data"]
    assert published == (tmp_path / "report" / "report.md").read_text()
    assert published.startswith(f"# Evaluation of {version}")
    assert "| shop | 120 of 120 | 0 |" in published


def test_an_evaluation_on_other_reviews_keeps_the_first_report(
    server: Any, made_up: tuple[str, str], tmp_path: Path
) -> None:
    reports = []
    for data in (made_up[0], str(FOLDER), made_up[0]):
        state, _ = server.flow_run(EVALUATE, data=data, registry=str(tmp_path))
        reports.append(Path(state.result()["report"]))
    assert reports[0] == reports[2] != reports[1]
    rows = [json.loads((report / "evaluation.json").read_bytes())["rows"] for report in reports]
    assert rows == [40, 86, 40]


def test_missing_reviews_name_the_way_out(server: Any, tmp_path: Path) -> None:
    state, run = server.flow_run(TRAIN, data=str(tmp_path / "none"), registry=str(tmp_path))
    message = server.get(f"/flow_runs/{run}")["state"]["message"]
    assert message.endswith(
        f"There is no {tmp_path / 'none'}. Check `data`, `extra_train`, `gate_on` or "
        "IMDB_CLASSIFIER_DATA."
    )
    assert state.result(raise_on_failure=False).exit_code == 66


def test_tasks_leave_nothing_for_prefect_to_keep() -> None:
    for name in tasks.__all__:
        task = getattr(tasks, name)
        if isinstance(task, Task):
            assert task.persist_result is False, name
            assert task.cache_policy == NO_CACHE, name
            assert "_" not in task.name, name
