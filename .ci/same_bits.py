"""Compare fits of this tree with those of another commit, bit by bit.

``python .ci/same_bits.py COMMIT`` says for each fit whether codes, reconstructions and
what is told of training are the same. A change that moves code alone moves no bit.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import warnings

ROOT = pathlib.Path(__file__).parents[1]
#: Classes that earlier commits lack.
LATER = ("VariationalAE", "StackedAE", "RecurrentAE", "MaskedAE")
TOLD = ("loss_curve_", "validation_scores_", "best_score_", "pca_score_")


def fits():
    """Yield the name of each fit, its estimator and the rows to encode."""
    import numpy as np
    from sklearn.datasets import load_digits

    import skae

    X, images = load_digits().data[:600], load_digits().images[:600]
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    few = {"max_iter": 6, "random_state": 0}
    yield "undercomplete", skae.UndercompleteAE(4, **few).fit(X), X
    yield "random start", skae.UndercompleteAE(4, init="random", **few).fit(X), X
    yield "ordered", skae.UndercompleteAE(6, ordered=True, **few).fit(X), X
    ordered = skae.UndercompleteAE(6, ordered=True, **few).fit(X)
    yield "truncated", ordered.truncate(3), X
    yield "share of the variance", skae.UndercompleteAE(0.7, **few).fit(X), X
    pictures = skae.UndercompleteAE(2, neighbor_weight=1.0, transform_max_iter=3, **few)
    yield "neighbours, refined", pictures.fit(X), X
    yield (
        "gaussian loss, lbfgs",
        skae.UndercompleteAE(3, loss="gaussian", solver="lbfgs", **few).fit(X),
        X,
    )
    yield "PCA stays", skae.UndercompleteAE(3, **few).fit(X[:40]), X
    for sparsity in ("l1", "kl", "top_k", "batch_top_k", "jump_relu"):
        yield sparsity, skae.SparseAE(80, sparsity=sparsity, **few).fit(X), X
    yield "target", skae.SparseAE(80, target_sparsity=0.1, **few).fit(X), X
    wide = skae.SparseAE(80, sparsity="top_k", k=5, support=2.0, warm_start=True, **few)
    yield "support", wide.fit(X).fit(X), X
    yield "noise", skae.DenoisingAE(8, noise="swap", noise_level=0.2, **few).fit(X), X
    yield "gaps", skae.DenoisingAE(8, emphasis=0.5, **few).fit(gaps), gaps
    yield "contractive", skae.ContractiveAE(4, **few).fit(X), X
    exact = skae.ContractiveAE(4, init="random", jacobian_norm="exact", **few)
    yield "contractive, exact", exact.fit(X), X
    yield "images", skae.ConvAE(4, **few).fit(images), images
    blocks = skae.ConvAE(4, noise="block", noise_level=0.2, **few)
    yield "images, blocks", blocks.fit(images), images
    for cls in (skae.UndercompleteAE, skae.SparseAE, skae.DenoisingAE, skae.ConvAE):
        parts = cls(5, random_state=0).partial_fit(X[:200])
        yield f"partial_fit, {cls.__name__}", parts.partial_fit(X[200:]), X
        warm = cls(5, warm_start=True, **few).fit(X)
        yield f"warm_start, {cls.__name__}", warm.fit(X), X
    if not all(hasattr(skae, name) for name in LATER):
        return
    yield "variational", skae.VariationalAE(4, **few).fit(X), X
    yield "variational images", skae.VariationalAE(2, **few).fit(images), images
    layers = {"hidden_layer_sizes": (32, 16), "pretraining_max_iter": 3}
    yield "stack", skae.StackedAE(5, **layers, **few).fit(X), X
    kinds = skae.StackedAE(5, pretraining=["sparse", "contractive"], **layers, **few)
    yield "stack, penalties", kinds.fit(X), X
    alone = {**few, "max_iter": 0, "init": "random"}
    yield "stack, layers alone", skae.StackedAE(5, **layers, **alone).fit(X), X
    short = [image[: 4 + i % 5] for i, image in enumerate(images)]
    following = skae.RecurrentAE(4, n_ahead=2, hidden_layer_sizes=16, **few)
    yield "sequences", following.fit(short), images
    yield "masked table", skae.MaskedAE(16, **few).fit(gaps), gaps
    yield "masked images", skae.MaskedAE(16, **few).fit(images), images
    if hasattr(skae, "TableAE"):
        table = skae.TableAE(4, categorical_features=[2, 3, 4], **few)
        yield "table", table.fit(gaps), gaps


def digests():
    """Return a digest of what each fit answers and tells."""
    import numpy as np

    warnings.simplefilter("ignore")
    found = {}
    for name, estimator, X in fits():
        digest = hashlib.sha256()
        for answer in (estimator.transform(X), estimator.reconstruct(X)):
            digest.update(np.ascontiguousarray(answer).tobytes())
        if hasattr(estimator, "jacobian"):
            digest.update(np.ascontiguousarray(estimator.jacobian(X[:3])).tobytes())
        told = {name: getattr(estimator, name, None) for name in TOLD}
        digest.update(json.dumps(told, default=float).encode())
        found[name] = digest.hexdigest()
    return found


def run(tree):
    """Return the digests of a tree."""
    call = [sys.executable, str(ROOT / ".ci" / "same_bits.py")]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        call, env=environment, cwd=tree, check=True, text=True, stdout=subprocess.PIPE
    )
    return json.loads(done.stdout)


def main(commit):
    """Print a line for each fit; return how many differ."""
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", commit, "skae"],
            cwd=ROOT,
            check=True,
            capture_output=True,
        )
        subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
        before, now = run(folder), run(ROOT)
    for name in before:
        print("same" if before[name] == now[name] else "DIFFERS", name)
    return sum(before[name] != now[name] for name in before)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(sys.argv[1]))
    print(json.dumps(digests()))
