"""`adapt` and what follows, as the guide says it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.model.bundle import Bundle
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from imdb_classifier.scoring.scorer import Scorer
from tests.command_line import Run

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "adapt.md"


def commands() -> list[list[str]]:
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line[0] == "imdb-classifier"]


@pytest.mark.covers(
    "adapt --data",
    "adapt --gate-on",
    "adapt --json",
    "adapt --label-map",
    "adapt --model",
    "adapt --registry",
)
def test_the_guide_leads_to_a_decision(
    run: Run,
    tiny_bundle: Bundle,
    stars: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    sample = pq.read_table(FOLDER / "train-00000-of-00001.parquet")
    with Scorer(tiny_bundle) as scorer:
        scores = scorer.probabilities(sample["text"]).to_numpy()
    # Nearly all scores are on one side.
    given = np.select([scores > np.quantile(scores, share) for share in (0.9, 0.8, 0.7)], [5, 4, 3])
    given[given == 0] = 1 + np.arange((given == 0).sum()) % 2
    pq.write_table(pa.table({"text": sample["text"], "label": given}), "stars.parquet")
    (tmp_path / "held-out.parquet").write_bytes(stars.read_bytes())
    adapt, evaluate, promote = commands()
    where = ("--registry", "elsewhere")
    options = ("--model", tiny_bundle.path, "--data", FOLDER, "--gate-on", f"shop={stars}", *where)
    outcome = run(*adapt, *options, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["base"] == tiny_bundle.model_id
    assert outcome.json["chosen"]["change"] == "bias and scale"
    assert outcome.json["evaluation"]["rows"] == 86
    assert [own["name"] for own in outcome.json["evaluation"]["own_sets"]] == ["shop"]
    assert "Accuracy on the IMDB test split: " in outcome.err
    manifest = Registry.at(tmp_path / "elsewhere").load("@challenger").manifest
    assert manifest["model_id"] == outcome.json["model_id"]
    assert manifest["adaptation"]["labels"]["left_out"]["unlabeled"] == (given == 3).sum()
    assert run(*evaluate, "--data", FOLDER, *where).code == 0
    assert run(*promote, "--data", FOLDER, *where).code == 3


def test_what_a_label_means_must_be_said(run: Run, tmp_path: Path) -> None:
    outcome = run("adapt", tmp_path / "stars.parquet", "--label-map", "5")
    assert outcome.code == 2
    assert "'5' is not of the form LABEL=MEANING." in outcome.err
