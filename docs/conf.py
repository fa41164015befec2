"""Configuration of the documentation's build."""

import skae

project = "skae"
author = copyright = "The skae developers"
version = release = skae.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc"]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
html_theme = "alabaster"
html_theme_options = {"description": "Autoencoders that drop in next to PCA"}
autosummary_generate = True
numpydoc_show_class_members = False
