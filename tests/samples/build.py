"""Makes the two Parquet files of the sample: ``python -m tests.samples.build``."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from imdb_classifier.errors import BadDataError
from imdb_classifier.samples import FOLDER, KIND
from imdb_classifier.schema import LABEL, NEGATIVE, POSITIVE, TEXT

SOURCE: Final = Path(__file__).with_name("reviews.toml")
KINDS: Final = ("plain", "negation", "irony", "mixed", "short", "long", "product")
LABELS: Final = {NEGATIVE: 0, POSITIVE: 1}
SAMPLE: Final = pa.schema([(TEXT, pa.string()), (LABEL, pa.int64()), (KIND, pa.string())])


def build(source: Path, folder: Path) -> None:
    """Write ``train-00000-of-00001.parquet`` and ``test-00000-of-00001.parquet``.

    Of each kind and label every third review is test. Within a split, kinds and labels are spread
    evenly over the rows. The same source gives the same bytes under one pyarrow release.

    Args:
        source: A TOML file with one ``[[kind.label]]`` table a review; each holds ``text``.
        folder: An existing folder; the two files in it are replaced.

    Raises:
        BadDataError: A kind or label is unknown, a review has no word or repeats another one (but
            for case, punctuation and spacing), or a split is not half positive. Nothing is written.
    """
    splits: dict[str, list[tuple[float, int, int, str]]] = {"train": [], "test": []}
    seen: dict[str, str] = {}
    for kind, by_label in tomllib.loads(source.read_text(encoding="utf-8")).items():
        for label, reviews in by_label.items():
            if kind not in KINDS or label not in LABELS:
                raise BadDataError(
                    f"A review is a [[kind.label]]: {', '.join(KINDS)}; {', '.join(LABELS)}.",
                    f"{source.name} has [[{kind}.{label}]].",
                    "Correct the heading.",
                )
            for i, review in enumerate(reviews):
                name = f"{kind}.{label} number {i + 1}"
                words = " ".join(re.findall(r"\w+", review.get(TEXT, "").casefold()))
                if not words or words in seen:
                    raise BadDataError(
                        "Each review of the sample must have words, and no two the same ones.",
                        f"In {source.name}, {name} repeats {seen[words]}."
                        if words
                        else f"In {source.name}, {name} has none.",
                        "Rewrite or remove it.",
                    )
                seen[words] = name
                text = " ".join(review[TEXT].split())
                row = ((i + 0.5) / len(reviews), KINDS.index(kind), LABELS[label], text)
                splits["test" if i % 3 == 2 else "train"].append(row)
    for split, rows in splits.items():
        positive = sum(label for _, _, label, _ in rows)
        if 2 * positive != len(rows):
            raise BadDataError(
                "Each split of the sample must be half positive.",
                f"{positive} of {len(rows)} in {split} are.",
                "Give each kind as many positive reviews as negative ones.",
            )
    for split, rows in splits.items():
        values = [{TEXT: t, LABEL: label, KIND: KINDS[k]} for _, k, label, t in sorted(rows)]
        target = folder / f"{split}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(values, SAMPLE), target, compression="zstd")


if __name__ == "__main__":
    build(SOURCE, FOLDER)
