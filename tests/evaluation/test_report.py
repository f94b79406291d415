from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imdb_classifier.config import SEED
from imdb_classifier.errors import BadDataError, CannotWriteError
from imdb_classifier.evaluation import report
from imdb_classifier.evaluation.behavior.judgment import Behavior, CapabilityResult, FailedCase
from imdb_classifier.evaluation.metrics import evaluate, evaluate_kinds
from imdb_classifier.evaluation.result import Evaluation, Figure, OwnSet

HOSTILE = (
    '<script>alert("x")</script><img src=http://evil.example/x onerror=alert(1)> & {{ 7 * 7 }}'
)
FAILED = (
    FailedCase(("Not a good\u200b & fun film.",), "negative", (0.75,)),
    FailedCase(("A film.", "A FILM."), "unchanged within 0.02", (0.4, 0.6)),
)
SECRET = "nobody reads this review"
HISTORY = [
    {
        "epoch": epoch,
        "loss": 0.6 / epoch,
        "accuracy": 0.7 + epoch / 20,
        "val_loss": 0.5,
        "val_accuracy": 0.8,
        "seconds": 9.5,
    }
    for epoch in (1, 2, 3)
]


def _evaluation(**values: Any) -> Evaluation:
    rng = np.random.default_rng(4)
    labels = (np.arange(600) % 2).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-rng.normal(3 * labels - 1.5, 1.5)))
    return evaluate(
        labels,
        probabilities.astype(np.float32),
        rng.integers(5, 900, 600),
        **{
            "data": {"source": "parquet", "split": "test", "left_out": {"empty": 2}},
            "model": {"id": "seed-0a1b2c", "recipe": "seed", "seed": 7},
            "history": HISTORY,
            "behavior": Behavior(
                "0a1b2c",
                40,
                2,
                (
                    CapabilityResult("negation", "negated praise", 8, 8, 2, FAILED),
                    CapabilityResult("signs", "emoji", 30, 30, 0, ()),
                ),
            ),
            "by_kind": evaluate_kinds(
                ["short", "product & co", "short"], np.array([1, 0, 0]), np.array([0.9, 0.2, 0.7])
            ),
            **values,
        },
    )


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return _evaluation()


@pytest.fixture(scope="module")
def page(evaluation: Evaluation) -> str:
    return report.render_html(evaluation)


class _Page(HTMLParser):
    """The tags of a page, its attributes, and its text outside of style sheets."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        if self.tags[-1:] != ["style"]:
            self.text += data


def test_json_is_read_back(evaluation: Evaluation) -> None:
    text = report.render_json(evaluation)

    assert Evaluation.from_dict(json.loads(text)) == evaluation
    assert text.startswith('{\n  "behavior": {\n')
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_markdown_tells_the_figures(evaluation: Evaluation) -> None:
    text = report.render_markdown(evaluation)
    accuracy, roc_auc = evaluation.figures["accuracy"], evaluation.figures["roc_auc"]

    assert text.startswith("# Evaluation of seed-0a1b2c\n")
    value, low, high = (f"{100 * x:.1f}" for x in (accuracy.value, accuracy.low, accuracy.high))
    assert (
        f"**{value} % of 600 reviews labeled correctly (95 % interval {low} to {high}).**" in text
    )
    assert f"| ROC AUC | {roc_auc.value:.3f} | {roc_auc.low:.3f} to {roc_auc.high:.3f} |" in text
    assert f"| actually positive | {evaluation.confusion.false_negatives} |" in text
    assert "| 2 | 0.3000 | 0.8000 | 0.5000 | 0.8000 | 9.5 |\n" in text
    assert "| left out: empty | 2 |\n" in text


def test_every_report_shows_the_behavior_with_examples(evaluation: Evaluation, page: str) -> None:
    manifest = {
        "model_id": "m",
        "recipe": SEED.to_dict(),
        "seed": 1,
        "data": {},
        "packages": {},
        "package_version": "1",
        "created_at": "2026-01-01",
    }
    row = (
        "| negation | negated praise | 8 | 25.0 % | Not a good\\\\u200b & fun film. (0.75): "
        "expected negative |\n"
    )
    for text in (
        report.render_markdown(evaluation),
        report.render_model_card(manifest, evaluation),
    ):
        assert row in text
        assert "| signs | emoji | 30 | 0.0 % |  |\n" in text
        assert "40 short texts, expanded from templates" in text
        assert "(suite `0a1b2c`)" in text
        assert "trained on 2 of the texts; their cases are left out.\n" in text
    shown = " ".join(_Page(page).text.replace("\xa0", " ").split())
    assert "negation: 2 of 8 cases failed" in shown
    assert "negated praiseNot a good\\u200b & fun film. (0.75): expected negativeA film." in shown
    assert "A film. (0.40) → A FILM. (0.60): expected unchanged within 0.02825.0 %" in shown
    without = replace(evaluation, behavior=None)
    assert "Behavior" not in report.render_markdown(without) + report.render_html(without)
    old = {key: value for key, value in without.to_dict().items() if key != "behavior"}
    assert Evaluation.from_dict(json.loads(json.dumps(old))) == without


def test_words_of_reviews_are_shown_only_if_they_are_passed(
    evaluation: Evaluation, page: str
) -> None:
    assert "What moved these scores" not in page
    reasons = [[(SECRET, -1.25), ("<b>&", 0.5)] for _ in evaluation.worst]
    shown = report.render_html(evaluation, reasons=reasons)
    assert f'<span class="negative">{SECRET}&nbsp;-1.25</span>' in shown
    assert '<span class="positive">&lt;b&gt;&amp;&nbsp;+0.50</span>' in shown
    with pytest.raises(BadDataError, match="needs one list of words for each row"):
        report.render_html(evaluation, reasons=reasons[1:])


def test_markdown_is_tables_without_html_or_images(evaluation: Evaluation) -> None:
    text = report.render_markdown(evaluation)

    assert "<" not in text
    assert "![" not in text
    tables = [block for block in re.split(r"\n\n", text) if block.startswith("|")]
    assert len(tables) == 11
    for table in tables:
        assert len({line.count("|") for line in table.splitlines()}) == 1


def test_markdown_cells_keep_to_themselves() -> None:
    text = report.render_markdown(_evaluation(data={"source": "a|b\n<b>[x](y)\\"}))

    assert "| source | a\\|b \\<b>\\[x](y)\\\\ |\n" in text


def test_markdown_is_cut_at_64_kib() -> None:
    history = [{**HISTORY[0], "epoch": epoch, "val_loss": None} for epoch in range(3_000)]
    text = report.render_markdown(_evaluation(history=history))

    assert 60_000 < len(text.encode()) <= 65_536
    whole_line = "| 0.6000 | 0.7500 | – | 0.8000 | 9.5 |"
    assert text.endswith(f"{whole_line}\n\nTruncated: the rest is in the JSON and HTML reports.\n")


def test_page_tells_the_figures(evaluation: Evaluation, page: str) -> None:
    text = " ".join(_Page(page).text.replace("\xa0", " ").split())
    accuracy = evaluation.figures["accuracy"]

    assert (
        f"{100 * accuracy.value:.1f} % of 600 reviews labeled correctly "
        f"95 % interval {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}."
    ) in text
    assert "Evaluation of seed-0a1b2c on the test split" in text
    assert f"<b>{evaluation.confusion.true_negatives}</b>" in page
    assert f"<td>{evaluation.worst[0].row}</td>" in page
    assert ">left out: empty</th><td>2</td>" in page


def test_page_loads_nothing_and_runs_nothing(page: str) -> None:
    parsed = _Page(page)

    assert "svg" in parsed.tags
    assert not {"script", "link", "img", "iframe", "object", "embed", "base"} & set(parsed.tags)
    for name, value in parsed.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert value.startswith("#")
    assert "@import" not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    addresses = re.findall(r'(\S+)="?(?:https?:)?//[^"\s]*', page)
    assert set(addresses) <= {"xmlns", "xmlns:xlink"}
    assert "default-src 'none'" in page


def test_page_without_texts_shows_none(page: str) -> None:
    assert '<td class="text"><details>' not in page
    assert ">review</th>" not in page


def test_texts_are_shown_escaped_beside_their_rows(evaluation: Evaluation) -> None:
    texts = [f"{HOSTILE} {index}" for index in range(len(evaluation.worst))]

    parsed = _Page(html := report.render_html(evaluation, texts=texts))

    assert "script" not in parsed.tags
    assert "img" not in parsed.tags
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt;" in html
    row = evaluation.worst[3].row
    assert re.search(rf"<td>{row}</td>.*&amp; {{{{ 7 \* 7 }}}} 3</details>", html)


def test_hostile_provenance_is_escaped() -> None:
    parsed = _Page(report.render_html(_evaluation(data={HOSTILE: HOSTILE}, model={"id": HOSTILE})))

    assert "script" not in parsed.tags
    assert "img" not in parsed.tags


def test_texts_must_be_those_of_the_worst_rows(evaluation: Evaluation) -> None:
    with pytest.raises(BadDataError, match=r"one text for each.* 1 text for 20 rows\. Take") as no:
        report.render_html(evaluation, texts=[SECRET])

    assert SECRET not in str(no.value)


@pytest.mark.parametrize(
    "history",
    [[], [{"epoch": 1, "loss": 0.5, "accuracy": 0.8}]],
    ids=["none", "without validation"],
)
def test_page_of_a_short_history(history: list[dict[str, Any]]) -> None:
    html = report.render_html(_evaluation(history=history))

    assert ("<h2>Training</h2>" in html) == bool(history)


def test_smallest_evaluation_is_rendered() -> None:
    smallest = evaluate(
        np.array([0, 1], dtype=np.int8),
        np.array([0.0, 1.0], dtype=np.float32),
        np.array([3, 3]),
        data={},
        model={},
    )

    html, markdown = report.render_html(smallest), report.render_markdown(smallest)
    assert "100.0&nbsp;%</em> of 2 reviews" in html
    assert "Most confidently wrong" not in html
    assert "# Evaluation of a model\n" in markdown
    assert "by length" not in html.lower() + markdown.lower()


def test_same_evaluation_same_bytes(evaluation: Evaluation, page: str) -> None:
    again = Evaluation.from_dict(json.loads(report.render_json(evaluation)))

    assert report.render_html(again) == page
    assert report.render_markdown(again) == report.render_markdown(evaluation)
    assert report.render_json(again) == report.render_json(evaluation)


MANIFEST: dict[str, Any] = {
    "model_id": "seed-0a1b2c",
    "recipe": SEED.to_dict(),
    "seed": 7,
    "data": {"source": "parquet", "rows": 25_000, "fingerprint": "4b1f0c"},
    "packages": {"numpy": "2.3.1", "keras": "3.15.0"},
    "package_version": "0.1.0",
    "created_at": "2026-11-01T06:00:00+00:00",
}


def _metadata(card: str) -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    _, front, _ = card.split("---\n", 2)
    metadata: dict[str, Any] = yaml.safe_load(front)
    return metadata


def test_model_card_metadata(evaluation: Evaluation) -> None:
    metadata = _metadata(report.render_model_card(MANIFEST, evaluation))

    assert metadata["pipeline_tag"] == "text-classification"
    (model,) = metadata["model-index"]
    (result,) = model["results"]
    assert model["name"] == "seed-0a1b2c"
    assert result["task"]["type"] == "text-classification"
    assert result["dataset"] == {"type": "stanfordnlp/imdb", "name": "IMDB", "split": "test"}
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        name: round(evaluation.figures[name].value, 4) for name in ("accuracy", "f1", "roc_auc")
    }


def test_model_card_text(evaluation: Evaluation) -> None:
    card = report.render_model_card(MANIFEST, evaluation)

    assert card.startswith("---\n")
    assert "\n# seed-0a1b2c\n" in card
    assert "`Embedding(5000 words, 32) -> LSTM(100) -> Dense(1, sigmoid)`" in card
    assert "\nimdb-classifier train --recipe seed --seed 7\n" in card
    assert card.index("| keras | 3.15.0 |") < card.index("| numpy | 2.3.1 |")
    assert "| fingerprint | 4b1f0c |" in card
    assert f"| Accuracy | {100 * evaluation.figures['accuracy'].value:.1f} % |" in card


def test_model_card_without_evaluation_claims_nothing() -> None:
    card = report.render_model_card(MANIFEST, None)

    assert "model-index" not in _metadata(card)
    assert "has not been evaluated" in card
    assert "95 %" not in card


def test_model_card_of_a_hostile_id_is_still_yaml(evaluation: Evaluation) -> None:
    name = 'a: "b" # <c>\n---\n- d'

    metadata = _metadata(report.render_model_card({**MANIFEST, "model_id": name}, evaluation))

    assert metadata["model-index"][0]["name"] == name


def test_write_report(tmp_path: Path, evaluation: Evaluation, page: str) -> None:
    folder = tmp_path / "new" / "report"

    paths = report.write_report(evaluation, folder)

    assert sorted(path.name for path in folder.iterdir()) == sorted(paths)
    written = {name: Path(path).read_bytes().decode() for name, path in paths.items()}
    assert written == {
        "report.html": page,
        "report.md": report.render_markdown(evaluation),
        "evaluation.json": report.render_json(evaluation),
    }


def test_texts_reach_the_page_only(tmp_path: Path, evaluation: Evaluation) -> None:
    texts = [SECRET] * len(evaluation.worst)

    paths = report.write_report(evaluation, tmp_path, texts=texts)

    holding = [name for name, path in paths.items() if SECRET in Path(path).read_text("utf-8")]
    assert holding == ["report.html"]


def test_an_earlier_report_is_replaced(tmp_path: Path, evaluation: Evaluation) -> None:
    report.write_report(replace(evaluation, model={"id": "older"}), tmp_path)

    report.write_report(evaluation, tmp_path)

    assert "older" not in (tmp_path / "report.md").read_text("utf-8")


def test_a_folder_that_cannot_be_made(tmp_path: Path, evaluation: Evaluation) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(CannotWriteError, match=r"file/report failed: Not a directory\. .* choose"):
        report.write_report(evaluation, tmp_path / "file" / "report")


def test_sets_of_ones_own_have_a_section(evaluation: Evaluation) -> None:
    figure = Figure(0.85, 0.8, 0.89)
    own = OwnSet(
        *("shop", 1_250, 1_200, 7, {}, "f", figure, Figure(0.4, 0.3, 0.5), "old", 0.8),
        Figure(0.05, 0.031, 0.068),
    )
    alone = replace(own, name="a & b", champion=None, champion_accuracy=None, difference=None)
    found = replace(evaluation, own_sets=(own, alone))
    assert Evaluation.from_dict(json.loads(report.render_json(found))) == found
    for text in (report.render_markdown(found), report.render_model_card(MANIFEST, found)):
        assert "## Your own sets" in text
        assert (
            "| shop | 1,200 of 1,250 | 7 | 85.0 % | 80.0 to 89.0 | 0.400 | 80.0 % | +5.0 | "
            "+3.1 to +6.8 |\n"
        ) in text
        assert "| 0.400 | – | – | – |\n" in text
    page = report.render_html(found)
    assert "<td>1,200 of 1,250</td><td>7</td><td>85.0&nbsp;%</td>" in page
    assert "<td>80.0&nbsp;%</td><td>+5.0 (+3.1 to +6.8)</td></tr>" in page
    assert "a &amp; b" in page
    assert "Your own sets" not in report.render_html(evaluation)


def test_other_texts_are_told_apart_from_the_evaluated_ones(evaluation: Evaluation) -> None:
    markdown = report.render_markdown(evaluation)
    assert "## Other texts" in markdown
    assert "| short | 2 | 50.0 % | 9.5 to 90.5 |" in markdown
    assert "| product & co | 1 | 100.0 % |" in markdown
    page = report.render_html(evaluation)
    assert '<th scope="row">short</th><td>2</td><td>50.0&nbsp;%</td>' in page
    assert "product &amp; co" in page
    assert "Other texts" not in report.render_html(replace(evaluation, by_kind=()))
