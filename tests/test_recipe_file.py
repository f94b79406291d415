from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from imdb_classifier.config import PRODUCTION, TINY
from imdb_classifier.errors import ConfigurationError, NoInputError
from imdb_classifier.recipe_file import chosen_recipe


def written(tmp_path: Path, text: str, name: str = "mine.toml") -> Path:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    return file


def test_a_file_changes_some_settings_of_a_recipe(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        [training]
        epochs = 8
        learning_rate = 1
        clip_norm = "none"
        [teachers]
        tf_idf_c = 20.0
        """,
    )
    training = replace(PRODUCTION.training, epochs=8, learning_rate=1.0, clip_norm=None)
    assert PRODUCTION.teachers is not None
    teachers = replace(PRODUCTION.teachers, tf_idf_c=20.0)
    expected = replace(PRODUCTION, name="mine", training=training, teachers=teachers)
    for location in (file, str(file)):
        found = chosen_recipe(location)
        assert found == expected
        assert found.to_dict() == expected.to_dict()


def test_base_and_name_are_settings_too(tmp_path: Path) -> None:
    file = written(tmp_path, 'base = "tiny"\nname = "other"\n[network]\nlstm_units = 4\n')
    network = replace(TINY.network, lstm_units=4)
    assert chosen_recipe(file) == replace(TINY, name="other", network=network)
    assert chosen_recipe("tiny") is TINY
    without = 'teachers = "none"\n[network]\nngrams = 0\n'
    assert chosen_recipe(written(tmp_path, without)).teachers is None
    taught = chosen_recipe(written(tmp_path, 'base = "tiny"\n[network]\nngrams = 9\n[teachers]\n'))
    assert taught.teachers == PRODUCTION.teachers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[training]\nepoch = 3",
            r"training\.epoch is unknown \(did you mean training\.epochs\?",
        ),
        ("[trainings]", r"trainings is unknown \(did you mean training\?\); known are encoding,"),
        (
            "[training]\nepochs = 2.5",
            r"In .*mine\.toml, training\.epochs is of type float",
        ),
        ("[training]\nepochs = true", r"training\.epochs is of type bool, not int"),
        ("[training]\nlearning_rate = nan", r"training\.learning_rate is nan"),
        ("[training]\nepochs = 0", r"epochs must be at least 1\. epochs is 0\."),
        ("[teachers]\nsharpness = -1", r"sharpness must be positive\. sharpness is -1\.0\."),
        ('[training]\nepochs = "none"', r"training\.epochs is of type NoneType, not int"),
        ("training = 3", r"training is not a table"),
        ("name = 3", r"name is not a string"),
        ('name = "a b"', r"up to 64 letters"),
        ('base = "best"', r"one of: production, seed, tiny\. It is 'best'"),
        ('name = "seed"', r"must have another name than production, seed, tiny"),
        ("[training", r"must be readable TOML\. .*mine\.toml is not: "),
        ("[network]\nngrams = 0", r"both teachers and n-grams, or neither"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        chosen_recipe(written(tmp_path, text))


def test_a_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(NoInputError, match=r"There is no .*absent\.toml\. Check `recipe`"):
        chosen_recipe(tmp_path / "absent.toml")
