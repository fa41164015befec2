"""Estimators of scikit-learn's other kinds that hold an autoencoder."""
