"""Documentation that the estimators share."""

DOCUMENTATION = {
    "<embedding parameters>": """
    neighbor_weight : float, default=0.0
        With a weight above 0 rows that are neighbours are so in the code, and groups
        show in pictures; 1.0 is a good start. ``fit`` first draws a map: a code ``m_i``
        for each training row, without a network. It minimises the cross-entropy of UMAP
        [5]_, ``sum_ij w_ij log(1 + d_ij^2) + (1 - w_ij) log(1 + 1 / d_ij^2)``, where
        ``d_ij`` are distances of codes, and ``w_ij`` is how much ``i`` and ``j`` are
        neighbours. The networks then minimise ``mean_i loss(x_i, decode(m_i)) +
        ||encode(x_i) - m_i||^2``. ``transform`` finds the place ``m`` of a row among
        its neighbours, and lowers ``mean (x - decode(z))^2 + 10 neighbor_weight ||z -
        m||^2``, where codes are divided by their deviation: the larger the weight, the
        nearer the code is to the map, and the larger the error of the reconstruction.
        Only there the size of the weight counts: all weights above 0 make the same fit,
        and it may be changed after ``fit``. The result is never replaced by PCA. Rows
        that are held out are not on the map; it has 65,536 random ones of the others at
        most, and the networks are trained on those. The model keeps them, after PCA to
        50 axes at most. Training that goes on keeps the map.

    n_neighbors : int, default=15
        Neighbours of each row with which the map is drawn, by Euclidean distance after
        that PCA, and all other rows at most. More of them show the whole better, fewer
        show small groups. ``fit`` takes about 50 bytes for each pair of neighbours. Not
        used without ``neighbor_weight``.

    transform_n_neighbors : int or "auto", default="auto"
        Rows of the map among which ``transform`` finds the place of a row: at the
        geometric median of their codes, where rows count more the nearer they are in
        the data. Rows far from all rows of the map, by several times the largest
        distance of neighbours there, have the code of the encoder. 0 takes the
        encoder's code for all rows: it is faster, but places new rows between groups
        more often. "auto" is ``n_neighbors``. Not used where ``fit`` drew no map.

    transform_max_iter : int or "auto", default="auto"
        Gradient steps by which ``transform`` improves each code: towards the minimum of
        ``mean (x - decode(z))^2``, which the encoder only guesses [4]_; with a map, of
        what is minimised there. PCA's code is at its minimum too. ``reconstruct``,
        ``score`` and ``score_samples`` see the better codes; ``jacobian``, held-out
        scores and training see those before the steps. A step costs as much as three
        times decoding. Of ordered codes it is the minimum of what training minimises,
        for all prefixes together; ``truncate`` leaves one of them. Codes may leave the
        range of ``code_activation``. Rows with NaN, where they are allowed, take no
        steps. "auto" is 3; it is 0 where PCA was kept, and without a map also with
        ``noise``, ``code_activation`` or another ``loss``. See ``transform_max_iter_``.
""",
    "<embedding attributes>": """
    transform_max_iter_ : int
        Steps that "auto" stands for.

    transform_n_neighbors_ : int
        Neighbours that "auto" stands for; 0 without a map.
""",
    "<corruption parameters>": """
    noise : str or callable, default="gaussian"
        Corruption of rows less ``mean_`` and divided by ``scale_``:

        - "gaussian": adds normal noise of the deviation ``noise_level``;
        - "uniform": adds noise drawn evenly from ``-noise_level`` to ``noise_level``;
        - "masking": sets entries to 0, in the unit of the data, with the chance
          ``noise_level`` [2]_;
        - "gaps": sets them to the mean, which is what NaN looks like to the network;
        - "salt_and_pepper": sets them to the least or largest value in the batch;
        - "block": sets a share ``noise_level`` of neighbouring features, one at least,
          to the mean, in images a box;
        - "swap": replaces entries by the feature's value in another row, with the
          chance ``noise_level``: for tables;
        - a function ``(x, generator) -> x`` of a tensor of rows, which should draw
          from the ``torch.Generator`` alone. It may change ``x``. Both are on the CPU,
          whatever ``device`` is.

    noise_level : float, default=0.1
        How much: in units of ``scale_`` for "gaussian" and "uniform", else a share in
        [0, 1]. With 0.0 nothing is corrupted. Not used by a function.

    emphasis : float, default=0.0
        By how much less entries count in the loss that were not corrupted [2]_: 0.0
        counts all alike, 1.0 the corrupted ones alone. It makes no difference with
        "gaussian" and "uniform", which corrupt every entry.
""",
    "<embedding references>": """
    .. [4] Y. Kim, S. Wiseman, A. Miller, D. Sontag and A. Rush, "Semi-amortized
       variational autoencoders", ICML 2018.
    .. [5] L. McInnes, J. Healy and J. Melville, "UMAP: Uniform manifold approximation
       and projection for dimension reduction", arXiv:1802.03426, 2018.
""",
    "<network parameters>": """
    hidden_layer_sizes : int, array-like of int or "auto", default="auto"
        Widths of the encoder's hidden layers, outermost first; the decoder mirrors
        them. ``()`` makes encoder and decoder one linear map each; "auto" is one layer
        of four times the features, but from 128 to 512. A second one, half as wide,
        follows for ordered codes and for 300 rows or more; for less than 512 features,
        and with ``neighbor_weight``, the first is then of 256 at most. Without order
        there is no second one where there are both 512 features or more and 16
        components or more. Those of ``ConvAE`` follow its convolutions, and "auto" is
        one of 256.

    activation : str or callable, default="gelu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu",
        "leaky_relu", "elu", "gelu", "silu", "softplus", or a class such as
        ``torch.nn.Mish``.

    code_activation : str or callable, default="identity"
        Activation of the code, from the same list.

    loss : str or callable, default="squared_error"
        Distance between a row ``x`` and its reconstruction ``x^``, a mean over
        features:

        - "squared_error": ``(x - x^)^2``;
        - "absolute_error": ``|x - x^|``;
        - "gaussian": ``((x - x^)^2 / v + log v) / 2`` with a learnt variance ``v``,
          ``noise_variance_``;
        - "bernoulli": ``-x log x^ - (1 - x) log(1 - x^)`` for data in [0, 1];
        - "poisson": ``x^ - x log x^`` for counts and other values from 0 up;
        - a function ``(reconstruction, rows) -> Tensor`` such as
          ``torch.nn.functional.huber_loss``, of which the mean is taken. It sees whole
          rows, and where an entry does not count the same value in both.

        The first three and functions compare rows less ``mean_`` and divided by
        ``scale_``, "bernoulli" rows as they are; "poisson" leaves a constant out.

    tied_weights : bool, default=False
        Whether the decoder's weights are the encoder's, transposed. Biases are not.

    init : {"pca", "random"}, default="pca"
        How training starts:

        - "pca": encoder and decoder are a linear map, which is PCA's and stays so, plus
          a network, whose answers start at zero; other weights and biases are drawn as
          torch's are, those of ``ConvAE`` as by "random". Before the first step the
          autoencoder is PCA.
          With ``early_stopping`` what is trained is kept only if it explains more of
          the held-out rows than PCA, by a paired t test at the level 0.025; if not, the
          weights are PCA's of all rows. So on few rows, where a gain may be luck, PCA
          mostly stays. "absolute_error", "bernoulli" and "poisson" are compared by
          their own values, for which PCA's answer is clipped to their domain.
          ``code_activation`` must be "identity".
        - "random": networks alone, their weights Glorot-uniform with biases of zero,
          save the last, with which the first reconstruction lies about the mean.
""",
    "<custom parameters>": """
    encoder : callable, default=None
        A function ``(n_inputs, n_outputs) -> torch.nn.Module`` that makes the encoder's
        network in place of ``hidden_layer_sizes``, such as one with convolutions or
        residual blocks. The module maps rows of shape (n, n_inputs), standardised, to
        (n, n_outputs), where ``n_outputs`` is ``n_components``. It draws its own first
        weights. What it answers is multiplied by a learnt weight for each component,
        which starts at 0 with ``init="pca"`` and at 1 with ``init="random"``, and a
        learnt bias is added. None makes layers. It needs ``tied_weights=False``.

    decoder : callable, default=None
        The same for the decoder: from ``n_components`` to the number of features.
        Ordered codes have a decoder for each width that is trained.
""",
    "<training parameters>": """
    solver : str or callable, default="adamw"
        "adam", "adamw", "sgd" (Nesterov momentum 0.9), "rmsprop", "lbfgs" (all rows at
        once, with a line search, in one thread), or a ``torch.optim`` class.

    learning_rate_init : float, default=0.01
        Step size at the start. Not used by "lbfgs".

    learning_rate : {"averaged", "constant", "cosine"}, default="averaged"
        How large steps are after the first:

        - "averaged": they grow to ``learning_rate_init`` in 20 steps, and stay.
          Exponential averages of the weights over the steps are judged, kept and gone
          on from (Polyak and Juditsky, "Acceleration of stochastic approximation by
          averaging", 1992). Where these gain no more, training goes back to the best of
          them, and on in three stages: with 3 times the weight decay; with 0.3 of the
          step size and 0.25 of the decay; with 0.1 and 0.06. A decay that is given
          stays, and the first of these stages is left out. Each ends after half of
          ``n_iter_no_change`` epochs without a gain.
        - "constant": they stay. Callbacks that set the rate need it, and
          ``partial_fit`` always uses it.
        - "cosine": they fall along half a cosine to zero at the end of ``max_iter``
          epochs.

    weight_decay : float or "auto", default="auto"
        Weight of the L2 penalty, half the sum of all squared weights, biases left out;
        "adamw" decays weights apart from the loss instead. "auto" is 2.0, or 8.0 of
        ordered codes, over the number of batches in an epoch (in ``partial_fit`` over
        100) for "adamw", else 0.0; of ``ConvAE`` it is 80.0 over that number, at most
        0.5. With a class as solver, 0.0 leaves that class's own default.

    batch_size : int or "auto", default="auto"
        Rows in a minibatch; "auto" makes ten equal ones, or five of ordered codes,
        but of 32 to 320 rows, 128 of ``ConvAE``: few rows then still make many steps.
        Not used by "lbfgs".

    max_iter : int or "auto", default="auto"
        Number of epochs at most; a warning says so if the last one still gained. For
        "lbfgs" an epoch is an iteration. "auto" makes about 4000 steps, or 6000 of
        ordered codes, in 1 to 800 epochs. It is 0.3 of that for 512 features or more
        where "auto" would refine codes, unless ``transform_max_iter=0``. With
        ``neighbor_weight`` it is a quarter, but 10 epochs at least. ``ConvAE`` makes
        700 steps in these two cases, else 1400.

    tol : float, default=0.003
        Training stops when the loss, or with ``early_stopping`` the unexplained
        variance, has not fallen by this share of itself in ``n_iter_no_change``
        epochs.

    n_iter_no_change : int or "auto", default="auto"
        See ``tol``. "auto" is as many as make 1000 steps, but 3 to 10, with averaged
        weights; else a quarter of ``max_iter``, at least 10, since a curved code often
        takes long to unfold.

    early_stopping : bool, default=True
        Whether to hold out a random ``validation_fraction`` of the rows, stop by their
        explained variance, whatever the loss, less a penalty if there is one, and go
        back to the weights that were best there. Not used by ``partial_fit``.

    validation_fraction : float, default=0.1
        Share of the rows to hold out; at least ten rows, or a third where there are
        fewer than 30.

    clip : bool, default=False
        Whether reconstructions are clipped to the range of each feature in the training
        rows; in ``ConvAE`` of each channel. ``score`` and ``score_samples`` see that
        too; training, its scores and ``transform_max_iter`` do not.

    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights, ``mean_`` and ``scale_`` of the fit
        before. Rows that it saw then are no test of it when they are held out now: pass
        new rows, or the same to a fit with the same ``early_stopping``.

    callbacks : list of skorch callbacks, default=None
        They may read and change ``net.module_``, ``net.optimizer_``, ``net.history``;
        ``valid_loss`` there is the unexplained variance. Scoring ones such as
        ``EpochScoring`` need labels and do not work, and what monitors "valid_loss"
        needs held-out rows, as ``fit`` with ``early_stopping=True`` has. Callbacks keep
        what they learn, and are pickled with the estimator. Callbacks of scikit-learn
        such as ``ProgressBar`` are set by ``set_callbacks``.

    device : str, default="cpu"
        Where to compute: "cpu", "cuda", "cuda:1", "mps", or "auto" for the first there
        is of CUDA, MPS and CPU. It may be set after ``fit``, and a fitted model whose
        device is absent computes on the CPU.

    verbose : bool or int, default=False
        Whether to print a line for each epoch: its number and how many there are at
        most, the loss, the explained variance of the held-out rows, its seconds, and
        how long training takes at most from then on.

    random_state : int, RandomState instance or None, default=None
        Determines weights, held-out rows and the order of the batches. The same number
        gives the same bits, in any worker of a search too; but steps of more than 5e7
        operations use all threads, and their number may then change last bits. Of fits
        with activations that are callables, threads of one process take turns.
""",
    "<shared attributes>": """
    n_components_ : int
        Width of the code.

    n_iter_ : int
        Number of epochs trained, those of earlier ``partial_fit`` and warm starts
        included.

    loss_curve_ : list of float
        Objective on the training rows, a mean for each epoch, weight decay left out;
        for "lbfgs" before the step.

    history_ : dict of lists
        A column for each of these, with a value for each epoch: "epoch", from 1;
        "loss", as in ``loss_curve_``; "validation_loss", which ends training, the
        unexplained variance of the held-out rows plus the penalty; "explained_variance"
        of the held-out rows; "learning_rate" of the last step; "seconds". Values are
        NaN where no rows were held out. ``pandas.DataFrame(history_)`` makes a table.
        Earlier ``partial_fit`` and warm starts are included.

    validation_scores_ : list of float or None
        Explained variance of the held-out rows after each epoch of the last ``fit``,
        about ``mean_``, corrupted rows where training corrupts; None without
        ``early_stopping``, and after ``partial_fit``.

    best_score_ : float or None
        Explained variance of the held-out rows by the weights that are kept: the best
        of ``validation_scores_`` (where a penalty counts too, or adapts, not always the
        largest), that of the weights before, or ``pca_score_``. Of an ordered code it
        is that of the components kept.

    pca_score_ : float or None
        Explained variance of the held-out rows by PCA of the training rows, at the same
        width: the PCA that training started from, in an earlier fit maybe. None without
        ``early_stopping``, after ``partial_fit``, and with ``init="random"``.

    network_ : torch.nn.Module
        The trained network, on the CPU, with ``encode`` and ``decode``.

    mean_ : ndarray of shape (n_features,)
        What is subtracted from rows, in their unit.

    scale_ : float
        What they are divided by then: the root mean squared deviation over all
        features, in their unit.

    interrupted_ : bool
        Whether Ctrl-C ended the last training.

    stop_reason_ : str
        Why the last training ended: "no_change" for ``n_iter_no_change`` epochs,
        "max_iter", "interrupt", "divergence", or "callback".

    is_pca_ : bool
        Whether the weights are PCA's, for training did not improve on it.

    n_far_rows_ : int
        Number of training rows so far from the mean that held-out rows cannot tell what
        training gains there. They train PCA alone, and rows as far out are left to it.
        In a picture they may lie far from all others.

    batch_size_ : int
        Rows in a minibatch of the last training.

    max_iter_ : int
        Number of epochs that the last training had at most.

    n_iter_no_change_ : int
        Number of epochs without a gain after which it would have stopped.

    weight_decay_ : float
        Its weight of the L2 penalty.

    noise_variance_ : float
        Learnt variance of features about their reconstruction, in the squared unit of
        the data; of ordered codes that of the rows behind
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
