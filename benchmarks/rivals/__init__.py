"""Autoencoders that others made, each trained as it comes, in a place of its own."""
