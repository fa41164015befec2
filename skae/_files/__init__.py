"""Estimators in files: values as JSON and arrays, a checksum, versions."""
