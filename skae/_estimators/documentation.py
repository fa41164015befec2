"""Documentation that the estimators share."""

DOCUMENTATION = {
    "<embedding parameters>": """
    neighbor_weight : float, default=0.0
        If above 0, rows that are neighbours in the data are neighbours in the code,
        which shows groups in pictures; 1.0 is a good start. ``fit`` first draws a map
        without a network: a code ``m_i`` for each training row ``x_i``. The map
        minimises the cross-entropy of UMAP [5]_, ``sum_ij w_ij log(1 + d_ij^2) + (1 -
        w_ij) log(1 + 1 / d_ij^2)``, where ``d_ij`` is the distance of the codes ``m_i``
        and ``m_j``, and ``w_ij`` tells how much the rows are neighbours. Then the
        networks minimise ``mean_i loss(x_i, decode(m_i)) + ||encode(x_i) - m_i||^2``.
        ``transform`` finds the place ``m`` of a row among its neighbours on the map,
        and lowers ``mean (x - decode(z))^2 + 10 neighbor_weight ||z - m||^2``, with
        codes divided by their standard deviation. A larger weight keeps the code nearer
        to the map, but increases the reconstruction error. Only ``transform`` uses the
        size of the weight: all weights above 0 give the same ``fit``, and it may be
        changed afterwards. PCA never replaces the result. Held-out rows are not on the
        map. It has at most 65,536 of the others, chosen at random; the networks are
        trained on those. The model stores them, reduced by PCA to at most 32 axes.
        Further training keeps the map.

    n_neighbors : int, default=15
        Number of neighbours of each row for the map, by Euclidean distance after that
        PCA; all other rows if there are fewer. A larger number shows the global
        structure better, a smaller one small groups. ``fit`` takes about 50 bytes for
        each pair of neighbours. Not used without ``neighbor_weight``.

    transform_n_neighbors : int or "auto", default="auto"
        Number of rows of the map from which ``transform`` finds the place of a row. It
        is the geometric median of their codes, weighted by how near the rows are in the
        data. Rows far from the map, by several times the largest distance of neighbours
        there, get the encoder's code. With 0 all rows get it: this is faster, but
        places new rows between groups more often. "auto" is ``n_neighbors``. Not used
        if ``fit`` drew no map.

    transform_max_iter : int or "auto", default="auto"
        Number of gradient steps by which ``transform`` improves each code. They lower
        ``mean (x - decode(z))^2``, whose minimum the encoder only approximates [4]_, or
        with a map the sum given under ``neighbor_weight``. PCA's code is already at its
        minimum. ``reconstruct``, ``score`` and ``score_samples`` use the improved
        codes; ``jacobian``, held-out scores and training use those of the encoder. A
        step costs as much as decoding three times. With ordered codes the steps lower
        the training objective, which covers all prefixes; after ``truncate`` they see
        one prefix only. Codes may leave the range of ``code_activation``. Rows with
        NaN, where allowed, are not improved. "auto" is 1 with a map. Without one it is
        3, but 0 if PCA was kept, or with ``noise``, ``code_activation`` or another
        ``loss``. See ``transform_max_iter_``.
""",
    "<embedding attributes>": """
    transform_max_iter_ : int
        Number of steps that "auto" stands for.

    transform_n_neighbors_ : int
        Number of neighbours that "auto" stands for; 0 without a map.
""",
    "<convolution parameters>": """
    channels : int or sequence of int, default=(32, 64)
        Channels of the encoder's convolutions, from the input to the code. The decoder
        mirrors them.

    kernel_size : int or sequence of int, default=3
        Width of the kernels along each axis: one number, or one for each convolution.

    stride : int or sequence of int, default=2
        Step of the kernels, at most their width: the factor by which a convolution
        makes an image smaller. One number, or one for each convolution. Axes shorter
        than the kernel use a shorter kernel.

    upsampling : {"transpose", "nearest", "linear"}, default="transpose"
        How the decoder makes images larger: by transposed convolutions, or by
        interpolation and a convolution, which costs more but leaves no checkerboard
        (Odena, Dumoulin and Olah, "Deconvolution and checkerboard artifacts", 2016).
        ``tied_weights`` needs "transpose".

    normalization : {"batch", "layer"}, default=None
        What follows each convolution except the decoder's last: batch normalization,
        normalization over all channels and positions of a row, or nothing.
""",
    "<corruption parameters>": """
    noise : str or callable, default="gaussian"
        Corruption of the standardised rows, ``(x - mean_) / scale_``:

        - "gaussian": adds normal noise with standard deviation ``noise_level``;
        - "uniform": adds uniform noise from ``-noise_level`` to ``noise_level``;
        - "masking": sets entries to 0, in the unit of the data, with probability
          ``noise_level`` [2]_;
        - "gaps": sets entries to the mean, with probability ``noise_level``. The
          network sees NaN in the same way;
        - "salt_and_pepper": sets entries to the smallest or largest value in the batch,
          with probability ``noise_level``;
        - "block": sets a share ``noise_level`` of adjacent features, at least one, to
          the mean; in images, a box;
        - "swap": replaces entries by the feature's value in another row, with
          probability ``noise_level``; for tables;
        - a function ``(x, generator) -> x`` of a tensor of rows. It should draw random
          numbers only from the ``torch.Generator``, and may change ``x`` in place. Both
          are on the CPU, for any ``device``.

    noise_level : float, default=0.1
        Size of the corruption: in units of ``scale_`` for "gaussian" and "uniform",
        else a share in [0, 1]. With 0.0 nothing is corrupted. Not used by a function.

    emphasis : float, default=0.0
        Entries that were not corrupted have the weight ``1 - emphasis`` in the loss
        [2]_: with 0.0 all entries count alike, with 1.0 only corrupted ones count. It
        has no effect with "gaussian" and "uniform", which corrupt every entry.
""",
    "<embedding references>": """
    .. [4] Y. Kim, S. Wiseman, A. Miller, D. Sontag and A. Rush, "Semi-amortized
       variational autoencoders", ICML 2018.
    .. [5] L. McInnes, J. Healy and J. Melville, "UMAP: Uniform manifold approximation
       and projection for dimension reduction", arXiv:1802.03426, 2018.
""",
    "<network parameters>": """
    <layer parameters>

    code_activation : str or callable, default="identity"
        Activation of the code, from the same list.

    <loss parameter>

    tied_weights : bool, default=False
        Whether the decoder uses the encoder's weights, transposed. Biases are separate.
        Not available in ``RecurrentAE``.

    <start parameter>
""",
    "<layer parameters>": """
    hidden_layer_sizes : int, array-like of int or "auto", default="auto"
        Widths of the encoder's hidden layers, from the input to the code. The decoder
        mirrors them. With ``()`` the encoder and the decoder are one linear map each.
        "auto" makes:

        - a first layer of ``4 n_features`` units, clipped to [128, 512];
        - a second layer, half as wide, for ordered codes and for 300 rows or more. The
          first layer then has at most 256 units if there are fewer than 512 features.
          Without order there is no second layer if there are both 512 features or more
          and 16 components or more.

        With ``neighbor_weight`` the first layer has at most 256 units. In ``ConvAE``
        the hidden layers follow the convolutions, and "auto" is one layer of 256. In
        ``RecurrentAE`` they are the recurrent layers, one at least, and "auto" is one
        of 64. A dense layer, as wide as the last one, is between them and the code; the
        decoder has one before its output.

    <activation parameter>
""",
    "<activation parameter>": """
    activation : str or callable, default="gelu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or a class such as
        ``torch.nn.Mish``. In ``RecurrentAE`` it is that of the dense layers.
""",
    "<loss parameter>": """
    loss : str or callable, default="squared_error"
        Distance between a row ``x`` and its reconstruction ``x^``, averaged over
        features:

        - "squared_error": ``(x - x^)^2``;
        - "absolute_error": ``|x - x^|``;
        - "gaussian": ``((x - x^)^2 / v + log v) / 2`` with a learnt variance ``v``,
          ``noise_variance_``;
        - "bernoulli": ``-x log x^ - (1 - x) log(1 - x^)``, for data in [0, 1];
        - "poisson": ``x^ - x log x^``, up to a constant, for counts and other values
          from 0 up;
        - a function ``(reconstruction, rows) -> Tensor`` such as
          ``torch.nn.functional.huber_loss``, whose result is averaged. It sees whole
          rows. Entries that do not count have the same value in both arguments.

        The first three and functions compare standardised rows, ``(x - mean_) /
        scale_``; "bernoulli" compares rows as they are.
""",
    "<start parameter>": """
    init : {"pca", "random"}, default="pca"
        How training starts:

        - "pca": the encoder and the decoder are each the sum of PCA's linear map, which
          stays fixed, and a network whose output starts at zero. Before the first step
          the autoencoder is PCA. The other weights and biases are drawn as by torch; in
          ``ConvAE`` as by "random".
          With ``early_stopping`` the trained weights are kept only if they explain more
          of the held-out rows than PCA, by a paired t test at the level 0.025. If not,
          the weights are those of PCA of all rows. With few rows PCA is kept in most
          cases, since a gain may be due to chance. "absolute_error", "bernoulli" and
          "poisson" are compared by their own values, with PCA's reconstruction clipped
          to their domain. ``code_activation`` must be "identity".
        - "random": networks alone, with Glorot-uniform weights and zero biases. The
          last bias is set so that the first reconstruction is near the mean.
""",
    "<custom parameters>": """
    encoder : callable, default=None
        A function ``(n_inputs, n_outputs) -> torch.nn.Module`` that makes the encoder's
        network in place of ``hidden_layer_sizes``, for example with convolutions or
        residual blocks. The module maps standardised rows of shape (n, n_inputs) to (n,
        n_outputs), where ``n_outputs`` is ``n_components``. It draws its own initial
        weights. Each of its outputs is multiplied by a learnt weight, which starts at 0
        with ``init="pca"`` and at 1 with ``init="random"``, and a learnt bias is added.
        The module computes in float32, and pickles keep what its ``state_dict`` holds.
        None uses ``hidden_layer_sizes``. It needs ``tied_weights=False``.

    decoder : callable, default=None
        The same for the decoder, from ``n_components`` to the number of features.
        Ordered codes have a decoder for each trained width.
""",
    "<training parameters>": """
    solver : str or callable, default="adamw"
        "adam", "adamw", "sgd" (Nesterov momentum 0.9), "rmsprop", "lbfgs" (all rows at
        once, with a line search, in one thread), or a ``torch.optim`` class.

    learning_rate_init : float, default=0.01
        Step size at the start. Not used by "lbfgs".

    learning_rate : {"averaged", "constant", "cosine"}, default="averaged"
        How the step size changes:

        - "averaged": it grows to ``learning_rate_init`` in 20 steps, and stays.
          Exponential averages of the weights over the steps are evaluated and kept
          (Polyak and Juditsky, "Acceleration of stochastic approximation by averaging",
          1992). When they improve no more, training goes back to the best, and
          continues in three stages: with 3 times the weight decay; with 0.3 times the
          step size and 0.25 times the decay; with 0.1 and 0.06 times. If
          ``weight_decay`` is a number, it stays fixed, and the first stage is left out.
          Each stage ends after ``n_iter_no_change / 2`` epochs without improvement.
        - "constant": it stays fixed. Callbacks that set the rate need this, and
          ``partial_fit`` always uses it.
        - "cosine": it falls along half a cosine, to zero after ``max_iter`` epochs.

    weight_decay : float or "auto", default="auto"
        Weight of the L2 penalty, ``weight_decay / 2`` times the sum of all squared
        weights, without biases. "adamw" instead decays the weights separately from the
        loss. With "adamw", "auto" is ``2 / n_batches``, where ``n_batches`` is the
        number of batches in an epoch, or 100 in ``partial_fit``. It is ``8 /
        n_batches`` for ordered codes, and ``min(0.5, 80 / n_batches)`` in ``ConvAE``.
        With other solvers, "auto" is 0.0. With a class as solver, 0.0 leaves that
        class's own default.

    batch_size : int or "auto", default="auto"
        Number of rows in a minibatch. "auto" makes 10 equal batches, or 5 for ordered
        codes, of about 32 rows at least, so that few rows still make many steps, and at
        most 320, or 128 in ``ConvAE`` and ``RecurrentAE``. Not used by "lbfgs".

    max_iter : int or "auto", default="auto"
        Maximum number of epochs. A warning is given if the last epoch still improved.
        For "lbfgs" an epoch is an iteration. "auto" makes about 4000 steps, or 6000 for
        ordered codes, in 1 to 800 epochs. With 512 features or more, it makes 0.3 times
        as many where "auto" would refine codes, unless ``transform_max_iter=0``. With
        ``neighbor_weight`` it makes a quarter, in at least 15 epochs. ``ConvAE`` makes
        700 steps if codes are refined or with ``neighbor_weight``, else 1400, or 4000
        if it corrupts rows. ``RecurrentAE`` makes 1500.

    tol : float, default=0.003
        Relative tolerance. Training stops if the loss, or with ``early_stopping`` the
        unexplained variance, has not fallen by ``tol`` times its value for
        ``n_iter_no_change`` epochs.

    n_iter_no_change : int or "auto", default="auto"
        Number of epochs for ``tol``. With averaged weights "auto" is the number that
        makes 1000 steps, clipped to [3, 10]; else it is ``max(10, max_iter / 4)``,
        since a curved code often takes long to unfold.

    early_stopping : bool, default=True
        Whether to hold out a random ``validation_fraction`` of the rows. Training then
        stops by their explained variance, for any ``loss``, minus a penalty if there is
        one, and goes back to the weights that were best. Not used by ``partial_fit``.

    validation_fraction : float, default=0.1
        Share of the rows to hold out: at least ten rows, or a third if there are fewer
        than 30.

    clip : bool, default=False
        Whether to clip reconstructions to the range of each feature in the training
        rows; in ``ConvAE`` and ``RecurrentAE``, of each channel. It affects ``score``
        and ``score_samples``, but not training, its scores and
        ``transform_max_iter``.

    warm_start : bool, default=False
        Whether ``fit`` continues from the weights, ``mean_`` and ``scale_`` of the
        previous fit. Held-out rows that it was trained on before are no fair test: pass
        new rows, or the same rows with the same ``early_stopping``.

    callbacks : list of skorch callbacks, default=None
        They may read and change ``net.module_``, ``net.optimizer_``, ``net.history``;
        ``valid_loss`` there is the unexplained variance. Scoring callbacks such as
        ``EpochScoring`` need labels and do not work. Callbacks that monitor
        "valid_loss" need held-out rows, as in ``fit`` with ``early_stopping=True``.
        Callbacks keep their state, and are pickled with the estimator. Callbacks of
        scikit-learn such as ``ProgressBar`` are set by ``set_callbacks``.

    checkpoint : str or path-like, default=None
        File for the state of ``fit``, which is replaced every five seconds or so. If
        ``fit`` is killed, the same call goes on from there, and ends with the same
        bits. If it was over, the same call takes its result from the file. A file of a
        fit with other rows or parameters is an error. If ``checkpoint`` is an existing
        directory, each fit has a file of its own there, so a search goes on too. Delete
        files that are no longer of use. Needs safetensors, and integers or None as
        ``random_state`` in fits that are to go on. ``partial_fit`` does not use it, and
        ``callbacks`` cannot be stored.

    device : str, default="cpu"
        Where to compute: "cpu", "cuda", "cuda:1", "mps", or "auto" for the first that
        is available of CUDA, MPS and CPU. It may be changed after ``fit``. A fitted
        model whose device is not available computes on the CPU.

    precision : {"float32", "tf32", "bfloat16"}, default="float32"
        Precision of products in training, also in fine-tuning. The weights, the steps
        of the solver, what is computed of held-out rows, and the fitted model are in
        float32 in any case.

        - "float32": 24 significant bits.
        - "tf32": factors of 11 bits, on NVIDIA GPUs from the Ampere generation on;
          ``fit`` raises an error on other devices. The setting belongs to the process:
          while other threads compute, products have the full precision.
        - "bfloat16": layers compute with numbers of 8 bits (Micikevicius et al., "Mixed
          precision training", 2018). Many CPUs are slower with it.

    verbose : bool or int, default=False
        Whether to print a line for each epoch: its number and the maximum, the loss,
        the explained variance of the held-out rows, its seconds, and the longest time
        that training may still take.

    random_state : int, RandomState instance or None, default=None
        Determines the initial weights, the held-out rows and the order of the batches.
        The same number gives the same bits, also in any worker of a search. But steps
        of more than 5e7 operations use all threads, whose number may change the last
        bits. In threads of one process, fits with callable activations take turns.
""",
    "<shared attributes>": """
    n_components_ : int
        Width of the code.

    n_iter_ : int
        Number of epochs trained, including earlier ``partial_fit`` and warm starts.

    loss_curve_ : list of float
        Objective on the training rows, averaged over each epoch, without weight decay;
        for "lbfgs" before the step.

    history_ : dict of lists
        A column for each of these, with a value for each epoch: "epoch", from 1;
        "loss", as in ``loss_curve_``; "validation_loss", which ends training: the
        unexplained variance of the held-out rows plus the penalty;
        "explained_variance" of the held-out rows; "learning_rate" of the last step;
        "seconds". Values are NaN if no rows were held out. It includes earlier
        ``partial_fit`` and warm starts. ``pandas.DataFrame(history_)`` makes a table.

    validation_scores_ : list of float or None
        Explained variance of the held-out rows about ``mean_``, after each epoch of the
        last ``fit``. The rows are corrupted if training corrupts. None without
        ``early_stopping``, and after ``partial_fit``.

    best_score_ : float or None
        Explained variance of the held-out rows by the weights that are kept: the best
        of ``validation_scores_`` (not always the largest, if a penalty counts too, or
        adapts), that of the weights before, or ``pca_score_``. For an ordered code it
        is that of the components kept.

    pca_score_ : float or None
        Explained variance of the held-out rows by PCA of the training rows, at the same
        width. It is the PCA that training started from, perhaps in an earlier fit. None
        without ``early_stopping``, after ``partial_fit``, and with ``init="random"``.

    network_ : torch.nn.Module
        The trained network, on the CPU, with ``encode`` and ``decode``.

    mean_ : ndarray of shape (n_features,)
        Mean that is subtracted from rows, in the unit of the data.

    scale_ : float
        Number that rows are then divided by: the root mean squared deviation over all
        features, in the unit of the data.

    interrupted_ : bool
        Whether Ctrl-C ended the last training.

    stop_reason_ : str
        Why the last training ended: "no_change" for ``n_iter_no_change`` epochs,
        "max_iter", "interrupt", "divergence", or "callback".

    is_pca_ : bool
        Whether the weights are PCA's, because training did not improve on it.

    n_far_rows_ : int
        Number of training rows so far from the mean that held-out rows cannot tell what
        training gains there. Only PCA is fitted to them, and it alone reconstructs rows
        as far out. In a picture they may be far from all others.

    batch_size_ : int
        Rows in a minibatch of the last training.

    max_iter_ : int
        Maximum number of epochs of the last training.

    n_iter_no_change_ : int
        Number of epochs without improvement that would have stopped it.

    weight_decay_ : float
        Its weight of the L2 penalty.

    noise_variance_ : float
        Learnt variance of features about their reconstruction, in the squared unit of
        the data. For ordered codes it is that of the rows behind
        ``explained_variance_ratio_``. Only with ``loss="gaussian"``.

    device_ : str
        Where the network was trained.

    n_features_in_ : int
        Number of features seen in ``fit``.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in ``fit``. Only if ``X`` has feature names that are all
        strings.
""",
}
