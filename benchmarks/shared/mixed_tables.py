"""Tables of numbers, booleans and categories: files under SKAE_DATA, and made ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris

from .data_sets import remember, stored_folder

STORED = {
    "titanic": "titanic.csv",
    "penguins": "penguins.csv",
    "diamonds": "diamonds.csv.gz",
    "adult": "adult_complete.csv.gz",
}


def _two_traits() -> pd.DataFrame:
    """Curved functions of two hidden traits, with noise: numbers and categories."""
    rng = np.random.default_rng(0)
    u, v = rng.uniform(-2, 2, (2, 3000))
    numbers = np.column_stack([np.sin(2 * u), u * v, np.cos(2 * v), u, v])
    noisy = numbers + 0.1 * rng.normal(size=numbers.shape)
    age = np.floor(u + 2 + 0.2 * rng.normal(size=len(u))).clip(0, 3).astype(int)
    ring = np.digitize(np.hypot(u, v), [1, 1.8])
    return pd.DataFrame(noisy, columns=list("abcde")).assign(
        positive=u + v > 0.3,
        age=pd.Categorical.from_codes(age, ["young", "mid", "older", "old"]),
        ring=np.array(["inner", "middle", "outer"])[ring],
    )


def _answers() -> pd.DataFrame:
    """Answers of a questionnaire that depend on four hidden opinions, with gaps."""
    rng = np.random.default_rng(1)
    opinions, columns = rng.normal(size=(1500, 4)), {}
    for j in range(6):
        logits = 2 * opinions @ rng.normal(size=(4, 2 + j)) + rng.gumbel(size=(1500, 1))
        columns[f"choice {j}"] = np.array(list("ABCDEFG"))[logits.argmax(axis=1)]
    marks = opinions @ rng.normal(size=(4, 6)) + 0.5 * rng.normal(size=(1500, 6))
    for j, mark in enumerate(marks.T):
        columns[f"mark {j}"] = np.round(2 * mark)
    columns["member"] = opinions @ rng.normal(size=4) > 0
    frame = pd.DataFrame(columns)
    is_asked = frame.columns != "member"
    return frame.mask((rng.random(frame.shape) < 0.05) & is_asked)


def _iris() -> pd.DataFrame:
    bunch = load_iris(as_frame=True)
    return bunch.data.assign(species=bunch.target_names[bunch.target])


MADE: dict[str, Callable[[], pd.DataFrame]] = {
    "two traits": _two_traits,
    "answers": _answers,
    "iris": _iris,
}
TABLES = (*STORED, *MADE)


def mixed_table(name: str) -> pd.DataFrame:
    """Return a table by name."""
    if name in MADE:
        frame = MADE[name]()
    else:
        frame = pd.read_csv(stored_folder("mixed") / STORED[name])
    remember(name, pd.util.hash_pandas_object(frame, index=False).to_numpy())
    return frame


def numbers_of(frame: pd.DataFrame) -> list[Any]:
    """Return the names of the columns of numbers."""
    return [name for name in frame if frame[name].dtype.kind in "iuf"]


def categories_of(frame: pd.DataFrame) -> list[Any]:
    """Return the names of the columns of booleans and categories."""
    return [name for name in frame if name not in numbers_of(frame)]
