"""Fitted estimators in formats of other programs."""
