"""Packages that only some uses need: imported late."""

from importlib import import_module
from typing import Any

#: The extra of ours that installs a package.
EXTRAS = {
    "accelerate": "accelerate",
    "matplotlib": "plot",
    "pandas": "frames",
    "pyarrow": "arrow",
    "safetensors": "files",
    **dict.fromkeys(("onnx", "onnxruntime", "onnxscript", "skl2onnx"), "onnx"),
}


def imported(module: str, owner: str) -> Any:
    """Return a module, or raise and name what needs it and the extra that has it."""
    package = module.partition(".")[0]
    try:
        import_module(package)
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{owner} needs {package}, which is not installed: pip install "
            f"'skae[{EXTRAS[package]}]'."
        ) from error
