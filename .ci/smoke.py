"""What a package that was just installed must be able to do, away from its sources."""

import pathlib
import pickle

import numpy as np
import sklearn
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skae

home = pathlib.Path(skae.__file__).parent
assert "site-packages" in home.parts, f"the sources in {home} were imported"
assert (home / "py.typed").exists()
X = load_digits().data
for name in skae.__all__:
    if not name.endswith("AE"):
        continue
    estimator = getattr(skae, name)(8, max_iter=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), estimator).fit(X)
    codes = pickle.loads(pickle.dumps(pipeline)).transform(X)
    np.testing.assert_array_equal(codes, pipeline.transform(X))
pca = PCA(8, random_state=0).fit(X)
autoencoder = skae.UndercompleteAE(8, max_iter=20, random_state=0).fit(X)
explained = skae.metrics.explained_variance
assert explained(autoencoder, X) > explained(pca, X)
print(f"skae {skae.__version__} works with scikit-learn {sklearn.__version__}")
