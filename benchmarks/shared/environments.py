"""A virtual environment for each rival, made on demand, for their pins clash."""

import os
import pathlib
import subprocess
import sys
import venv

ROOT = pathlib.Path(__file__).parents[2]
HOME = ROOT / "results" / "rivals"


THREADS = [f"{name}_NUM_THREADS" for name in ("OMP", "MKL", "OPENBLAS", "NUMBA")]


class Failed(RuntimeError):
    """A module ended with an error, of which this is the last line."""


class NotInstalled(RuntimeError):
    """A rival cannot be installed; the last line of pip says why."""


def python_of(requirements: tuple[str, ...]) -> pathlib.Path:
    """Return the interpreter that has a rival, this one if it requires nothing."""
    if not requirements:
        return pathlib.Path(sys.executable)
    folder = HOME / requirements[0]
    binaries = "Scripts" if sys.platform == "win32" else "bin"
    python, done = folder / binaries / "python", folder / "installed"
    if not done.exists():
        venv.create(folder, clear=True)
        install(python, requirements)
        done.touch()
    return python


def install(python: pathlib.Path, requirements: tuple[str, ...]) -> None:
    """Install a rival for an interpreter, by the pip of this one."""
    # Another torch than the constrained one may come with gigabytes for GPUs.
    pinned = ["-c", str(ROOT / "constraints.txt"), "torch", *requirements]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    done = subprocess.run([*command, *pinned], capture_output=True, text=True)
    if done.returncode:
        raise NotInstalled(last_line(done.stderr))


def run_alone(requirements: tuple[str, ...], module: str, *arguments: str) -> None:
    """Run a module in the environment of a rival, with one thread."""
    command = [str(python_of(requirements)), "-m", module, *arguments]
    # Some rivals would take a GPU by themselves, of which processor time says nothing.
    alone = dict.fromkeys(THREADS, "1") | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | alone, capture_output=True, text=True
    )
    if done.returncode:
        raise Failed(last_line(done.stderr))


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return (text.strip().splitlines() or ["no message"])[-1]
