"""The recurrent autoencoder, for sequences of equal or of different lengths."""

from typing import Any, ClassVar

from .._networks.network import Network
from .._networks.recurrent import CELLS, Recurrent
from .._rows.checks import POSITIVE_INTEGER, check_layer_sizes, names
from .._training.schedule import Schedule
from .data import Data
from .parameters import autoencoder
from .sequences import SequenceAutoencoder

# Frames of a long sequence with frame_length="auto": more take longer, and gained
# nothing on signals of 140 and 152 steps.
N_FRAMES = 16
# With "auto": fewer underfit heartbeats, and twice as many gained little.
N_UNITS = 64


@autoencoder
class RecurrentAE(SequenceAutoencoder):
    """Recurrent autoencoder of sequences.

    Minimises ``mean_i loss(x_i, decode(encode(corrupt(x_i))))`` where ``encode`` reads
    a sequence step by step with recurrent layers, and ``decode`` answers with the steps
    in reverse order [1]_. The code is a vector of fixed length. Sequences may differ in
    length. With ``n_ahead`` the encoder reads all but the last ``n_ahead`` steps of
    each training sequence, and a second decoder, from the same code, answers with the
    steps that follow [1]_. Training starts from PCA of the padded sequences. If it does
    not improve on PCA on held-out rows, PCA is kept.

    ``X`` is an array (n, length, channels), or a list of arrays (length_i, channels).
    It may also have flat rows, of ``sequence_shape``, or hold the frames of clips, (n,
    length, height, width). ``inverse_transform``, ``reconstruct``, ``jacobian`` and
    ``tangent_space`` return the layout of the training data in place of ``n_features``.
    Methods accept sequences in any of these layouts, with as many steps as the longest
    in ``fit``, or fewer.

    NaN in all channels from a step to the end is padding. The code does not depend on
    how much of it there is, and ``reconstruct`` returns NaN there. Other NaN is a
    missing value. It is replaced by the mean for the network, and ``reconstruct`` fills
    it in. The loss leaves out both.

    Rows are standardised as ``(x - mean_) / scale_``, with one ``scale_`` for all
    features, so the result does not depend on the unit or the origin of the data.
    Computation is in float32.

    Parameters
    ----------
    n_components : int or None, default=2
        Width of the code. None is ``n_features``.

    sequence_shape : int or tuple of int, default=None
        Length and channels of a flat row: (8, 8), or 140 for one channel. Each step has
        its channels side by side. None uses the shape of the array; flat rows then have
        one channel.

    cell : {"gru", "lstm"}, default="gru"
        Units of the recurrent layers: gated recurrent units [3]_, or long short-term
        memory [4]_.

    frame_length : int or "auto", default="auto"
        Number of adjacent steps that the recurrent layers read, and decode, at once:
        longer frames are faster. "auto" is the number of steps to read divided by 16,
        rounded down, but at least 1.

    reverse : bool, default=True
        Whether the decoder answers with the last step first. The encoder has just read
        it, so this order is often easier to learn.

    n_ahead : int, default=0
        Number of steps at the end of each training sequence that the encoder does not
        read, but the decoder answers with. They count as corrupted for ``emphasis``: at
        1.0 they alone are learnt. ``forecast`` returns the steps that follow new
        sequences.

    <corruption parameters>

    <network parameters>

    <training parameters>

    Attributes
    ----------
    sequence_shape_ : tuple of int
        Length of the longest sequence, and number of channels.

    shortest_length_ : int
        Fewest steps that the encoder has read of a sequence in ``fit``. Methods warn of
        shorter ones: their codes may be far off.

    <shared attributes>

    See Also
    --------
    ConvAE : Convolutions in place of recurrent layers, for signals of equal length.
    skae.inspection : Walks through the codes, decoded.

    Notes
    -----
    With ``n_ahead`` methods such as ``transform`` read at most the first ``length -
    n_ahead`` steps of a sequence, where ``length`` is that of the longest in ``fit``.
    Steps after these are compared with the forecast in ``score``, and do not change the
    code. In ``fit`` all sequences count as forecasts, also short ones: their last
    ``n_ahead`` steps are moved to the end of the row. So the last ``n_ahead`` steps of
    ``inverse_transform`` and of ``mean_`` are those that follow the ones read, wherever
    a sequence ends. Sequences of at most ``n_ahead`` steps are read as they are.

    A callable ``noise`` gets arrays (n, length, channels), a callable ``loss`` flat
    rows. ``noise="block"`` hides adjacent steps. ``solver="lbfgs"`` needs
    ``noise_level=0.0``, because its line search fails on a random objective.

    References
    ----------
    .. [1] N. Srivastava, E. Mansimov and R. Salakhutdinov, "Unsupervised learning of
       video representations using LSTMs", ICML 2015.
    .. [2] P. Vincent, H. Larochelle, I. Lajoie, Y. Bengio and P.-A. Manzagol, "Stacked
       denoising autoencoders", JMLR 11, 2010.
    .. [3] K. Cho, B. van Merrienboer, C. Gulcehre, D. Bahdanau, F. Bougares, H. Schwenk
       and Y. Bengio, "Learning phrase representations using RNN encoder-decoder for
       statistical machine translation", EMNLP 2014.
    .. [4] S. Hochreiter and J. Schmidhuber, "Long short-term memory", Neural
       Computation 9, 1997.

    Examples
    --------
    >>> import numpy as np
    >>> from skae import RecurrentAE
    >>> rng = np.random.default_rng(0)
    >>> lengths, phases = rng.integers(12, 21, 200), rng.uniform(0, 6, 200)
    >>> X = [np.sin(np.arange(n) / 2 + p)[:, None] for n, p in zip(lengths, phases)]
    >>> ae = RecurrentAE(3, n_ahead=4, max_iter=10, random_state=0).fit(X)
    >>> ae.transform(X).shape
    (200, 3)
    >>> ae.reconstruct(X).shape
    (200, 20, 1)
    >>> ae.forecast([x[:-4] for x in X]).shape
    (200, 4, 1)
    """

    cell: str = "gru"
    frame_length: int | str = "auto"
    reverse: bool = True

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **SequenceAutoencoder._parameter_constraints,
        "cell": [names(CELLS)],
        "frame_length": [names({"auto"}), POSITIVE_INTEGER],
        "reverse": ["boolean"],
    }

    _network_class: ClassVar[type[Network]] = Recurrent

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.tied_weights:
            raise ValueError(
                "tied_weights=True needs layers with a transpose, which recurrent "
                "layers do not have: use tied_weights=False."
            )

    def _network_options(self, schedule: Schedule, width: int) -> dict[str, Any]:
        return {
            "shape": self.sequence_shape_,
            "n_components": width,
            "hidden": self._hidden(),
            "cell": self.cell,
            "frame_length": self._frame_length(),
            "n_ahead": int(self.n_ahead),
            "reverse": bool(self.reverse),
            "activation": self.activation,
            "code_activation": self.code_activation,
        }

    def _hidden(self) -> list[int]:
        """Return the widths of the encoder's recurrent layers."""
        if isinstance(self.hidden_layer_sizes, str):
            return [N_UNITS]
        if not (hidden := check_layer_sizes(self.hidden_layer_sizes)):
            raise ValueError(
                f"hidden_layer_sizes={self.hidden_layer_sizes} leaves no recurrent "
                "layer: give the width of one or more, such as (64,)."
            )
        return hidden

    def _frame_length(self) -> int:
        n_read = self.sequence_shape_[0] - self.n_ahead
        if self.frame_length == "auto":
            return max(1, n_read // N_FRAMES)
        return min(int(self.frame_length), n_read)

    def _schedule(self, data: Data, width: int) -> Schedule:
        return Schedule(n_steps=1500, largest_batch=128)
