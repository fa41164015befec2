"""Configuration of the documentation's build."""

import os
import pathlib
import re
import warnings

# Two threads wait for each other on a busy machine: fits would take ten times as long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import skae

# Examples train as little as they can.
warnings.filterwarnings("ignore", "Training ended at max_iter")

CHANGELOG = pathlib.Path(__file__).parents[1] / "CHANGELOG.md"

project = "skae"
author = copyright = "The skae developers"
version = release = skae.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates", "examples"]
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["skae.css"]

html_theme = "pydata_sphinx_theme"
html_title = f"{project} {version}"
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": html_title},
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_persistent": ["search-button"],
    "show_prev_next": False,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without a section: their tables need the width.
html_sidebars = {
    page: []
    for page in (
        "index",
        "installation",
        "tour",
        "migration",
        "benchmarks",
        "contributing",
        "changelog",
    )
}

autosummary_generate = True
# Most literal blocks are formulas.
highlight_language = "none"
# Types are in the descriptions of parameters.
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
# The template of a class names its methods; numpydoc would list inherited ones twice.
numpydoc_show_class_members = False

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "subsection_order": [
        f"examples/{name}" for name in ("reduce", "reconstruct", "generate", "inspect")
    ],
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skae",),
    "inspect_global_variables": True,
    "min_reported_time": 1,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "plot_gallery": "True",
}


def _without_foreign_labels(app, what, name, obj, options, lines):
    """Keep the text of references into scikit-learn's own pages, which are not here."""
    text = "\n".join(lines)
    text = re.sub(r":ref:`([^`<]*?)\s*<[^`>]*>`", r"\1", text)
    lines[:] = re.sub(r":ref:`sphx_glr_[^`]*`|:ref:`(\w+)`", r"\1", text).split("\n")


def _heading(match):
    return f"{match[2]}\n{'=-~'[len(match[1]) - 1] * len(match[2])}"


def _read_changelog(app, docname, source):
    """Fill the page of the changelog from the Markdown file that GitHub shows."""
    if docname == "changelog":
        text = CHANGELOG.read_text().replace("`", "``")
        text = re.sub(r"\[(.+?)\]\((.+?)\)", r"`\1 <\2>`__", text)
        source[0] = re.sub(r"^(#+) (.+)$", _heading, text, flags=re.MULTILINE)


def setup(app):
    """Connect the two hooks above."""
    app.connect("source-read", _read_changelog)
    app.connect("autodoc-process-docstring", _without_foreign_labels)
