"""Linear probe: test accuracy of a linear classifier of codes, by a few labels."""

from typing import Any

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedShuffleSplit

N_DRAWS = 10


def accuracies(transformer: Any, n_labels: int, seed: int, data: Any) -> list[float]:
    """Test accuracies of a linear classifier, for each draw of labelled images."""
    X, X_test, y, y_test = data
    codes = transformer.transform(X)
    mean, spread = codes.mean(axis=0), codes.std()
    codes = (codes - mean) / spread
    codes_test = (transformer.transform(X_test) - mean) / spread
    draws = StratifiedShuffleSplit(N_DRAWS, train_size=n_labels, random_state=seed)
    classifier = LogisticRegression(max_iter=1000)
    return [
        classifier.fit(codes[labelled], y[labelled]).score(codes_test, y_test)
        for labelled, _ in draws.split(codes, y)
    ]
