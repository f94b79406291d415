from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import (
    CannotWriteError,
    ConfigurationError,
    MissingColumnError,
    NoInputError,
    UnavailableError,
    UnreadableFileError,
)
from imdb_classifier.evaluation.promotion import Check, Decision, Gates, OwnGates
from imdb_classifier.evaluation.report import render_decision
from imdb_classifier.model.bundle import Bundle, load_bundle
from imdb_classifier.pipeline import promote
from imdb_classifier.pipeline.evaluate import evaluate_bundle, examine
from imdb_classifier.pipeline.promote import check_promotion, decide_promotion, register_bundle
from imdb_classifier.registry.access import ChampionChangedError
from imdb_classifier.registry.versions import Registry, bundled_path
from imdb_classifier.reviews.load import load_reviews
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from imdb_classifier.storage import LocalStorage
from tests.crafted import trained_on

TWIN = Gates(accuracy=0, log_loss=9, calibration_error=1)
"""What a tiny model meets beside one that scores alike."""
LENIENT = replace(TWIN, accuracy_lost=1, behavior_lost=1)
"""What it meets beside the bundled model, too."""


load_afresh = promote._load_afresh
pytestmark = pytest.mark.usefixtures("loaded_afresh_once")


@pytest.fixture
def loaded_afresh_always(loaded_afresh_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads a model in a new process for each decision, as the product does."""
    monkeypatch.setattr(promote, "_load_afresh", load_afresh)


@pytest.fixture(scope="module")
def three(
    twins: list[Bundle], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Registry, list[str]]:
    """A registry of three models that score alike, the first of which is the champion."""
    registry = Registry.at(tmp_path_factory.mktemp("three"))
    ids = [registry.register(twin, "{}", "").model_id for twin in twins]
    registry.promote(ids[0])
    return registry, ids


@pytest.fixture
def contest(three: tuple[Registry, list[str]], tmp_path: Path) -> tuple[Registry, list[Bundle]]:
    """A copy of `three`, and its models."""
    shutil.copytree(three[0].root, tmp_path, dirs_exist_ok=True)
    registry = Registry.at(tmp_path)
    return registry, [registry.load(model_id) for model_id in three[1]]


def _overtaken(
    monkeypatch: pytest.MonkeyPatch, registry: Registry, by: Callable[[str], Bundle]
) -> None:
    """Another run promotes a model while the champion is compared."""

    def overtaken(bundle: Bundle, *rest: Any) -> Any:
        champion = registry.champion_id()
        if bundle.model_id == champion:
            registry.promote(by(champion).model_id)
        return examine(bundle, *rest)

    monkeypatch.setattr(promote, "examine", overtaken)


def _failed(decision: Decision | None) -> list[str]:
    assert decision is not None
    return [check.name for check in decision.checks if not check.passed]


def _break(version: Bundle, harm: str) -> None:
    if harm == "missing":
        shutil.rmtree(version.path)
    else:
        (version.path / "model.onnx").write_bytes(b"")


def test_a_worse_model_is_refused_and_the_decision_says_why(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    registry = Registry.at(tmp_path)
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    registered = register_bundle(tiny_bundle, evaluation, registry)
    assert f"# {tiny_bundle.model_id}" in (registered.path / "README.md").read_text("utf-8")
    batch = str(FOLDER / "test-*.parquet")
    decision = decide_promotion(
        registered, registry, str(FOLDER), batch=batch, requested_by={"user": "ada"}
    )
    assert decision is not None
    assert not decision.promote
    assert decision.overall.rows == 86
    assert decision.overall.challenger_accuracy == evaluation.figures["accuracy"].value
    # Those of at least 30 rows.
    assert {part.name for part in decision.slices} == {"0-50 words", "many unknown words"}
    assert decision.checks[-1] == Check("golden scores", True, decision.checks[-1].found)
    kept = tmp_path / "versions" / f"{tiny_bundle.model_id}.decision.json"
    record = json.loads(kept.read_bytes())
    assert record | json.loads(json.dumps(decision.to_dict())) == record
    assert record["requested_by"] == {"user": "ada"}
    assert registry.aliases() == {"challenger": tiny_bundle.model_id}
    assert decision.label_changes is not None
    assert decision.label_changes.rows == 86
    # No text is in it.
    texts = pq.read_table(FOLDER / "test-00000-of-00001.parquet")["text"].to_pylist()
    assert not any(text[:40] in kept.read_text("utf-8") for text in texts)


def test_a_model_is_no_worse_than_one_that_scores_alike(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (champion, _, challenger) = contest
    decision = decide_promotion(challenger, registry, str(FOLDER), LENIENT)
    assert decision is not None
    assert decision.promote
    assert (decision.challenger, decision.champion) == (challenger.model_id, champion.model_id)
    assert decision.overall.difference == 0
    assert decision.reason.endswith(": promoted.")
    assert decision.reference is not None
    assert decision.reference.name == f"reference {load_bundle(bundled_path()).model_id}"


def test_a_model_far_below_the_reference_is_refused(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (champion, second, challenger) = contest
    decision = decide_promotion(challenger, registry, str(FOLDER), TWIN)
    first, *others = _failed(decision)
    assert first == f"reference {load_bundle(bundled_path()).model_id}"
    assert others
    assert all(name.startswith("behavior beside the reference: ") for name in others)
    for reference in (second.model_id, str(second.path), "@champion"):
        decision = decide_promotion(challenger, registry, str(FOLDER), TWIN, reference=reference)
        assert _failed(decision) == []
        registry.promote(champion.model_id)


def test_small_losses_do_not_add_up(
    contest: tuple[Registry, list[Bundle]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    registry, versions = contest
    rows = 20_000
    labels = pa.array([0, 1] * (rows // 2))
    (tmp_path / "data").mkdir()
    texts = pa.table({"text": [f"film {row}" for row in range(rows)], "label": labels})
    pq.write_table(texts, tmp_path / "data" / "test-0.parquet")
    like = examine(versions[0], load_reviews(tmp_path / "data", "test"))

    def sinking(bundle: Bundle, *_: Any) -> Any:
        """Each version is wrong in 60 rows more than the one before: 0.3 points."""
        at = [version.model_id for version in versions].index(bundle.model_id)
        wrong = np.arange(rows) < 60 * at
        return replace(
            like,
            probabilities=(labels.to_numpy() ^ wrong).astype(np.float32),
            evaluation=replace(like.evaluation, model={"id": bundle.model_id}),
        )

    monkeypatch.setattr(promote, "examine", sinking)
    # The slice of short texts, which here has all rows, would say the same.
    monkeypatch.setattr(promote, "LEAST_ROWS", rows + 1)
    reference = versions[0].model_id
    once, twice = (
        decide_promotion(version, registry, str(tmp_path / "data"), TWIN, reference=reference)
        for version in versions[1:]
    )
    assert _failed(once) == []
    assert _failed(twice) == [f"reference {reference}"]
    assert twice is not None
    assert twice.reference is not None
    assert twice.overall.difference == pytest.approx(-0.003)
    assert twice.reference.difference == pytest.approx(-0.006)
    assert registry.champion_id() == versions[1].model_id


def test_a_model_that_was_trained_on_the_test_split_is_refused(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (_, _, challenger) = contest
    trained_on(challenger, load_reviews(str(FOLDER), "test").table)
    decision = decide_promotion(registry.load(challenger.model_id), registry, str(FOLDER), LENIENT)
    assert _failed(decision) == ["unseen test rows"]
    assert decision is not None
    assert decision.overall.rows == 86
    (found,) = [check.found for check in decision.checks if check.name == "unseen test rows"]
    assert found.startswith("The model was trained on 86 of 86 test rows (100.00%)")


def test_models_are_compared_on_rows_that_neither_was_trained_on(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (champion, _, challenger) = contest
    test = load_reviews(str(FOLDER), "test").table
    trained_on(challenger, test.slice(0, 2))
    trained_on(champion, test.slice(1, 3))
    decision = decide_promotion(registry.load(challenger.model_id), registry, str(FOLDER), LENIENT)
    assert _failed(decision) == []
    assert decision is not None
    assert decision.data["learned"] == 2
    assert decision.overall.rows == 86 - 4
    assert decision.reference is not None
    assert decision.reference.rows == 86 - 2
    assert [part.rows for part in decision.slices] == [80, 80]


def test_a_model_that_is_better_on_imdb_and_worse_on_a_set_of_ones_own_is_refused(
    contest: tuple[Registry, list[Bundle]], shop: Path, tmp_path: Path
) -> None:
    """Each of two models is right wherever the labels are its own: one on IMDB, one in the shop."""
    registry, (challenger, *_) = contest
    bundled = load_bundle(bundled_path())
    registry.promote(registry.register(bundled, "{}", "").model_id)
    (tmp_path / "imdb").mkdir()
    test, own = tmp_path / "imdb" / "test-0.parquet", tmp_path / "own.parquet"
    for source, target, judge in (
        (FOLDER / "test-00000-of-00001.parquet", test, challenger),
        (shop, own, bundled),
    ):
        with Scorer(judge) as scorer:
            texts = pq.read_table(source)["text"]
            labels = (scorer.probabilities(texts).to_numpy() >= 0.5).astype(np.int8)
        pq.write_table(pa.table({"text": texts, "label": labels}), target)
    where, gates = str(tmp_path / "imdb"), Gates(log_loss=9, calibration_error=1, behavior_lost=1)
    decision = decide_promotion(challenger, registry, where, gates, gate_on={"shop": own})
    assert decision is not None
    assert decision.overall.challenger_accuracy == 1 > decision.overall.champion_accuracy
    (compared,) = decision.own_sets
    assert compared.champion.champion_accuracy == 1 > compared.champion.challenger_accuracy
    assert _failed(decision) == ["own set shop"]
    assert "; of 120 rows of own set shop " in decision.reason
    assert decision.reason.endswith(" and 100.00%: refused (failed: own set shop).")
    (found,) = [check.found for check in decision.checks if check.name == "own set shop"]
    assert "label more reviews, or allow a larger loss with the gate shop.accuracy_lost." in found
    record = registry.decision(challenger.model_id)
    assert record is not None
    assert record["own_sets"][0]["result"]["rows"] == 120
    assert registry.champion_id() == bundled.model_id
    # Its own gates decide, and nothing else stands against the model.
    gates = Gates.of(
        {
            "log_loss": 9,
            "calibration_error": 1,
            "behavior_lost": 1,
            "shop.accuracy_lost": 1,
            "shop.accuracy": 0.99,
        },
        ["shop"],
    )
    decision = decide_promotion(challenger, registry, where, gates, gate_on={"shop": own})
    assert _failed(decision) == ["own set shop: accuracy"]
    assert decide_promotion(challenger, registry, where, replace(gates, own_sets={})) is not None
    assert registry.champion_id() == challenger.model_id


def test_reviews_of_ones_own_that_a_model_was_trained_on_do_not_count(
    contest: tuple[Registry, list[Bundle]], shop: Path
) -> None:
    registry, (champion, reference, challenger) = contest
    own = pq.read_table(shop)
    trained_on(challenger, own.slice(0, 4))
    trained_on(champion, own.slice(2, 18))
    challenger = registry.load(challenger.model_id)
    settings: Any = {"reference": reference.model_id, "gate_on": {"shop": shop}}

    def decided(**limits: float) -> Decision | None:
        gates = replace(TWIN, own_sets={"shop": OwnGates(**limits)})
        return decide_promotion(challenger, registry, str(FOLDER), gates, **settings)

    refused = decided()
    assert refused is not None
    assert _failed(refused) == ["own set shop: unseen rows"]
    (compared,) = refused.own_sets
    assert (compared.result.rows, compared.result.learned, compared.result.unseen) == (120, 4, 100)
    assert compared.champion.rows == 100
    assert compared.reference is not None
    assert compared.reference.rows == 116
    assert compared.reference.name == f"own set shop: reference {reference.model_id}"
    text = render_decision(refused)
    assert "trained on 4 of 120 rows (3.33%); at most 3.00% is allowed." in text
    assert "| own set shop | 100 | 4 |" in text
    assert f"; own set shop: `{compared.result.fingerprint}`. Decided by" in text
    # One review fewer is too few.
    trained_on(champion, own.slice(2, 19))
    assert _failed(decided(learned=0.1)) == ["own set shop: unseen rows"]
    trained_on(champion, own.slice(2, 18))
    assert _failed(decided(learned=0.1)) == []


@pytest.mark.usefixtures("loaded_afresh_always")
def test_a_model_that_another_process_cannot_load_is_refused(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (_, _, challenger) = contest
    _break(challenger, "damaged")
    decision = decide_promotion(challenger, registry, str(FOLDER), LENIENT)
    assert decision is not None
    (failed,) = (check for check in decision.checks if not check.passed)
    assert failed.name == "golden scores"
    assert "model.onnx does not match its SHA-256 checksum" in failed.found


@pytest.mark.usefixtures("loaded_afresh_always")
def test_a_process_that_fails_by_itself_refuses_no_model(
    contest: tuple[Registry, list[Bundle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, (_, _, challenger) = contest
    for name, value, fault in (
        ("_LOAD", "raise MemoryError", r"ended with exit code 1: MemoryError\."),
        ("_LOAD_SECONDS", 0, r"has not finished within 0 seconds\."),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(promote, name, value)
            with pytest.raises(UnavailableError, match=f"{fault} .*nothing was decided"):
                decide_promotion(challenger, registry, str(FOLDER), LENIENT)
        assert registry.is_undecided(challenger.model_id)


@pytest.mark.usefixtures("loaded_afresh_always")
def test_an_object_store_that_fails_meanwhile_refuses_no_model(
    tiny_bundle: Bundle, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.at(f"{bucket}/models")
    challenger = registry.register(tiny_bundle, "{}", "")
    run = subprocess.run

    def cut_off(*command: Any, **options: Any) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
            return run(*command, **options)

    monkeypatch.setattr(subprocess, "run", cut_off)
    decision = decide_promotion(challenger, registry, str(FOLDER))
    assert decision is not None
    assert [check.passed for check in decision.checks if check.name == "golden scores"] == [True]


def test_a_promotion_stands_if_its_decision_cannot_be_stored(
    contest: tuple[Registry, list[Bundle]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, (first, second, challenger) = contest
    write = LocalStorage.write_text

    def full(storage: LocalStorage, path: str, text: str) -> None:
        if path == registry.decision_file(challenger.model_id):
            raise OSError(28, "No space left on device")
        write(storage, path, text)

    with monkeypatch.context() as patch:
        patch.setattr(LocalStorage, "write_text", full)
        with pytest.raises(CannotWriteError, match="No space left on device"):
            decide_promotion(challenger, registry, str(FOLDER), Gates(accuracy=1))
        decision = decide_promotion(challenger, registry, str(FOLDER), LENIENT)
    assert decision is not None
    assert decision.promote
    assert registry.champion_id() == challenger.model_id
    assert f"{challenger.model_id} is the champion, but the decision could not" in caplog.text
    # It stays approved when it is champion no more.
    registry.promote(first.model_id)
    registry.promote(second.model_id)
    registry.check_approved(challenger)


def test_only_a_version_of_the_registry_is_decided(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="Only a version of the registry"):
        decide_promotion(tiny_bundle, Registry.at(tmp_path), str(FOLDER))


def test_everything_else_is_checked_before_models_are_compared(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.at(tmp_path / "registry")
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    registered = register_bundle(tiny_bundle, evaluation, registry)
    unscored: list[Bundle] = []
    monkeypatch.setattr(promote, "examine", lambda bundle, _: unscored.append(bundle))
    (tmp_path / "damaged.parquet").write_bytes(b"no Parquet file")
    for batch, column, error in (
        (str(tmp_path / "none.parquet"), "text", NoInputError),
        (str(tmp_path / "damaged.parquet"), "text", UnreadableFileError),
        (str(FOLDER), "txt", MissingColumnError),
    ):
        with pytest.raises(error, match=r"none\.parquet|damaged\.parquet|'txt'"):
            decide_promotion(registered, registry, str(FOLDER), None, batch, column)
    with pytest.raises(NoInputError, match="nowhere"):
        decide_promotion(registered, registry, str(tmp_path / "nowhere"))
    assert unscored == []
    assert registry.decision(registered.model_id) is None


def test_a_decision_is_carried_out_before_it_is_recorded(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.at(tmp_path)
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    registered = register_bundle(tiny_bundle, evaluation, registry)

    def killed(registry: Registry, model_id: str, *_: object, **__: object) -> None:
        if model_id == tiny_bundle.model_id:  # not when the bundled model is copied
            raise KeyboardInterrupt

    monkeypatch.setattr("imdb_classifier.evaluation.promotion.SIGNIFICANCE", 0.0)
    for place, promoted in (("promote", False), ("record", True)):
        with monkeypatch.context() as patch:
            patch.setattr(Registry, place, killed)
            with pytest.raises(KeyboardInterrupt):
                decide_promotion(registered, registry, str(FOLDER), LENIENT)
        assert (registry.aliases().get("champion") == tiny_bundle.model_id) == promoted
        assert registry.is_undecided(tiny_bundle.model_id) != promoted


def test_the_champion_that_is_replaced_is_the_one_compared(
    contest: tuple[Registry, list[Bundle]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    registry, (first, second, challenger) = contest
    _overtaken(monkeypatch, registry, lambda champion: second)
    decision = decide_promotion(challenger, registry, str(FOLDER), LENIENT)
    assert decision is not None
    assert decision.promote
    assert decision.champion == second.model_id
    assert registry.aliases()["champion"] == challenger.model_id
    assert registry.aliases()["previous"] == second.model_id
    note = (
        f"The champion changed from {first.model_id} to {second.model_id} during the comparison, "
        "so the decision was made again."
    )
    assert decision.reason.endswith(f": promoted. {note}")
    assert note in caplog.text
    record = registry.decision(challenger.model_id)
    assert record is not None
    assert (record["champion"], record["reason"]) == (second.model_id, decision.reason)


def test_a_refusal_names_the_champion_of_its_time(
    contest: tuple[Registry, list[Bundle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, (_, second, challenger) = contest
    _overtaken(monkeypatch, registry, lambda champion: second)
    decision = decide_promotion(challenger, registry, str(FOLDER), Gates(accuracy=1))
    assert decision is not None
    assert not decision.promote
    assert decision.champion == second.model_id == registry.aliases()["champion"]


def test_a_champion_that_keeps_changing_leaves_a_version_undecided(
    contest: tuple[Registry, list[Bundle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, (first, second, challenger) = contest
    _overtaken(
        monkeypatch, registry, lambda champion: first if champion == second.model_id else second
    )
    with pytest.raises(ChampionChangedError, match=f"It was {first.model_id}; .*models list"):
        decide_promotion(challenger, registry, str(FOLDER), LENIENT)
    assert registry.aliases()["champion"] == second.model_id
    assert registry.is_undecided(challenger.model_id)


def test_a_model_that_another_run_promotes_meanwhile_is_not_decided_on_again(
    contest: tuple[Registry, list[Bundle]], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, (first, _, challenger) = contest
    _overtaken(monkeypatch, registry, lambda champion: challenger)
    assert decide_promotion(challenger, registry, str(FOLDER), LENIENT) is None
    assert registry.aliases()["previous"] == first.model_id


def test_the_champion_itself_is_not_decided_on(contest: tuple[Registry, list[Bundle]]) -> None:
    registry, (champion, *_) = contest
    registry.record(champion.model_id, {"promote": True, "reason": "Better."})
    before = registry.decision(champion.model_id), registry.aliases()
    # Not even the reviews are looked at.
    assert decide_promotion(champion, registry, "nowhere") is None
    assert (registry.decision(champion.model_id), registry.aliases()) == before


@pytest.mark.parametrize("harm", ["damaged", "missing"])
@pytest.mark.parametrize("gates", [LENIENT, Gates(accuracy=1)], ids=["promoted", "refused"])
def test_the_model_before_stands_in_for_a_broken_champion(
    contest: tuple[Registry, list[Bundle]], harm: str, gates: Gates
) -> None:
    registry, (first, second, challenger) = contest
    registry.promote(second.model_id)
    _break(second, harm)
    check_promotion(registry, str(FOLDER), None, "text")
    decision = decide_promotion(challenger, registry, str(FOLDER), gates)
    assert decision is not None
    assert decision.champion == first.model_id
    assert decision.reason.endswith(
        f". {first.model_id} stood in for the champion {second.model_id}, which is damaged or "
        "missing."
    )
    aliases = registry.aliases()
    if decision.promote:
        # The way back leads to a model that scores.
        assert (aliases["champion"], aliases["previous"]) == (challenger.model_id, first.model_id)
    else:
        assert aliases["champion"] == second.model_id
    assert decision.promote == (gates is LENIENT)


def test_the_bundled_model_stands_in_if_the_model_before_is_broken_too(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (first, second, challenger) = contest
    registry.promote(second.model_id)
    _break(first, "missing")
    _break(second, "damaged")
    decision = decide_promotion(challenger, registry, str(FOLDER), LENIENT)
    assert decision is not None
    assert decision.champion == load_bundle(bundled_path()).model_id


def test_a_challenger_does_not_stand_in_for_the_champion(
    contest: tuple[Registry, list[Bundle]],
) -> None:
    registry, (first, second, _) = contest
    registry.promote(second.model_id)
    _break(second, "damaged")
    decision = decide_promotion(first, registry, str(FOLDER), LENIENT)
    assert decision is not None
    assert decision.champion == load_bundle(bundled_path()).model_id
