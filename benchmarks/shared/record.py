"""The record of a suite: a file of JSON lines, one for each finished case.

Lines are appended as cases finish, so that a run that was stopped goes on with the
cases that are missing. Arrays go to files beside it.
"""

import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from .suite import Case, Row


class Record:
    """The lines of a suite's finished cases."""

    def __init__(self, folder: pathlib.Path, suite: str):
        self.path = folder / f"{suite}.jsonl"
        self.suite = suite
        text = self.path.read_bytes() if self.path.exists() else b""
        # A run that was killed may have left half a line.
        self._end = text.rfind(b"\n") + 1
        self._seen = self._state()
        lines = enumerate(text[: self._end].splitlines(), 1)
        self.lines = [self._parsed(line, number) for number, line in lines]
        self._places = {key(line["case"]): i for i, line in enumerate(self.lines)}

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        """Return a line of the record."""
        try:
            found = json.loads(line)
            return {**found, "case": found["case"], "figures": found["figures"]}
        except (ValueError, TypeError, KeyError) as error:
            raise SystemExit(
                f"{self.path}, line {number}, is no line of a record ({error!r}): "
                "delete it, and its case will run again."
            ) from None

    def __contains__(self, case: Case) -> bool:
        return key(case) in self._places

    def is_of(self, code: str, case: Case) -> bool:
        """Whether a case is there, with figures by code of this hash."""
        place = self._places.get(key(case))
        return place is not None and self.lines[place].get("code") == code

    def put(self, line: dict[str, Any]) -> None:
        """Write the line of a finished case, and its arrays before it.

        It replaces a line of the same case.
        """
        case, figures = line["case"], line["figures"]
        arrays = {n: v for n, v in figures.items() if isinstance(v, np.ndarray)}
        if arrays:
            path = self._arrays(case)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, **arrays)
        rest = {n: v for n, v in figures.items() if n not in arrays}
        whole = {"suite": self.suite, **line, "figures": rest}
        text = json.dumps(whole, default=_plain)
        if (place := self._places.get(key(case))) is None:
            self._write(text)
            self._places[key(case)] = len(self.lines)
            self.lines.append(json.loads(text))
        else:
            self.lines[place] = json.loads(text)
            self.rewrite()

    def rewrite(self) -> None:
        """Write all lines anew."""
        self._check_unchanged()
        text = "".join(f"{json.dumps(line)}\n" for line in self.lines)
        half = self.path.with_suffix(".part")
        half.write_text(text)
        half.replace(self.path)
        self._end, self._seen = len(text.encode()), self._state()

    def _state(self) -> tuple[int, ...]:
        """Return what differs once another run has written the file."""
        if not self.path.exists():
            return ()
        found = self.path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _check_unchanged(self) -> None:
        if self._seen != self._state():
            raise SystemExit(
                f"{self.path} has changed since it was read. Two runs at once need an "
                "--output each."
            )

    def _write(self, text: str) -> None:
        """Write a line after the last whole one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._check_unchanged()
        with self.path.open("ab") as file:
            file.truncate(self._end)
            file.write(text.encode() + b"\n")
            self._end = file.tell()
        self._seen = self._state()

    def rows(self, cases: Sequence[Case] = ()) -> list[Row]:
        """Return what is recorded, in the order of the cases, others last."""
        place = {key(case): i for i, case in enumerate(cases)}
        lines = sorted(
            self.lines, key=lambda line: place.get(key(line["case"]), len(place))
        )
        return [self._row(line) for line in lines]

    def _row(self, line: dict[str, Any]) -> Row:
        row = line["case"] | line["figures"] | {"seconds": line["seconds"]}
        if (path := self._arrays(line["case"])).exists():
            with np.load(path) as arrays:
                row |= dict(arrays)
        return row

    def _arrays(self, case: Case) -> pathlib.Path:
        """Name the file of a case's arrays."""
        digest = hashlib.sha256(key(case).encode()).hexdigest()[:12]
        return self.path.parent / "arrays" / f"{self.suite}-{digest}.npz"


def key(case: Case) -> str:
    """Return a text that is the same for equal cases."""
    return json.dumps(case, sort_keys=True)


def _plain(value: Any) -> Any:
    """Turn numbers of numpy into those of Python."""
    return value.item()
