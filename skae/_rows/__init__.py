"""Rows in: checked, measured, standardised, held out, in minibatches; and their PCA."""
