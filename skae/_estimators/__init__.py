"""Estimators: scikit-learn's shell, and a file for each autoencoder."""
