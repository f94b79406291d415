"""The block `SentimentModel`: which model scores, and how."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from prefect.blocks.core import Block
from pydantic import Field, HttpUrl

from imdb_classifier.batch.options import OnNull, ScoreOptions, Selection
from imdb_classifier.errors import UnsupportedDataError

if TYPE_CHECKING:
    from imdb_classifier.batch.results import RunResult
    from imdb_classifier.scoring.scorer import Scorer
    from imdb_classifier.storage.paths import StrPath


class Sentiment(NamedTuple):
    """The sentiment of a text; both values are None if the text is None, empty or blank.

    Attributes:
        label: ``positive`` or ``negative``; the block's label for unsure texts, or None, if it is
            less confident than the block requires.
        probability: The probability of ``positive``, in [0, 1].
    """

    label: str | None
    probability: float | None


class SentimentModel(Block):
    """Label review text as positive or negative, with a probability.

    Set which model scores, where it is registered, and which columns it reads and writes.
    The bundled model is made for English film reviews, of which it reads the last 3,000 tokens.
    """

    # Prefect's UI shows the docstring's text, with each line as a paragraph.
    _block_type_name = "Sentiment Model"
    # One of Prefect's own; a logo must have an address on the web.
    _logo_url = HttpUrl(
        "https://raw.githubusercontent.com/PrefectHQ/prefect/420d0d6a78bb6df1fc18bcf188fdad43c1d22ea9/assets/block-logos/process.png"
    )
    _code_example = """\
    Score texts, a data frame, or a folder of Parquet files:
    ```python
    from imdb_classifier.blocks import SentimentModel

    model = SentimentModel.load("BLOCK_NAME")
    model.score(["A warm and funny film."])
    model.score_dataframe(frame)
    model.score_parquet("reviews/", "scored/")
    ```"""
    _documentation_url = HttpUrl("https://docs.prefect.io/latest/develop/blocks")

    model: str = Field(
        default="@champion",
        title="Model",
        description="@champion, @challenger, @previous, a version's id, or a bundle's path.",
    )
    # Not optional, because forms ask for a type before an optional string.
    registry: str = Field(
        default="",
        title="Registry",
        description="Folder of the model registry, local or in an object store. If empty: "
        "IMDB_CLASSIFIER_REGISTRY, else a folder in your home directory.",
    )
    allow_unapproved: bool = Field(
        default=False,
        title="Allow unapproved",
        description="Score with a version that has not passed the promotion checks.",
    )
    text_column: str = Field(
        default=ScoreOptions.text_column,
        title="Text column",
        description="Column that holds the text; for a field of a struct, the names joined by "
        "dots.",
    )
    prefix: str = Field(
        default=ScoreOptions.prefix,
        title="Prefix",
        description="Prefix for the new columns.",
    )
    on_null: OnNull = Field(
        default=ScoreOptions.on_null,
        title="On null",
        description="What happens to rows whose text is null, empty or blank: label keeps them "
        "with nulls, skip leaves them out, error refuses the file.",
    )
    at_least: float | None = Field(
        default=ScoreOptions.at_least,
        title="At least",
        description="Label only texts whose label has at least this confidence, from 0.5 to 1; all "
        "keep their probability. Default: label every text.",
    )
    unsure_label: str = Field(
        default="",
        title="Unsure label",
        description="Label for texts below at_least. Default: no label (null).",
    )

    def open_scorer(self) -> Scorer:
        """Load the model; use the scorer as a context manager to score many times with it.

        Raises:
            UnknownModelError: There is no such model.
            UnapprovedModelError: The version has not passed the promotion checks.
            BundleError: The model is damaged.
        """
        from imdb_classifier.registry.versions import Registry
        from imdb_classifier.scoring.scorer import Scorer

        registry = Registry.at(self.registry)
        return Scorer.load(self.model, registry, allow_unapproved=self.allow_unapproved)

    def score(self, texts: Iterable[str | None]) -> list[Sentiment]:
        """Score texts.

        Args:
            texts: The texts, of any length.

        Returns:
            A label and a probability for each text, in order.

        Raises:
            UnsupportedDataError: The texts are a single text, or no iterable.
            TextTypeError: Some of the texts are not text.
            ConfigurationError: ``at_least`` or ``unsure_label`` is wrong, see `ScoreOptions`.
            ImdbClassifierError: The model cannot be loaded, see `open_scorer`.
        """
        from imdb_classifier.scoring.frame_kinds import to_text
        from imdb_classifier.scoring.text_columns import labels

        if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
            raise UnsupportedDataError(
                "SentimentModel.score takes an iterable of texts.",
                f"a {type(texts).__module__}.{type(texts).__qualname__}",
                "Pass a list of texts.",
            )
        options = self._options()
        column = to_text(list(texts), None)
        with self.open_scorer() as scorer:
            probabilities = scorer.probabilities(column)
        named = labels(probabilities, options.at_least, options.unsure_label)
        scored = zip(named.to_pylist(), probabilities.to_pylist(), strict=True)
        return [Sentiment(*values) for values in scored]

    def score_dataframe(self, frame: Any) -> Any:
        """Add a sentiment label and a probability to each row of a frame.

        Args:
            frame: A pandas or Polars DataFrame, or an Arrow table or record batch.

        Returns:
            A new frame of the same kind, see `imdb_classifier.score_dataframe`. All rows are kept;
            the setting for rows without text is for Parquet files.

        Raises:
            ImdbClassifierError: As for `imdb_classifier.score_dataframe`.
        """
        from imdb_classifier.scoring.frames import score_dataframe

        options = self._options()
        with self.open_scorer() as scorer:
            return score_dataframe(
                frame,
                text_column=options.text_column,
                model=scorer,
                prefix=options.prefix,
                at_least=options.at_least,
                unsure_label=options.unsure_label,
            )

    def score_parquet(
        self, source: StrPath, output: StrPath, selection: Selection | None = None
    ) -> RunResult:
        """Add a sentiment label and a probability to each row of Parquet files, in this process.

        Args:
            source: A Parquet file, folder or glob pattern; local or in an object store.
            output: File or folder for the scored copies.
            selection: Which files to score, depending on existing outputs; by default new ones.

        Returns:
            What happened to each file. Its ``exit_code`` is 0 if everything that was asked
            for is done.

        Raises:
            ImdbClassifierError: As for `imdb_classifier.score_parquet`.
        """
        from imdb_classifier.batch.run import score_parquet

        options = self._options()
        with self.open_scorer() as scorer:
            return score_parquet(source, output, scorer, options, selection=selection)

    def _options(self) -> ScoreOptions:
        return ScoreOptions(
            self.text_column,
            self.prefix,
            self.on_null,
            at_least=self.at_least,
            unsure_label=self.unsure_label or None,
        )
