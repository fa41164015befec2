"""The stacked autoencoder: its layers are pretrained one after another."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any, ClassVar

from .._machine.interrupts import Interrupts
from .._objectives.corruption import NOISES, Corruption, make_corruption
from .._objectives.layerwise import LayerObjective, layer_penalty
from .._rows.checks import COUNT, NONNEGATIVE, names
from .._training.engine import Engine
from .._training.schedule import Schedule
from .._training.solvers import is_full_batch
from .._training.state import EngineState
from .base import BaseAutoencoder
from .corrupting import check_level
from .data import Data
from .parameters import SharedParameters, autoencoder
from .pretraining import Part, Stack
from .selection import check_learnt
from .state import TrainingState

KINDS = ("plain", "denoising", "sparse", "contractive")
#: How a layer is pretrained by default.
PRETRAINING = Schedule(n_steps=300)


@autoencoder
class StackedAE(BaseAutoencoder):
    """Autoencoder whose layers are trained one after another, then together.

    Layer ``k`` first learns to reconstruct what the layers below it make of the rows,
    ``h_k``, where ``h_1`` is the row itself [1]_ ::

        mean_i  ||h_k - decode_k(encode_k(corrupt(h_k)))||^2 / (n_k s_k^2)
                + alpha penalty

    Here ``encode_k(h) = activation(W h + b)``, ``n_k`` is the width of ``h_k``, and
    ``s_k`` its deviation. ``h_(k+1) = encode_k(h_k)`` is the input of the next layer,
    and ``decode_k`` becomes the layer of the decoder that mirrors layer ``k``. Then the
    whole network minimises ``mean_i loss(x_i, decode(encode(x_i)))``, as
    ``UndercompleteAE`` does.

    With ``init="pca"`` only hidden layers are pretrained, and training starts from PCA.
    If it does not improve on PCA on held-out rows, PCA is kept. With ``init="random"``
    the code is a layer like the others, and the pretrained network is the composition
    of all layers.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code; it may exceed ``n_features``. None is ``n_features``.

    pretraining : str or sequence of str, default="denoising"
        What each layer learns beside the reconstruction of its input. One name is for
        all layers, a sequence has one for each, from the input on:

        - "plain": nothing else;
        - "denoising": it sees a corrupted input, and reconstructs the clean one [2]_;
        - "sparse": ``penalty = sum_j |z_j| ||d_j|| / (s_k sqrt(n_k))``, where ``z =
          encode_k(h)``, and ``d_j`` is the column of the decoder's map for entry ``j``;
        - "contractive": ``penalty = s_k^2 ||d encode_k(h) / d h||_F^2`` [3]_.

    pretraining_max_iter : int or "auto", default="auto"
        Maximum number of epochs of each layer; 0 for no pretraining. "auto" makes about
        300 steps, in 1 to 800 epochs. Layers have the solver, the rate, the batches and
        the held-out rows of the whole network, and stop early by the same rule.

    noise : str or callable, default="gaussian"
        Corruption of the input of "denoising" layers, as in :class:`DenoisingAE`. The
        inputs of all layers are standardised for it. "masking" sets inputs of the first
        layer to 0 in the unit of the data, and those of other layers to an activation
        of 0. "gaps" sets them to their means.

    noise_level : float, default=0.25
        Size of the corruption: in units of ``s_k`` for "gaussian" and "uniform", else a
        share in [0, 1]. With 0.0 nothing is corrupted. Not used by a function.

    alpha : float, default=0.01
        Weight of the penalty of "sparse" and "contractive" layers.

    <network parameters>

    <training parameters>

    Attributes
    ----------
    pretraining_loss_curves_ : list of lists of float
        For each pretrained layer its objective on the training rows, averaged over each
        epoch. Without pretraining it is empty.

    pretraining_max_iter_ : int
        Maximum number of epochs of a layer.

    <shared attributes>

    See Also
    --------
    UndercompleteAE : The same without pretraining.
    DenoisingAE : The whole network sees corrupted rows.

    Notes
    -----
    ``hidden_layer_sizes="auto"`` always makes two hidden layers. ``max_iter=0`` trains
    nothing after pretraining: with ``init="random"`` the result is the composition of
    the layers, with ``init="pca"`` it is PCA.

    ``fit`` pretrains unless it continues by ``warm_start``. Of ``partial_fit`` only the
    first call pretrains, on its rows, which should be many. Callbacks follow the
    training of the whole network only. Ctrl-C in pretraining is raised, and the
    estimator is then unchanged.

    References
    ----------
    .. [1] Y. Bengio, P. Lamblin, D. Popovici and H. Larochelle, "Greedy layer-wise
       training of deep networks", NIPS 2006.
    .. [2] P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked
       denoising autoencoders", JMLR 11, 2010.
    .. [3] S. Rifai, P. Vincent, X. Muller, X. Glorot and Y. Bengio, "Contractive
       auto-encoders: explicit invariance during feature extraction", ICML 2011.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skae import StackedAE
    >>> X = load_digits().data
    >>> ae = StackedAE(8, pretraining_max_iter=5, max_iter=10, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (1797, 8)
    >>> [len(losses) for losses in ae.pretraining_loss_curves_]
    [5, 5]
    """

    pretraining: str | Sequence[str] = "denoising"
    pretraining_max_iter: int | str = "auto"
    noise: str | Corruption = "gaussian"
    noise_level: float = 0.3
    alpha: float = 0.01

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SharedParameters._parameter_constraints,
        "max_iter": [names({"auto"}), COUNT],
        "pretraining": [names(KINDS), "array-like"],
        "pretraining_max_iter": [names({"auto"}), COUNT],
        "noise": [names(NOISES), callable],
        "noise_level": [NONNEGATIVE],
        "alpha": [NONNEGATIVE],
    }

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if isinstance(self.noise, str):
            check_level(self.noise, self.noise_level)
        self._check_kinds()
        if is_full_batch(self.solver) and self._corrupts():
            raise ValueError(
                f"solver={self.solver!r} needs a deterministic objective, but "
                f"pretraining={self.pretraining!r} adds random noise in each step: use "
                "pretraining='plain', or solver='adamw'."
            )
        is_untrained = not any((self.max_iter, self.pretraining_max_iter))
        if is_untrained and self.init == "random":
            raise ValueError(
                "max_iter=0 and pretraining_max_iter=0 would leave random weights: "
                "raise one of them."
            )

    def _check_kinds(self) -> None:
        if isinstance(self.pretraining, AbstractSet | Mapping):
            raise ValueError(
                f"pretraining={self.pretraining!r} has no order of layers: give a list "
                "with one name for each, from the input on, or a single name."
            )
        for kind in self._kinds(1):
            if not isinstance(kind, str) or kind not in KINDS:
                raise ValueError(
                    f"pretraining={self.pretraining!r} holds {kind!r}: each layer "
                    f"needs one of {sorted(KINDS)}."
                )

    def _corrupts(self) -> bool:
        is_noisy = not isinstance(self.noise, str) or self.noise_level > 0
        return is_noisy and "denoising" in self._kinds(1)

    def _kinds(self, n_layers: int) -> list[str]:
        """Return how layers are pretrained; a single name is for all."""
        if isinstance(self.pretraining, str):
            return [self.pretraining] * n_layers
        return list(self.pretraining)

    def _schedule(self, data: Data, width: int) -> Schedule:
        return Schedule(n_layers=2, widest=self._widest_of_two())

    def _pretrain(
        self,
        engine: Engine,
        state: TrainingState,
        data: Data,
        rows: Any,
        interrupts: Interrupts,
    ) -> TrainingState:
        stack, start = Stack(engine, rows, data, interrupts), state.engine
        kinds = self._kinds_of(stack)
        self.pretraining_max_iter_ = self._n_epochs(engine, data)
        self.pretraining_loss_curves_: list[list[float]] = []
        if not self.pretraining_max_iter_:
            return state
        for place, kind in enumerate(kinds):
            if (result := stack.result(place)) is None:
                stack.say(f"Layer {place + 1} of {len(kinds)}, {kind}")
                result = self._train_layer(stack, stack.part(place), kind, start)
            self.pretraining_loss_curves_.append(result["losses"])
            start = replace(start, generator=result["generator"])
        stack.close()
        return replace(state, engine=start)

    def _train_layer(
        self, stack: Stack, part: Part, kind: str, start: EngineState
    ) -> dict[str, Any]:
        """Train a layer; return its losses, and the state of the random generator."""
        objective = self._layer_objective(part, kind)
        layer = stack.run(part, objective, self.pretraining_max_iter_, start)
        check_learnt(self, layer, None, stack.data)
        losses = [epoch["train_loss"] for epoch in layer.epochs()]
        return stack.keep(losses, layer.generator.get_state().numpy())

    def _kinds_of(self, stack: Stack) -> list[str]:
        """Return the kinds of all layers, or raise if there are not as many."""
        kinds = self._kinds(len(stack))
        if len(kinds) != len(stack):
            code = "" if stack.is_added else ", that of the code included"
            raise ValueError(
                f"pretraining={self.pretraining!r} has {len(kinds)} kinds, but there "
                f"are {len(stack)} layers to pretrain with init={self.init!r}{code}: "
                "give one for each, or a single name for all."
            )
        return kinds

    def _n_epochs(self, engine: Engine, data: Data) -> int:
        """Return the maximum number of epochs of a layer."""
        if isinstance(self.pretraining_max_iter, str):
            return PRETRAINING.n_epochs(data.n_training, engine.settings.batch_size)
        return int(self.pretraining_max_iter)

    def _layer_objective(self, part: Part, kind: str) -> LayerObjective:
        """Return what a layer minimises."""
        corrupt = None
        if kind == "denoising":
            corrupt = make_corruption(self.noise, self.noise_level, part.zeros())
        penalty, factor = None, 0.0
        if self.alpha:
            network, scale = part.layer.network, part.unit[1]
            penalty, factor = layer_penalty(
                kind, network, scale, is_full_batch(self.solver)
            )
        terms = corrupt, penalty, self.alpha * factor
        return LayerObjective(part.loss(self.loss), part.below, part.unit, *terms)
