"""What the pages say of links, options, settings, exit codes and scores is so."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib

import pandas as pd
import pytest

from docs import licenses
from imdb_classifier import errors, explain, score_dataframe
from tests.docs.conftest import CHECKOUT, OUTSIDE, PAGES
from tests.docs.test_site import ALL_COMMANDS
from tests.faults import test_faults
from tests.storage import test_object_store

RELIABILITY = "docs/explanation/reliability.md"

OF_OTHERS = {"--host", "--nworkers", "--nthreads", "--dashboard-address", "--param"}
"""Options of Dask and Prefect that the pages name by themselves."""


def read(page: str) -> str:
    return (CHECKOUT / page).read_text("utf-8")


def anchors(page: str) -> set[str]:
    """Those of a page's headings, as GitHub makes them."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"```.*?```", "", page, flags=re.DOTALL), re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# Sphinx checks the links inside of docs/.
@pytest.mark.parametrize("page", OUTSIDE)
def test_links_resolve(page: str) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", read(page)):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (CHECKOUT / page).parent / path if path else CHECKOUT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text("utf-8")), link


def options_of(command: str) -> set[str]:
    return {option for parameter in ALL_COMMANDS[command].params for option in parameter.opts} | {
        "--help"
    }


@pytest.mark.parametrize("page", PAGES)
def test_commands_are_written_as_they_are(page: str) -> None:
    """Each command and option in a block of shell commands, or as a word of code, exists."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", read(page), re.DOTALL))
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", read(page), flags=re.DOTALL))
    for line in [*blocks.splitlines(), *spans]:
        words = shlex.split(line.replace("'", ""), comments=True)
        while words and "=" in words[0]:
            del words[0]
        if not words:
            continue
        if words[0] == "imdb-classifier":
            names = [" ".join(words[:length]) for length in (3, 2, 1)]
            command = next(name for name in names if name in ALL_COMMANDS)
            assert command != "imdb-classifier" or len(words) == 1 or words[1][0] == "-", line
            known = options_of(command)
        elif re.fullmatch(r"--[a-z-]+", words[0]):
            known = OF_OTHERS.union(*map(options_of, ALL_COMMANDS))
        else:
            continue
        assert {word for word in words if re.fullmatch(r"--[a-z-]+", word)} <= known, line


def test_every_command_is_shown_in_use() -> None:
    pages = "\n".join(read(page) for page in PAGES if "guides/" in page or "README" in page)
    leaves = [name for name, command in ALL_COMMANDS.items() if not hasattr(command, "commands")]
    assert [n for n in leaves if n not in pages and "quickstart" not in n] == []


def test_every_environment_variable_is_a_setting() -> None:
    settings = read("docs/reference/settings.md")
    code = [
        file.read_text("utf-8")
        for folder in ("imdb_classifier", "flows", "deployments")
        for file in (CHECKOUT / folder).rglob("*.py")
    ]
    families = r"IMDB_CLASSIFIER|AWS|KERAS|TF|ORT|PREFECT|XDG|DO"
    named = {name for text in code for name in re.findall(rf'"((?:{families})_[A-Z_0-9]+)"', text)}
    assert {"IMDB_CLASSIFIER_DATA", "ORT_DISABLE_TELEMETRY"} <= named
    assert [name for name in sorted(named) if f"`{name}`" not in settings] == []


def test_the_exit_codes_are_those_of_the_errors() -> None:
    table = read("docs/reference/exit-codes.md")
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    of_errors = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
    assert listed == of_errors | {130, 143}  # the shell's, of Ctrl-C and SIGTERM


@pytest.mark.parametrize("page", ["README.md", "docs/guides/getting-started.md"])
def test_the_shown_scores_are_real(page: str) -> None:
    head = "| text | sentiment_label | sentiment_probability |\n|---|---|---:|\n"
    rows = read(page).split(head)[1].split("\n\n")[0].splitlines()
    shown = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    scored = score_dataframe(pd.DataFrame({"text": [text for text, _, _ in shown]}))
    real = [
        [text, "" if pd.isna(label) else label, "" if pd.isna(label) else f"{probability:.3f}"]
        for text, label, probability in scored.itertuples(index=False)
    ]
    assert shown == real
    assert len(shown) == 5


def test_the_shown_explanation_is_real() -> None:
    page = read("docs/guides/explain.md")
    text = re.search(r'imdb-classifier explain "(.+)"', page)
    assert text
    (found,) = explain([text[1]])
    shown = [[cell.strip() for cell in row.split("│")[1:-1]] for row in page.splitlines()]
    words = [[w.word, "word", w.log_odds, w.ngram_log_odds, w.lstm_log_odds] for w in found.words]
    ngrams = [[n.ngram, "n-gram", n.log_odds] for n in found.ngrams]
    real = [
        [name, kind, *(f"{part:+.2f}" for part in parts), *[""] * (3 - len(parts))]
        for name, kind, *parts in (*words[:2], *ngrams[:2])
    ]
    assert [row for row in shown if row] == real


def test_the_readme_names_the_measured_figures() -> None:
    evaluation = json.loads(read("imdb_classifier/pretrained/evaluation.json"))
    accuracy = 100 * evaluation["figures"]["accuracy"]["value"]
    contenders = json.loads(read("benchmarks/results.json"))["scoring"]["contenders"]
    (rate,) = [row["reviews_per_second"] for row in contenders if row["name"] == "ours"]
    (sure,) = [found for found in evaluation["coverage"]["targets"] if found["target"] == 0.98]
    right, share = (100 * sure[name]["value"] for name in ("accuracy", "coverage"))
    (negated,) = [part["accuracy"] for part in evaluation["by_kind"] if part["name"] == "negation"]
    readme = read("README.md")
    assert re.findall(r"([\d.]+) %", readme) == [
        *(f"{figure:.1f}" for figure in (accuracy, right, share)),
        f"{100 * negated['value']:.0f}",
    ]
    assert f"its confidence is at least {sure['confidence']:.3f}, " in readme
    assert set(re.findall(r"([\d,]+) reviews per second", readme)) == {f"{rate:,}"}


def test_the_licenses_are_those_of_the_installed_packages() -> None:
    # To update the page: python -m docs.licenses > docs/reference/licenses.md
    assert read("docs/reference/licenses.md") == licenses.page()


def test_the_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= 110


def test_the_pages_name_the_supported_versions_of_python() -> None:
    bounds = tomllib.loads(read("pyproject.toml"))["project"]["requires-python"]
    first, beyond = map(int, re.findall(r"3\.(\d+)", bounds))
    for page in ("README.md", "CONTRIBUTING.md", "docs/guides/getting-started.md"):
        assert f"Python 3.{first} to 3.{beyond - 1}" in read(page)


def test_the_pages_name_tests_that_are_there() -> None:
    named = [name for page in PAGES for name in re.findall(r"\btests/[\w/.]+", read(page))]
    assert "tests/faults" in named
    assert [name for name in named if not (CHECKOUT / name).exists()] == []


def test_as_many_kills_are_tested_as_the_pages_say() -> None:
    named = re.search(r"at (\d+) random moments .* at (\d+) while", read(RELIABILITY))
    assert named
    assert [int(count) for count in named.groups()] == [test_faults.KILLS, test_object_store.KILLS]


def test_frames_are_scored_without_what_windows_lacks() -> None:
    program = (
        "import os, sys\n"
        "sys.modules |= dict.fromkeys(['fcntl', 'grp', 'pwd', 'resource', 'termios'])\n"
        "del os.sched_getaffinity\n"
        "import pandas\n"
        "from imdb_classifier import score_dataframe\n"
        "print(*score_dataframe(pandas.DataFrame({'text': ['A fine film.']}))['sentiment_label'])"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ran.stdout == "positive\n", ran.stderr
