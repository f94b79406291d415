from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import (
    BundleError,
    ConfigurationError,
    MissingColumnError,
    NoInputError,
    UnreadableFileError,
)
from imdb_classifier.evaluation.promotion import Check, Gates
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline import promote
from imdb_classifier.pipeline.evaluate import evaluate_bundle
from imdb_classifier.pipeline.promote import decide_promotion, register_bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER


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
    assert not decision.promote
    assert decision.overall.rows == 86
    assert decision.overall.challenger_accuracy == evaluation.figures["accuracy"].value
    assert {part.name for part in decision.slices} > {"0-50 words", "negation", "truncated"}
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


def test_a_model_is_no_worse_than_itself(tiny_bundle: Bundle, tmp_path: Path) -> None:
    registry = Registry.at(tmp_path)
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    registered = register_bundle(tiny_bundle, evaluation, registry)
    registry.promote("@challenger")
    gates = Gates(accuracy=0, log_loss=9, calibration_error=1)
    decision = decide_promotion(registered, registry, str(FOLDER), gates)
    assert decision.promote
    assert decision.challenger == decision.champion == tiny_bundle.model_id
    assert decision.overall.difference == 0


def test_a_model_that_another_process_cannot_load_is_refused(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    registry = Registry.at(tmp_path)
    evaluation, _ = evaluate_bundle(tiny_bundle, str(FOLDER))
    registered = register_bundle(tiny_bundle, evaluation, registry)
    registry.promote("@challenger")
    (registered.path / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(BundleError, match=r"model\.onnx does not match its SHA-256 checksum"):
        decide_promotion(registered, registry, str(FOLDER))
    shutil.copy(tiny_bundle.path / "model.onnx", registered.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", shutil.which("false"))
        decision = decide_promotion(registered, registry, str(FOLDER))
    assert "golden scores" in [check.name for check in decision.checks if not check.passed]


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
    lenient = Gates(accuracy=0, log_loss=9, calibration_error=1, accuracy_lost=1)

    def killed(registry: Registry, model_id: str, *_: object) -> None:
        if model_id == tiny_bundle.model_id:  # not when the bundled model is copied
            raise KeyboardInterrupt

    monkeypatch.setattr("imdb_classifier.evaluation.promotion.SIGNIFICANCE", 0.0)
    for place, promoted in (("promote", False), ("record", True)):
        with monkeypatch.context() as patch:
            patch.setattr(Registry, place, killed)
            with pytest.raises(KeyboardInterrupt):
                decide_promotion(registered, registry, str(FOLDER), lenient)
        assert (registry.aliases().get("champion") == tiny_bundle.model_id) == promoted
        assert registry.is_undecided(tiny_bundle.model_id) != promoted
