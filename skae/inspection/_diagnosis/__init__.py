"""Problems of a fit, and what may help."""

from collections.abc import Callable
from typing import Any

from sklearn.utils.validation import check_is_fitted

from ..._rows.checks import check_reconstructs
from ..._rows.containers import unmasked
from ..._rows.transformers import reducing_step
from .._asking import bare
from . import codes, rows, training
from .findings import Diagnosis, Finding
from .subject import Subject

__all__ = ["Diagnosis", "Finding", "diagnose"]

#: Each looks for one problem, and returns None if there is no sign of it.
CHECKS: tuple[Callable[[Subject], Finding | None], ...] = (
    training.find_bad_end,
    training.find_early_end,
    training.find_pca_kept,
    training.find_nothing_explained,
    training.find_gap_of_held_out,
    training.find_gap_of_rows,
    training.find_few_held_out,
    rows.find_outside_domain,
    rows.find_other_unit,
    rows.find_far_rows,
    rows.find_heavy_errors,
    rows.find_heavy_distances,
    codes.find_copying,
    codes.find_collapsed_axes,
    codes.find_dead_components,
    codes.find_dead_hidden,
    codes.find_saturated_components,
    codes.find_saturated_hidden,
)


def diagnose(estimator: Any, X: Any = None) -> Diagnosis:
    """Look for problems of a fit, and suggest what may help.

    It looks for these problems in the fitted attributes, codes and reconstructions:

    - "not converged": training diverged, was interrupted, or ended at ``max_iter``
      while it still improved;
    - "PCA kept": training did not improve on PCA, and why;
    - "under-fitted": reconstructions explain less than 1 % of the variance;
    - "over-fitted": the unexplained variance of held-out rows, or of new rows ``X``, is
      at least three times that of training, and 2 % of the variance higher;
    - "held-out rows too few": fewer than 20;
    - "outside the output's range": values that no reconstruction can have with this
      loss, or rows that seem to have another unit: they deviate more than twice as
      much from the mean of training as training rows did, or 20 rows or more have less
      than 0.6 times their deviation, or a mean that is one deviation away;
    - "rows that outweigh all": one row makes a fifth of the squared error or of the
      variance, or rows are so far out that only PCA reconstructs them;
    - "code wide enough to copy": as many components as features or more, and nothing
      that prevents a copy;
    - "collapsed axes": components that are constant, or repeat others;
    - "dead units": components, or hidden units of "relu", that are zero in all rows;
    - "saturated units": components or hidden units of "logistic" or "tanh" that lie
      within 1 % of their range from a bound in 95 % of the rows.

    ``set_params`` after ``fit`` does not change what is found by the parameters that a
    fit keeps. Others are read as they are now: ``alpha``, ``noise_level`` and ``tol``,
    and those of transformers that are not autoencoders.

    Components are reported if more than a tenth are concerned, hidden units if more
    than a quarter are.

    Parameters
    ----------
    estimator : object
        Fitted transformer. For a pipeline it is the last step that is not a scaler, for
        a search the best estimator, and for a ``FrozenEstimator`` what is inside.
    X : {array-like, sparse matrix} of shape (n_samples, ...), default=None
        Training rows or others, in the unit that the estimator was fitted in. With
        None, checks that need rows are skipped. Training rows are recognized by
        ``mean_`` and ``scale_``; "held-out rows too few" needs them.

    Returns
    -------
    diagnosis : Diagnosis
        List of findings, each with ``name``, ``message`` and ``cure``. It is empty, and
        false, if nothing was found.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it cannot reconstruct, and ``X`` is given.
    ValueError
        If the estimator does not accept ``X``, or it has fewer than two distinct rows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.decomposition import PCA
    >>> from skae.inspection import diagnose
    >>> X = load_digits().data
    >>> diagnose(PCA(8).fit(X), X)
    healthy: nothing found
    >>> for finding in diagnose(PCA(64).fit(X), X):
    ...     print(finding.name, "->", finding.cure)
    code wide enough to copy -> n_components=32
    """
    check_is_fitted(estimator)
    X = unmasked(X, allow_nan=True, owner=type(estimator).__name__)
    step, _, X = reducing_step(bare(estimator), X)
    subject = Subject(step, X)
    if X is not None:
        check_reconstructs(subject.estimator)
    if X is not None and not subject.has_rows:
        raise ValueError(
            f"X has {len(subject.rows)} rows, of which no two differ: pass two or more "
            "distinct rows, or X=None to check the estimator only."
        )
    findings = (check(subject) for check in CHECKS)
    return Diagnosis(finding for finding in findings if finding is not None)
