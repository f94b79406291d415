"""The flow `train-imdb`: train, evaluate, register and promote a model."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from imdb_classifier import tasks
from imdb_classifier.config import RecipeName


@flow(name="train-imdb", flow_run_name="train {recipe} with seed {seed}", persist_result=False)
def train_imdb(
    data: str | None = None,
    recipe: RecipeName = "production",
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 1,
    extra_train: list[str] | None = None,
    registry: str | None = None,
    gates: dict[str, float] | None = None,
    batch: str | None = None,
    text_column: str = "text",
    reference: str | None = None,
    gate_on: dict[str, str] | None = None,
    force: bool = False,
    keep: Annotated[int, Field(ge=0)] | None = None,
    recipe_file: str | None = None,
    label_map: dict[str, str] | None = None,
) -> State[Any]:
    """Train a model, and make it the champion if it passes every promotion check.

    All parameters are checked first. If the model is refused, the run completes as NotPromoted. If
    a model was already trained on the same reviews with the same recipe and seed, training is
    skipped: a version that was never decided on is decided on now; otherwise, the run completes as
    NothingToLearn. An interrupted run resumes from its last epoch when it is started again with the
    same parameters; while it is running, another run with these parameters fails. With a registry
    in an object store, both hold on the same machine only.

    Args:
        data: IMDB reviews: a Parquet folder, the Stanford archive or its folder, a URI, 'keras' or
            'aclimdb'. Default: IMDB_CLASSIFIER_DATA, else the downloaded copy.
        recipe: What to train: production, seed or tiny.
        seed: Random seed of initial weights, validation split and order.
        extra_train: Labeled Parquet files of your own to add, with the columns text and label.
        registry: Folder of the model registry, local or in an object store. Default:
            IMDB_CLASSIFIER_REGISTRY, else a folder in your home directory.
        gates: Limits of your own: accuracy and accuracy_gained (at least), log_loss,
            calibration_error, accuracy_lost, behavior_lost, label_changes and learned (at most).
            For a set in gate_on: NAME.accuracy, NAME.accuracy_gained, NAME.accuracy_lost and
            NAME.learned.
        batch: Unlabeled Parquet files in which few labels may change.
        text_column: Text column of the files in batch.
        reference: Fixed model to compare with besides the champion: a version's id or the path of
            a bundle. Default: the bundled model.
        gate_on: Labeled reviews of your own to evaluate the model on besides the IMDB test split:
            a name of your choice, and Parquet files with the columns text and label.
        force: Train even if the same data, recipe and seed were already trained.
        keep: How many of the newest versions, and of the newest interrupted trainings, to keep;
            older ones are deleted after the decision, except champion, previous and challenger and
            versions without a decision. Default: all.
        recipe_file: TOML file with settings of your own, in place of recipe.
        label_map: What the labels of your own files mean: positive, negative or unlabeled, such as
            {"1": "negative", "3": "unlabeled", "5": "positive"}. Default: 0 and 1, true and false,
            or negative and positive.
    """
    # Everything that training needs is checked before it starts.
    tasks.check_promotion(data, registry, gates, batch, text_column, reference, gate_on, label_map)
    extra, chosen = extra_train or [], recipe_file or recipe
    reviews = tasks.load_reviews(data, chosen, seed, extra, registry, gate_on, gates, label_map)
    undecided = reviews["trained"] if reviews["undecided"] and not force else None
    if (trained_before := reviews["trained"]) and not undecided and not force:
        return Completed(
            name="NothingToLearn",
            message=f"Training skipped: {trained_before} was trained on the same reviews, with the "
            "same recipe and seed. Change one of them, or set force.",
            data={"model_id": trained_before},
        )
    with tasks.training_run(reviews["run"], registry):
        model = (
            tasks.resolve_model(undecided, registry, allow_unapproved=True)
            if undecided
            else tasks.train_model(data, chosen, seed, extra, registry, label_map)
        )
        tasks.name_run(f"train with seed {seed}:", model["model_id"])
        evaluation = tasks.evaluate_model(
            model["path"], data, registry, gate_on=gate_on, label_map=label_map
        )
        registered = tasks.register_model(model["path"], evaluation["report"], registry)
        decision = tasks.promote_model(
            registered["model_id"],
            data,
            registry,
            gates,
            batch,
            text_column,
            reference,
            gate_on,
            label_map,
        )
        # The history of decisions in the UI lists runs by name.
        verdict = "promoted" if decision["promote"] else "refused"
        tasks.name_run(f"train with seed {seed} ({verdict}):", model["model_id"])
    result = {**decision, "report": evaluation["report"]}
    message = decision["reason"]
    if keep is not None:
        pruning = tasks.prune_models(keep, registry, return_state=True)
        pruned: Any = pruning.result(raise_on_failure=False)
        # The decision stands, whatever becomes of old versions.
        if pruning.is_completed():
            result |= pruned
        else:
            message += f" Old versions were not all deleted: {pruned}"
    name = "Completed" if decision["promote"] else "NotPromoted"
    return Completed(name=name, message=message, data=result)
