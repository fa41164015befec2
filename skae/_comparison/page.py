"""A comparison as text, and as a page of HTML."""

import base64
import io
from html import escape
from typing import Any

from sklearn.utils import Bunch

from ..inspection._axes import pyplot
from .measures import LABELS

STYLE = """
body { font-family: system-ui, sans-serif; margin: 2rem; max-width: 75rem; }
table { border-collapse: collapse; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #ccc; }
td { white-space: nowrap; }
img { max-width: 100%; background: white; margin-top: 1.5rem; }
"""
TITLE = "Comparison of transformers"


def written(table: Any) -> Any:
    """Return a table of means and deviations as text, a column for each measure."""
    columns = {
        LABELS[measure]: [_written(*values) for values in table[measure].to_numpy()]
        for measure in table.columns.unique(0)
    }
    return type(table)(columns, index=table.index)


def _written(mean: float, deviation: float) -> str:
    """Return a mean and its deviation; a dash if it was not measured."""
    if mean != mean:
        return "-"
    # A single fold has no deviation.
    return f"{mean:.3g}" + (f" ± {deviation:.1g}" if deviation == deviation else "")


def text_table(table: Any) -> str:
    """Return a table as text."""
    return written(table).to_string()


def html_table(table: Any) -> str:
    """Return a table as HTML; names are escaped."""
    return written(table).to_html(escape=True, border=0)


def html_page(table: Any, figures: Bunch) -> str:
    """Return a page with embedded figures, and close them."""
    images = "\n".join(_image(name, figure) for name, figure in figures.items())
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{TITLE}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{TITLE}</h1>\n<p>Mean ± standard deviation over folds.</p>\n"
        f"{html_table(table)}\n{images}\n</body>\n</html>\n"
    )


def _image(name: str, figure: Any) -> str:
    """Return a figure as part of a page."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    pyplot("Comparison").close(figure)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{escape(name)}" src="data:image/png;base64,{data}">'
