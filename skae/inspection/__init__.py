"""What a fitted autoencoder has learnt: walks through the space of codes, decoded.

They work on any transformer with ``inverse_transform``: an autoencoder, ``PCA``, or a
``Pipeline`` of them. Each returns a :class:`sklearn.utils.Bunch` of ``codes``, shape
(n_steps, n_components), and ``reconstructions``, shape (n_steps, n_features), or
(n_steps, ...) where the transformer answers with images.
"""

from ._walks import interpolate, traverse_component, traverse_direction

__all__ = ["interpolate", "traverse_component", "traverse_direction"]
for _function in (interpolate, traverse_component, traverse_direction):
    # Pickles name public paths only.
    _function.__module__ = __name__
