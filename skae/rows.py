"""Rows that do not fit in memory, for ``fit`` and the other methods.

Most stores need nothing from here: pass an open ``h5py.Dataset``, a ``zarr.Array``, an
array or a frame of dask, a ``torch.utils.data.Dataset`` or an ``np.memmap`` as ``X``.
"""

from collections.abc import Sequence
from typing import Any

from ._rows.arrow import ArrowRows, open_arrow

__all__ = ["from_arrow"]


def from_arrow(data: Any, columns: Sequence[str] | None = None) -> ArrowRows:
    """Read columns of Parquet or other Arrow files as rows, a part at a time.

    Parameters
    ----------
    data : str, path, list of them, or pyarrow.dataset.Dataset
        Files, a folder of files in the format of Parquet, or a data set.
    columns : sequence of str, default=None
        Columns of numbers or booleans, in this order. None is all.

    Returns
    -------
    rows : object of shape (n_samples, n_columns)
        Rows for ``fit``, ``transform`` and other methods of autoencoders. It has
        ``shape`` and ``dtype``: float32 if that holds the values of all columns
        exactly, else float64. Slices are arrays. Missing values are NaN.

    Raises
    ------
    ImportError
        If pyarrow is not installed.
    ValueError
        If a column is not there, or does not hold numbers.

    Notes
    -----
    A row group is read at once, so it must fit in memory. Row groups of 10,000 to
    100,000 rows are suitable. Columns have their names, as those of a frame.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_iris
    >>> from skae import UndercompleteAE
    >>> from skae.rows import from_arrow
    >>> table = load_iris(as_frame=True).data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "iris.parquet"
    ...     table.to_parquet(path)
    ...     rows = from_arrow(path, columns=list(table.columns[:3]))
    ...     ae = UndercompleteAE(2, init="random", random_state=0).fit(rows)
    >>> rows.shape
    (150, 3)
    >>> ae.feature_names_in_[0]
    'sepal length (cm)'
    """
    return open_arrow(data, columns)
