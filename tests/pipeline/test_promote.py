from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import BundleError, ConfigurationError
from imdb_classifier.evaluation.promotion import Check, Gates
from imdb_classifier.model.bundle import Bundle
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
    decision = decide_promotion(registered, registry, str(FOLDER), batch=batch)
    assert not decision.promote
    assert decision.overall.rows == 86
    assert decision.overall.challenger_accuracy == evaluation.figures["accuracy"].value
    assert {part.name for part in decision.slices} > {"0-50 words", "negation", "truncated"}
    assert decision.checks[-1] == Check("golden scores", True, decision.checks[-1].found)
    kept = tmp_path / "versions" / f"{tiny_bundle.model_id}.decision.json"
    assert json.loads(kept.read_bytes()) == json.loads(json.dumps(decision.to_dict()))
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
