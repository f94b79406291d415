"""Evaluations and decisions as JSON, Markdown and HTML, and the model card of a bundle.

The same evaluation gives the same bytes. Nothing here contains review text, except an HTML report
whose caller passes the texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from imdb_classifier.config import RECIPES
from imdb_classifier.errors import BadDataError, CannotWriteError, MissingExtraError, counted
from imdb_classifier.evaluation.promotion import Decision
from imdb_classifier.evaluation.result import Evaluation
from imdb_classifier.reviews.sources import IMDB_TEST_FINGERPRINT
from imdb_classifier.schema import THRESHOLD
from imdb_classifier.storage import storage_of
from imdb_classifier.storage.files import to_json
from imdb_classifier.storage.paths import StrPath, location_of
from imdb_classifier.system_errors import remedy

try:
    import jinja2
except ModuleNotFoundError as error:
    raise MissingExtraError("A report", "jinja2", "train") from error

Reasons = Sequence[Sequence[tuple[str, float]]]
"""For each review, words and what they add to the log-odds of positive."""

MARKDOWN_BYTES: Final = 64 * 1024
"""Maximum size of the output of `render_markdown`, so that it can be published as an artifact."""

_TRUNCATED: Final = "\n\nTruncated: the rest is in the JSON and HTML reports.\n"

# name: (title, shown in percent, meaning)
_FIGURES: Final = {
    "accuracy": ("Accuracy", True, "share of reviews labeled correctly"),
    "precision": ("Precision", True, "share of predicted positives that are positive"),
    "recall": ("Recall", True, "share of positive reviews predicted positive"),
    "f1": ("F1", True, "harmonic mean of precision and recall"),
    "roc_auc": ("ROC AUC", False, "chance that a positive review scores above a negative one"),
    "log_loss": ("Log loss", False, "nats per review; always predicting 0.5 gives 0.693"),
    "brier_score": ("Brier score", False, "mean squared error; always predicting 0.5 gives 0.25"),
    "calibration_error": ("Calibration error", True, "mean gap between probability and outcome"),
}


def render_json(evaluation: Evaluation) -> str:
    """Return the evaluation as JSON."""
    return to_json(evaluation.to_dict())


def render_markdown(evaluation: Evaluation) -> str:
    """Return the evaluation as Markdown headings and tables, at most 64 KiB of UTF-8."""
    text = render("report.md.j2", evaluation=evaluation)
    encoded = text.encode()
    if len(encoded) <= MARKDOWN_BYTES:
        return text
    kept = encoded[: MARKDOWN_BYTES - len(_TRUNCATED)].decode(errors="ignore")
    return kept[: kept.rindex("\n")] + _TRUNCATED


def render_html(
    evaluation: Evaluation,
    *,
    texts: Sequence[str] | None = None,
    reasons: Reasons | None = None,
) -> str:
    """Return the evaluation as one HTML page that loads nothing and runs no script.

    Args:
        evaluation: The evaluation to show.
        texts: The reviews of `evaluation.worst`, in the same order, to show on the page. Without
            them, the page contains no review text, except for the words in `reasons`.
        reasons: The words that moved the score of each of these reviews most, to show on the page.

    Raises:
        BadDataError: The number of texts or of reasons is not that of the worst rows.
        MissingExtraError: Matplotlib is not installed.
    """
    from imdb_classifier.evaluation import plots

    if texts is not None and len(texts) != len(evaluation.worst):
        raise BadDataError(
            "A report with texts needs one text for each row of evaluation.worst.",
            f"It received {counted(len(texts), 'text')} for "
            f"{counted(len(evaluation.worst), 'row')}.",
            "Take the texts from the evaluated data by their row numbers.",
        )
    if reasons is not None and len(reasons) != len(evaluation.worst):
        raise BadDataError(
            "A report with reasons needs one list of words for each row of evaluation.worst.",
            f"It received {counted(len(reasons), 'list')} for "
            f"{counted(len(evaluation.worst), 'row')}.",
            "Explain the texts of these rows, in the same order.",
        )
    return render(
        "report.html.j2",
        evaluation=evaluation,
        texts=texts,
        reasons=reasons,
        plots=plots.draw(evaluation),
    )


def render_decision(decision: Decision) -> str:
    """Return a decision as Markdown."""
    return render("decision.md.j2", decision=decision)


def render_model_card(manifest: Mapping[str, Any], evaluation: Evaluation | None) -> str:
    """Return the README.md of a bundle: a model card in the format of the Hugging Face Hub.

    Source of the format: https://huggingface.co/docs/hub/model-cards

    Args:
        manifest: The bundle's manifest, with the keys model_id, recipe, seed, data, packages,
            package_version and created_at.
        evaluation: The model's evaluation, or None if it has not been evaluated.
    """
    return render(
        "model_card.md.j2", manifest=manifest, evaluation=evaluation, recipes=frozenset(RECIPES)
    )


def write_report(
    evaluation: Evaluation,
    folder: StrPath,
    *,
    texts: Sequence[str] | None = None,
    reasons: Reasons | None = None,
) -> dict[str, str]:
    """Write evaluation.json, report.md and report.html, each one completely or not at all.

    Args:
        evaluation: The evaluation to write.
        folder: A local folder or one in an object store; created if missing. An earlier report in
            it is replaced.
        texts: See `render_html`; the other two files never contain review text.
        reasons: See `render_html`.

    Returns:
        The paths by file name.

    Raises:
        BadDataError: The number of texts is not that of the worst rows.
        CannotWriteError: The folder or a file in it cannot be written.
    """
    contents = {
        "evaluation.json": render_json(evaluation),
        "report.md": render_markdown(evaluation),
        "report.html": render_html(evaluation, texts=texts, reasons=reasons),
    }
    folder = location_of(folder)
    paths = {name: f"{folder}/{name}" for name in contents}
    with _writing(folder):
        for name, content in contents.items():
            storage_of(paths[name]).write_text(paths[name], content)
    return paths


def check_report_folder(folder: StrPath) -> None:
    """Check that a report can be written to a folder, before the evaluation takes time.

    Raises:
        CannotWriteError: The folder cannot be written.
    """
    folder = location_of(folder)
    with _writing(folder):
        storage_of(folder).check_writable(folder)


@contextmanager
def _writing(folder: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CannotWriteError(
            "The report folder must be writable.",
            f"Writing to {folder} failed: {error.strerror or error}.",
            f"{remedy(error)}, or choose another folder.",
        ) from error


def render(
    template: str,
    *,
    evaluation: Evaluation | None = None,
    package: str = "imdb_classifier.evaluation",
    **context: Any,
) -> str:
    """Render a template from a package's ``templates`` folder.

    Args:
        template: The template's file name; values are escaped for HTML if it ends in ``html.j2``.
        evaluation: The evaluation to show, if any.
        package: The package that contains the template.
        **context: Other variables of the template.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=jinja2.select_autoescape(enabled_extensions=("html.j2",)),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "percent": _percent,
        "points": _points,
        "counted": counted,
        "cell": _cell,
        "flat": _flat,
    }
    return environment.get_template(template).render(
        evaluation=evaluation,
        figures=_shown(evaluation) if evaluation else [],
        threshold=THRESHOLD,
        disputed_labels=evaluation is not None
        and evaluation.data.get("fingerprint") == IMDB_TEST_FINGERPRINT,
        **context,
    )


def _shown(evaluation: Evaluation) -> list[dict[str, str]]:
    shown = []
    for name, (title, in_percent, meaning) in _FIGURES.items():
        figure = evaluation.figures[name]
        value, low, high = (
            _percent(number) if in_percent else f"{number:.3f}"
            for number in (figure.value, figure.low, figure.high)
        )
        unit = " %" if in_percent else ""
        shown.append(
            {
                "name": name,
                "title": title,
                "value": value,
                "low": low,
                "high": high,
                "unit": unit,
                "meaning": meaning,
            }
        )
    return shown


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _points(difference: float) -> str:
    """Return a difference of shares in percentage points; what rounds to 0 has no minus sign."""
    return f"{round(100 * difference, 2) + 0:+.2f}"


def _cell(value: object) -> str:
    """Return a value as the text of a Markdown table cell, with markup escaped."""
    text = " ".join(str(value).split())
    for mark in "\\`|<[*":
        text = text.replace(mark, f"\\{mark}")
    return text


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten nested plain values into pairs of a readable name and a text."""
    for key, value in values.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        elif isinstance(value, list | tuple):
            yield name, ", ".join(map(str, value))
        else:
            yield name, "not given" if value is None else str(value)
