"""One file: a safetensors file whose metadata holds the rest, and a checksum of all."""

import glob
import hashlib
import json
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from .._machine.extras import imported

#: Begins the header of each file, and the checksum follows: metadata come first.
BEGIN = b'{"__metadata__":{"skae":"{\\"sha256\\":\\"'
#: Where the checksum is: after the length of the header, of 8 bytes, and BEGIN.
PLACE = slice(8 + len(BEGIN), 8 + len(BEGIN) + 64)
#: The first bytes of other files.
OTHERS = {
    b"\x80": "a pickle, perhaps of joblib: load it by pickle or joblib if you trust it",
    b"PK\x03\x04": "a zip file, such as those of skops and torch.save",
    b"\x1f\x8b": "compressed by gzip",
    b"x\x9c": "compressed by zlib, perhaps by joblib",
    b"\x89HDF": "an HDF5 file",
}


def seal(
    description: dict[str, Any], arrays: dict[str, np.ndarray], owner: str
) -> bytes:
    """Return the bytes of a file with a description of JSON and with arrays."""
    blank = {"sha256": "0" * 64, **description}
    text = json.dumps(blank, allow_nan=False, separators=(",", ":"))
    write = imported("safetensors.numpy", owner).save
    raw = bytearray(write(arrays, {"skae": text}))
    if raw[8 : PLACE.start] != BEGIN:
        raise RuntimeError("This version of safetensors has another order of metadata.")
    raw[PLACE] = hashlib.sha256(raw).hexdigest().encode()
    return bytes(raw)


def unseal(raw: bytes, path: Any, owner: str) -> tuple[Any, dict[str, np.ndarray]]:
    """Return description and arrays of a file that is as it was written, or raise."""
    check_seal(raw, path)
    arrays = imported("safetensors.numpy", owner).load(raw)
    n_bytes = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + n_bytes])
    description = json.loads(header["__metadata__"]["skae"])
    # Arrays of their own may be written to, and free the file's memory.
    return description, {name: array.copy() for name, array in arrays.items()}


def check_seal(raw: bytes, path: Any) -> None:
    """Raise unless bytes are those of a file of ours, all of them unchanged."""
    if raw[8 : PLACE.start] != BEGIN:
        raise ValueError(f"{path} is not a file that save has written: {_told(raw)}.")
    blank = bytearray(raw)
    blank[PLACE] = b"0" * 64
    if raw[PLACE] != hashlib.sha256(blank).hexdigest().encode():
        raise ValueError(
            f"{path} was changed or cut off after it was saved: its SHA-256 checksum "
            "differs from the one in it. Copy it again, or save the estimator again."
        )


def _told(raw: bytes) -> str:
    """Say what a file of another kind is."""
    if not raw:
        return "it is empty"
    if raw[8:9] == b"{":
        return "it is another safetensors file, or its first bytes were changed"
    found = (told for first, told in OTHERS.items() if raw.startswith(first))
    return "it is " + next(found, f"of an unknown kind and begins with {raw[:8]!r}")


def replace(path: Any, raw: bytes) -> None:
    """Write a file as a whole: if that fails, the file before is still there."""
    if not os.fspath(path):
        raise ValueError(f"{path!r} names no file: give a path.")
    target = Path(os.path.realpath(path))
    own = f"{os.getpid()}.{secrets.token_hex(8)}"
    part = target.with_name(f".{target.name[:100]}.{own}.part")
    try:
        with open(part, "xb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            part.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(part, target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            told = f"{target} cannot be written: {error.strerror}"
            raise OSError(error.errno, told) from error
        raise
    _sync_folder(target.parent)


def remove_parts(path: Path) -> None:
    """Delete what a process that was killed while it wrote this file has left."""
    begin = f".{path.name[:100]}."
    for part in path.parent.glob(f"{glob.escape(begin)}*.part"):
        found = re.fullmatch(r"(\d+)\.[0-9a-f]{16}\.part", part.name[len(begin) :])
        if found and not _is_running(int(found[1])):
            part.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    """Whether a process runs, or may run."""
    if os.name != "posix":
        return True
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True


def _sync_folder(folder: Path) -> None:
    """Let the name of a new file outlast a loss of power, where that is possible."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
