from __future__ import annotations

import html
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imdb_classifier.errors import CannotWriteError
from imdb_classifier.model.bundle import Bundle
from imdb_classifier.pipeline.train import plan_training
from imdb_classifier.registry.training_runs import training_run
from imdb_classifier.registry.versions import Registry
from imdb_classifier.samples import FOLDER
from tests.command_line import SAMPLE, Run
from tests.crafted import leave_trained


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
    assert not [*registry.work.glob("*")]

    listed = run("models", "list", "--json").json["models"]
    assert [(model["recipe"], model["aliases"]) for model in listed] == [
        ("tiny", ["challenger"]),
        ("production", ["champion"]),
    ]
    shown = run("models", "show", "@challenger", "--json").json
    assert shown["manifest"]["seed"] == 7
    assert shown["evaluation"] == outcome.json["evaluation"]


@pytest.mark.covers("train --recipe")
def test_a_recipe_must_be_known(run: Run) -> None:
    outcome = run("train", "--recipe", "nope", "--data", "nowhere")
    assert outcome.code == 78
    assert "It is 'nope'" in outcome.err


@pytest.mark.covers(
    "train --data", "train --seed", "train --extra-train", "train --registry", "train --json"
)
def test_training_on_further_reviews_into_another_registry(run: Run, tmp_path: Path) -> None:
    registry = Registry.at(tmp_path / "other")
    extra = tmp_path / "extra.parquet"
    pq.write_table(pa.table({"text": ["Splendid.", "Dreadful."], "label": [1, 0]}), extra)
    recipe = tmp_path / "smaller.toml"
    recipe.write_text('base = "tiny"\n[training]\nepochs = 2\n')
    outcome = run(
        *("train", "--recipe", recipe, "--data", FOLDER, "--extra-train", extra),
        *("--seed", "8", "--registry", registry.root, "--json"),
    )
    bundle = registry.load(outcome.json["model_id"])
    manifest = bundle.manifest
    assert bundle.model_id.startswith("smaller-")
    assert len(manifest["history"]) == manifest["recipe"]["training"]["epochs"] == 2
    assert "--recipe smaller.toml --seed 8" in (bundle.path / "README.md").read_text("utf-8")
    assert (manifest["seed"], manifest["data"]["rows"]) == (8, 178 + 2)


@pytest.mark.covers("train --gate-on", "evaluate --gate-on")
def test_a_model_is_judged_on_reviews_of_ones_own(
    run: Run, tiny_bundle: Bundle, shop: Path, tmp_path: Path
) -> None:
    options = ("--data", FOLDER, "--gate-on", f"shop={shop}")
    leave_trained(tiny_bundle, str(FOLDER), Registry.at(tmp_path / "registry"))
    trained = run("train", *options, "--recipe", "tiny", "--seed", "7", "--json")
    (own,) = trained.json["evaluation"]["own_sets"]
    assert (own["name"], own["unseen"]) == ("shop", 120)
    registry = Registry.at(tmp_path / "registry")
    assert own["champion"] == registry.champion_id()
    version = registry.load("@challenger")
    assert version.evaluation is not None
    assert version.evaluation["own_sets"] == [own]
    card = (version.path / "README.md").read_text("utf-8")
    report = Path(trained.json["report"]["report.md"]).read_text("utf-8")
    for page in (card, report):
        assert "## Your own sets" in page
        assert f"| shop | 120 of 120 | 0 | {100 * own['accuracy']['value']:.1f} % |" in page
    shown = run("evaluate", "--model", "@challenger", *options)
    assert "shop (120 reviews): points above champion" in shown.out
    again = run("train", *options, "--recipe", "tiny", "--seed", "7", "--json")
    assert f"evaluate --model {version.model_id} --gate-on NAME=PATH" in again.err


@pytest.mark.covers("evaluate --label-map", "train --label-map")
def test_stars_are_labels(run: Run, stars: Path, registry: Registry) -> None:
    options = (
        "--data",
        FOLDER,
        "--gate-on",
        f"shop={stars}",
        "--label-map",
        "1=negative,5=positive",
    )
    shown = run("evaluate", "--model", "@challenger", *options)
    assert "shop (120 reviews)" in shown.out
    train = ("train", *options, "--recipe", "tiny", "--extra-train", stars, "--registry")
    refused = run(*train, registry.root)
    assert "120 reviews of 'shop', 120 are also in the train split" in " ".join(refused.err.split())
    unsaid = run("evaluate", *options[:-2])
    assert unsaid.code == 65
    assert "say with --label-map what the labels" in " ".join(unsaid.err.split())


@pytest.mark.parametrize(
    ("sets", "code", "said"),
    [
        (["shop"], 2, "'shop' is not of the form NAME=PATH"),
        (["=SHOP"], 2, "is not of the form NAME=PATH"),
        (["shop="], 2, "'shop=' is not of the form NAME=PATH"),
        (["a=SHOP", "a=SHOP"], 2, "Two sets are named 'a'"),
        (["a.b=SHOP"], 78, "These do not: 'a.b'. Choose other names in --gate-on"),
        (["shop=nowhere"], 66, "There is no nowhere. Check --data, --extra-train, --gate-on"),
        (["shop=UNLABELED"], 65, "Column 'label' is not in"),
    ],
)
@pytest.mark.parametrize("command", ["train", "evaluate", "models promote"])
def test_what_is_no_set_of_ones_own_is_named_before_anything_is_read(
    run: Run,
    registry: Registry,
    shop: Path,
    tmp_path: Path,
    command: str,
    sets: list[str],
    code: int,
    said: str,
) -> None:
    unlabeled = tmp_path / "unlabeled.parquet"
    pq.write_table(pq.read_table(shop).select(["text"]), unlabeled)
    model = ["@challenger"] if command == "models promote" else []
    options = [
        f"--gate-on={own.replace('SHOP', str(shop)).replace('UNLABELED', str(unlabeled))}"
        for own in sets
    ]
    outcome = run(*command.split(), *model, *options, "--data", "reviews that are not there")
    assert outcome.code == code
    assert said in " ".join(outcome.err.replace("│", "").split())


@pytest.mark.covers("train --force")
def test_there_is_nothing_to_learn_twice_unless_forced(run: Run, registry: Registry) -> None:
    # The model in the registry was trained just so.
    command = ("train", "--data", FOLDER, "--recipe", "tiny", "--seed", "7", "--json")
    outcome = run(*command)
    assert outcome.code == 0
    assert outcome.json["model_id"] == registry.aliases()["challenger"]
    assert outcome.json["evaluation"]["rows"] == 86
    assert "Training skipped: " in outcome.err
    assert "epoch" not in outcome.err
    forced = run(*command, "--force")
    assert forced.json["model_id"] == outcome.json["model_id"]
    assert "epoch 4/4" in forced.err


@pytest.mark.covers("evaluate --output", "evaluate --with-texts")
def test_evaluate_writes_a_report_without_texts_unless_asked(run: Run, tmp_path: Path) -> None:
    texts = pq.read_table(SAMPLE)["text"].to_pylist()
    assert run("evaluate", "--data", FOLDER, "--output", tmp_path / "report").code == 0
    page = (tmp_path / "report" / "report.html").read_text("utf-8")
    assert not any(text[:25] in page for text in texts)
    outcome = run("evaluate", "--data", FOLDER, "--output", tmp_path / "texts", "--with-texts")
    assert outcome.code == 0
    assert any(text[:25] in (tmp_path / "texts" / "report.html").read_text() for text in texts)


@pytest.mark.covers("evaluate --model", "evaluate --data", "evaluate --registry", "evaluate --json")
def test_evaluating_a_version_of_another_registry(run: Run, other_registry: Registry) -> None:
    options = ("--model", "@previous", "--data", FOLDER, "--registry", other_registry.root)
    outcome = run("evaluate", *options, "--json")
    assert outcome.json["model_id"] == other_registry.aliases()["previous"]
    assert outcome.json["evaluation"]["rows"] == 86


@pytest.mark.covers("evaluate --explain")
def test_the_report_lists_words_of_the_worst_reviews_only_when_asked(
    run: Run, tmp_path: Path
) -> None:
    pages = {}
    for name, options in (("without", []), ("with", ["--explain"])):
        outcome = run("evaluate", "--data", FOLDER, "--output", tmp_path / name, *options)
        assert outcome.code == 0
        pages[name] = (tmp_path / name / "report.html").read_text("utf-8")
        other = (tmp_path / name / "evaluation.json").read_text("utf-8")
        assert "What moved these scores" not in other
    assert "What moved these scores" not in pages["without"]
    section = pages["with"].partition("What moved these scores")[2].partition("</section>")[0]
    evaluation = json.loads(other)
    assert re.findall(r"<tr><td[^>]*>(\d+)</td>", section) == [
        str(row["row"]) for row in evaluation["worst"]
    ]
    worst = evaluation["worst"][0]
    text = pq.read_table(SAMPLE)["text"][worst["row"]].as_py().lower()
    word, moved = re.findall(r'">([^<]+)&nbsp;([+-][\d.]+)</span>', section)[0]
    assert html.unescape(word) in text
    # It is wrong, and this word misled it.
    assert (float(moved) > 0) == (worst["label"] == 0)
    # The texts are on the page only with the other option.
    assert text[:40] not in pages["with"].lower()


@pytest.mark.covers("explain --top", "explain --json")
def test_the_words_that_moved_a_score(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    text = "It was a dreadful film about a train."
    outcome = run("explain", text, " ")
    assert outcome.code == 0
    assert re.search(r"│ dreadful +│ word +│ +-5\.\d+ │ +-5\.\d+ │ +-0\.\d+ │", outcome.out)
    assert re.search(r"│ dreadful film +│ n-gram │ +-0\.\d+ │", outcome.out)
    assert "Text 2: no text" in outcome.out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{text}\n".encode()), "ascii"))
    piped, empty = (
        run("explain", given, "--top", "1", "--json").json["explanations"][0] for given in ("-", "")
    )
    assert [word["word"] for word in piped["words"]] == ["dreadful"]
    assert [ngram["ngram"] for ngram in piped["ngrams"]] == ["dreadful"]
    assert (empty["probability"], empty["words"]) == (None, [])
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"caf\xe9"), "latin-1"))
    outcome = run("explain", "-")
    assert (outcome.code, "Standard input must contain text" in outcome.err) == (65, True)


def test_words_of_reviews_are_shown_in_a_report_only(run: Run) -> None:
    for option in ("--with-texts", "--explain"):
        outcome = run("evaluate", option)
        assert outcome.code == 2
        assert "add --output" in " ".join(re.findall(r"[\w-]+", outcome.err))


@pytest.mark.covers("explain --model", "explain --registry")
def test_a_model_of_another_registry_explains(run: Run, other_registry: Registry) -> None:
    options = ("--model", "@champion", "--registry", other_registry.root, "--json")
    outcome = run("explain", "A fine film.", *options)
    assert outcome.json["model_id"] == other_registry.aliases()["champion"]
    assert outcome.json["explanations"][0]["ngrams"] == []


@pytest.mark.covers("evaluate --suite")
def test_the_behavior_suite_runs_without_reviews(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    outcome = run("evaluate", "--suite")
    assert outcome.code == 0
    assert re.search(
        r"negation +│ negated blame +│ +24 │ +24 │ +\d+ \(\d+%\) │ This isn't", outcome.out
    )
    found = run("evaluate", "--suite", "--json").json
    assert found["model_id"] in outcome.out
    assert found["behavior"]["suite"] in outcome.out
    (part,) = (p for p in found["behavior"]["capabilities"] if p["name"] == "negated blame")
    assert part["examples"][0]["texts"] == ["This isn't a bad movie."]
    refused = run("evaluate", "--suite", "--data", FOLDER)
    assert refused.code == 2
    assert "leave out --data" in " ".join(refused.err.split())


def test_a_second_training_of_the_same_model_is_refused(
    run: Run, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    command = ("train", "--data", FOLDER, "--recipe", "tiny", "--seed", "7", "--json")
    registry = Registry.at(tmp_path / "registry")
    plan = plan_training(str(FOLDER), "tiny", 7, registry)
    with training_run(registry.work, plan.run):
        outcome = run(*command)
    assert outcome.code == 73
    assert f"Another run is training {plan.run}. Wait until it has finished" in outcome.err
    assert "epoch" not in outcome.err
    leave_trained(tiny_bundle, str(FOLDER), registry)
    assert run(*command).code == 0


def test_a_folder_that_cannot_be_written_is_named_before_training(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IMDB_CLASSIFIER_REGISTRY")
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/nobody")
    outcome = run("train", "--data", FOLDER, "--recipe", "tiny")
    assert outcome.code == 73
    assert "epoch" not in outcome.err
    assert "another one with --registry or IMDB_CLASSIFIER_REGISTRY." in outcome.err
    assert "Traceback" not in outcome.err


def test_a_report_folder_that_cannot_be_written_is_named_before_the_evaluation(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    # The data is not looked at.
    outcome = run("evaluate", "--data", "nowhere", "--output", tmp_path / "file" / "report")
    assert outcome.code == 73
    assert "The report folder must be writable." in outcome.err


def test_a_version_has_its_report_from_the_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise CannotWriteError("The report folder must be writable.", "It is full.", "Free it.")

    monkeypatch.setattr("imdb_classifier.evaluation.report.write_report", full)
    monkeypatch.setattr("imdb_classifier.pipeline.evaluate.write_report", full)
    registry = Registry.at(tmp_path / "registry")
    assert run("train", "--data", FOLDER, "--recipe", "tiny", "--seed", "7").code == 73
    assert registry.ids() == []
    # Nothing is trained again.
    monkeypatch.undo()
    monkeypatch.setenv("IMDB_CLASSIFIER_REGISTRY", registry.root)
    outcome = run("train", "--data", FOLDER, "--recipe", "tiny", "--seed", "7")
    assert outcome.code == 0
    assert "epoch" not in outcome.err
    (version,) = registry.ids()
    assert [*Path(registry.root).glob(f"reports/{version}/*/report.html")]
