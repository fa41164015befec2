"""Inspection of fitted autoencoders: walks, explanations, displays.

Everything works with any transformer that has ``inverse_transform``: an autoencoder,
``PCA``, or a ``Pipeline`` of them.

Walks return a :class:`sklearn.utils.Bunch` of ``codes``, shape (n_steps, n_components),
and ``reconstructions``, shape (n_steps, n_features), or (n_steps, ...) if the
transformer returns images.

Explanations return data frames with the names of features. They need pandas: ``pip
install 'skae[frames]'``.

Displays work as those of scikit-learn: ``from_estimator`` computes and draws, ``plot``
draws again, and the drawn numbers are attributes. They need matplotlib: ``pip install
'skae[plot]'``.
"""

from ._code_grid import CodeGridDisplay
from ._codes import CodeDisplay
from ._diagnosis import Diagnosis, Finding, diagnose
from ._errors import reconstruction_errors
from ._explained_variance import ExplainedVarianceDisplay
from ._filters import FilterDisplay
from ._influence import FeatureInfluenceDisplay, feature_influence
from ._loss_curve import LossCurveDisplay
from ._reconstruction import ReconstructionDisplay
from ._sparsity import SparsityDisplay
from ._traversal import TraversalDisplay
from ._vector_field import VectorFieldDisplay
from ._walks import interpolate, traverse_component, traverse_direction

__all__ = [
    "CodeDisplay",
    "CodeGridDisplay",
    "Diagnosis",
    "ExplainedVarianceDisplay",
    "FeatureInfluenceDisplay",
    "FilterDisplay",
    "Finding",
    "LossCurveDisplay",
    "ReconstructionDisplay",
    "SparsityDisplay",
    "TraversalDisplay",
    "VectorFieldDisplay",
    "diagnose",
    "feature_influence",
    "interpolate",
    "reconstruction_errors",
    "traverse_component",
    "traverse_direction",
]
for _name in __all__:
    # Pickles name public paths only.
    globals()[_name].__module__ = __name__
