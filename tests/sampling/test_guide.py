"""The guide for labeled reviews of one's own, followed from the first command to the last."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from imdb_classifier.samples import FOLDER
from tests.command_line import Outcome, Run

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "label.md"
REFUSED = 3


def test_the_guide_leads_from_scored_files_to_a_judged_model(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(GUIDE.with_name("headphones.csv"), tmp_path)
    variables: dict[str, Any] = {}
    outcomes: list[Outcome] = []
    page = GUIDE.read_text("utf-8")
    for language, block in re.findall(r"```(python|sh)\n(.*?)```", page, re.DOTALL):
        if language == "python":
            exec(block, variables)
            continue
        for line in block.splitlines():
            _, *words = shlex.split(line)
            if words[0] == "train":
                words += ["--recipe", "tiny", "--data", str(FOLDER)]
            elif words[0] == "evaluate" and "--sample" in words:
                words += ["--json"]
            elif words[0] in ("evaluate", "models"):
                words += ["--data", str(FOLDER)]
            outcomes.append(run(*words))
    assert [outcome.code for outcome in outcomes] == [0] * 6 + [REFUSED], outcomes[-1].err
    champion, challenger = (outcomes[number].json for number in (2, 5))
    truth = variables["headphones"]["label"].to_numpy()
    scored = variables["pd"].read_parquet("scored.parquet")["sentiment_label"]
    accuracy = ((scored == "positive").to_numpy() == truth).mean()
    # One interval in twenty does not contain the accuracy, but none is far from it.
    assert champion["accuracy"]["low"] - 0.02 <= accuracy <= champion["accuracy"]["high"] + 0.02
    assert (champion["labeled"], champion["all_rows"]) == (240, 300)
    assert (challenger["labeled"], challenger["learned"]) == (120, 120)
    (own,) = json.loads(Path("report/evaluation.json").read_text("utf-8"))["own_sets"]
    assert (own["name"], own["rows"]) == ("headphones", 120)
    assert own["champion"] == champion["model_id"]
