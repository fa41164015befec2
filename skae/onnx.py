"""Graphs of ONNX of fitted estimators, which run without Python.

Needs the extra ``onnx``: ``pip install "skae[onnx]"``.
"""

from typing import Any

from ._deployment.export import export

__all__ = ["to_onnx"]


def to_onnx(estimator: Any, X: Any, output: str = "transform") -> Any:
    """Return a fitted autoencoder, or a pipeline with one, as a graph of ONNX.

    The graph has one input, ``"X"``, and one output with the name in ``output``. It
    takes any number of rows. Programs run it with onnxruntime, without torch,
    scikit-learn and skae.

    Parameters
    ----------
    estimator : object
        A fitted autoencoder of skae, or a fitted ``Pipeline`` with one. Its other steps
        may be any that skl2onnx knows, such as ``StandardScaler``, ``MinMaxScaler``,
        ``SimpleImputer`` or ``PCA`` before it, and a predictor after it.

    X : array-like of shape (n_samples, n_features)
        Some rows, in the unit of the training data. They tell the shape of a row and
        the dtype of the input: float32 for arrays of float32 or uint8, else float64.
        The graph is checked on them.

    output : {"transform", "reconstruct", "score_samples", "predict", \
"predict_proba"}, default="transform"
        What the graph computes. "reconstruct" of a pipeline is in the unit of ``X``: it
        undoes the steps before the autoencoder. "predict" and "predict_proba" are those
        of a pipeline that ends with a predictor.

    Returns
    -------
    model : onnx.ModelProto
        The graph. ``model.SerializeToString()`` are the bytes of its file.

    Raises
    ------
    ImportError
        If a package of the extra is not installed.
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If a step has no graph, or cannot be undone for "reconstruct".
    ValueError
        If the estimator does not have this output, if ``X`` is not an array of numbers,
        or if no tensor can do what ``transform`` does: see ``to_torch``.
    RuntimeError
        If the graph answers otherwise than the estimator on ``X``, by more than 1e-5 of
        the deviation of the answers, or of the largest answer of the row if that is
        more. No graph is returned then.

    Notes
    -----
    The steps by which ``transform`` improves codes are part of the graph. They amplify
    rounding where a direction of the code hardly changes the reconstruction. A few rows
    may so have a slightly different code; in the check up to 5 % of the rows of ``X``
    may differ by more than 1e-5, 0.5 % by more than 1e-4, and 0.1 % by more than 1e-3,
    or one row. With ``transform_max_iter=0`` none do.

    Examples
    --------
    >>> import onnxruntime
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import MinMaxScaler
    >>> from skae import UndercompleteAE
    >>> from skae.onnx import to_onnx
    >>> X = load_digits().data
    >>> ae = UndercompleteAE(8, max_iter=20, transform_max_iter=0, random_state=0)
    >>> pipeline = make_pipeline(MinMaxScaler(), ae).fit(X)
    >>> model = to_onnx(pipeline, X)
    >>> session = onnxruntime.InferenceSession(model.SerializeToString())
    >>> codes = session.run(["transform"], {"X": X})[0]
    >>> bool(abs(codes - pipeline.transform(X)).max() < 1e-4)
    True
    """
    return export(estimator, X, output)
