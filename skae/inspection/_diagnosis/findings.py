"""Result of a diagnosis: findings, each with its cure."""

from dataclasses import dataclass
from html import escape

#: What an empty diagnosis shows.
HEALTHY = "healthy: nothing found"


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a fit.

    Parameters
    ----------
    name : str
        Kind of problem, such as "not converged".
    message : str
        What was observed, in numbers.
    cure : str
        What may help: parameters with values, such as "max_iter=400".

    Examples
    --------
    >>> from skae.inspection import Finding
    >>> print(Finding("dead units", "9 of 10 units are zero in all rows.", "alpha=0.1"))
    dead units: 9 of 10 units are zero in all rows. Try: alpha=0.1.
    """

    name: str
    message: str
    cure: str

    def __str__(self) -> str:
        return f"{self.name}: {self.message} Try: {self.cure}."


class Diagnosis(list[Finding]):
    """List of findings, empty and false if a fit is healthy.

    It is shown as lines of text, and as a table in notebooks.

    Parameters
    ----------
    iterable : iterable of Finding, default=()
        The findings.

    Examples
    --------
    >>> from skae.inspection import Diagnosis, Finding
    >>> Diagnosis()
    healthy: nothing found
    >>> Diagnosis([Finding("not converged", "It still improved.", "max_iter=400")])
    1 finding
    - not converged: It still improved. Try: max_iter=400.
    """

    def __repr__(self) -> str:
        if not self:
            return HEALTHY
        heading = f"{len(self)} finding{'s' if len(self) > 1 else ''}"
        return "\n".join([heading, *(f"- {finding}" for finding in self)])

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{HEALTHY}</p>"
        head = "<tr><th>finding</th><th>what was seen</th><th>try</th></tr>"
        cells = ((f.name, f.message, f.cure) for f in self)
        rows = ("".join(f"<td>{escape(c)}</td>" for c in row) for row in cells)
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"
