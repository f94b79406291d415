"""The block that names a model: Prefect's own tests for blocks, and what it scores."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("prefect", reason="prefect is not installed (extra: flows)")

from matplotlib import image
from prefect.testing.standard_test_suites import blocks

from imdb_classifier.batch.options import ScoreOptions
from imdb_classifier.blocks import Sentiment, SentimentModel
from imdb_classifier.cli.commands.shared_options import help_of
from imdb_classifier.errors import (
    ConfigurationError,
    TextTypeError,
    UnapprovedModelError,
    UnsupportedDataError,
)
from imdb_classifier.registry.access import CHAMPION
from imdb_classifier.registry.versions import Registry
from imdb_classifier.scoring.frames import score_dataframe

if TYPE_CHECKING:
    from imdb_classifier.model.bundle import Bundle

TEXTS = ["A warm and funny film.", None, "Dull, loud and badly cut."]


class TestSentimentModel(blocks.BlockStandardTestSuite):
    @pytest.fixture
    def block(self) -> type[SentimentModel]:
        return SentimentModel

    @pytest.fixture(autouse=True)
    def offline(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Instead of Prefect's logo, which is on the web, a square picture."""

        def urlopen(url: str) -> io.BytesIO:
            assert url.startswith("https://raw.githubusercontent.com/PrefectHQ/prefect/")
            picture = io.BytesIO()
            image.imsave(picture, np.zeros((100, 100)), format="png")
            picture.seek(0)
            return picture

        monkeypatch.setattr(blocks, "urlopen", urlopen)


def test_prefect_finds_it_and_loads_nothing_else_of_ours() -> None:
    program = """
import json, sys
from importlib.metadata import entry_points
import prefect.blocks.core
known = set(sys.modules)
(entry,) = [e for e in entry_points(group="prefect.collections") if "imdb" in e.name]
entry.load()
print(json.dumps([entry.value, sorted(set(sys.modules) - known)]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    value, loaded = json.loads(ran.stdout)
    assert value == "imdb_classifier.blocks"
    assert set(loaded) == {
        "imdb_classifier",
        "imdb_classifier.batch",
        "imdb_classifier.batch.options",
        "imdb_classifier.blocks",
        "imdb_classifier.blocks.sentiment_model",
        "imdb_classifier.errors",
        "imdb_classifier.schema",
        "imdb_classifier.version",
    }


def test_it_describes_the_options_as_the_command_line_does() -> None:
    fields = SentimentModel.model_fields
    for name in ("text_column", "prefix", "on_null", "at_least", "unsure_label"):
        assert fields[name].description == help_of(ScoreOptions, name), name
        assert (fields[name].default or None) == getattr(ScoreOptions, name), name
    assert fields["model"].default == CHAMPION


def test_texts(empty_caches: None) -> None:
    good, none, bad = SentimentModel().score(TEXTS)
    assert none == Sentiment(None, None)
    assert (good.label, bad.label) == ("positive", "negative")
    assert good.probability is not None
    assert 0.5 <= good.probability <= 1
    one_more = SentimentModel().score(text for text in TEXTS)
    assert one_more == [good, none, bad]


@pytest.mark.parametrize("texts", ["A warm canary.", b"A warm canary.", 1, None])
def test_what_is_no_list_of_texts_is_refused(texts: Any) -> None:
    with pytest.raises(UnsupportedDataError, match=r"takes an iterable of texts\. .* a list") as no:
        SentimentModel().score(texts)
    assert "canary" not in str(no.value)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["canary", 1], "a mixture of text and other values; position 1 holds a value of type int"),
        ([None, 3], "of type int64; position 1 holds a value of type int"),
        ([None, float("nan"), "canary", ["canary"]], "position 3 holds a value of type list"),
    ],
)
def test_a_value_that_is_no_text_is_named_by_its_position(texts: Any, message: str) -> None:
    with pytest.raises(TextTypeError, match=re.escape(f"{message}. Cast")) as no:
        SentimentModel().score(texts)
    assert "canary" not in str(no.value)


def test_a_frame_gets_columns_of_the_chosen_prefix() -> None:
    frame = pd.DataFrame({"body": TEXTS, "text": ["", "", ""]})
    scored = SentimentModel(text_column="body", prefix="mood_").score_dataframe(frame)
    expected = score_dataframe(frame, text_column="body", prefix="mood_")
    pd.testing.assert_frame_equal(scored, expected)
    assert scored["mood_label"].tolist()[::2] == ["positive", "negative"]


def test_files_are_scored_with_its_options(tmp_path: Path) -> None:
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"body": TEXTS}), source)
    model = SentimentModel(text_column="body", prefix="mood_", on_null="skip")
    assert model.score_parquet(source, output).exit_code == 0
    assert pq.read_table(output)["mood_label"].to_pylist() == ["positive", "negative"]


def test_doubtful_texts_get_no_label_or_that_of_unsure_ones(tmp_path: Path) -> None:
    probabilities = [found.probability or 0.0 for found in SentimentModel().score(TEXTS[::2])]
    confidences = [max(found, 1 - found) for found in probabilities]
    at_least = sum(confidences) / 2
    (sure,) = [number for number in (0, 1) if confidences[number] >= at_least]
    for unsure_label in (None, "unsure"):
        expected = [unsure_label, unsure_label]
        expected[sure] = ("positive", "negative")[sure]
        model = SentimentModel(at_least=at_least, unsure_label=unsure_label or "")
        assert [found.label for found in model.score(TEXTS[::2])] == expected
        assert [found.probability for found in model.score(TEXTS[::2])] == probabilities
        frame = pa.table({"text": TEXTS[::2]})
        assert model.score_dataframe(frame)["sentiment_label"].to_pylist() == expected
        source, output = tmp_path / f"{unsure_label}.parquet", tmp_path / f"{unsure_label}-out"
        pq.write_table(frame, source)
        model.score_parquet(source, f"{output}.parquet")
        assert pq.read_table(f"{output}.parquet")["sentiment_label"].to_pylist() == expected
    with pytest.raises(ConfigurationError, match=r"from 0\.5 to 1"):
        SentimentModel(at_least=90).score(TEXTS)


def test_a_version_of_its_registry_needs_approval(tiny_bundle: Bundle, tmp_path: Path) -> None:
    evaluation, card = json.dumps(tiny_bundle.evaluation or {}), "card"
    registry = Registry.at(tmp_path)
    registry.register(tiny_bundle, evaluation, card)
    chosen: dict[str, Any] = {"model": "@challenger", "registry": str(tmp_path)}
    with pytest.raises(UnapprovedModelError, match="has not passed them"):
        SentimentModel(**chosen).score(TEXTS)
    with SentimentModel(**chosen, allow_unapproved=True).open_scorer() as scorer:
        assert scorer.bundle.model_id == tiny_bundle.model_id
