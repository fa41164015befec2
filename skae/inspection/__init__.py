"""What a fitted autoencoder has learnt: walks, explanations and a diagnosis.

They work on any transformer with ``inverse_transform``: an autoencoder, ``PCA``, or a
``Pipeline`` of them.

Walks through the space of codes, decoded, return a :class:`sklearn.utils.Bunch` of
``codes``, shape (n_steps, n_components), and ``reconstructions``, shape (n_steps,
n_features), or (n_steps, ...) where the transformer answers with images. Explanations
return data frames with the names of features.
"""

from ._diagnosis import Diagnosis, Finding, diagnose
from ._errors import reconstruction_errors
from ._influence import FeatureInfluenceDisplay, feature_influence
from ._walks import interpolate, traverse_component, traverse_direction

__all__ = [
    "Diagnosis",
    "FeatureInfluenceDisplay",
    "Finding",
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
