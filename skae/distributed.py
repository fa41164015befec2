"""Fits that several processes or GPUs share.

Needs the extra ``accelerate``: ``pip install "skae[accelerate]"``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ._machine.extras import imported
from ._machine.processes import Processes, shared_by

__all__ = ["data_parallel"]


@contextmanager
def data_parallel(accelerator: Any = None) -> Iterator[Any]:
    """Share the minibatches of each fit in a block among all processes.

    Start the same script in several processes, by ``torchrun`` or by ``accelerate
    launch``. Each process calls ``fit`` or ``partial_fit`` with the same parameters and
    rows. In each step, each process computes the gradient of the loss of its part of
    the batch. ``batch_size`` is that of the whole batch, so the result is that of a
    single process, up to rounding.

    The first process decides and writes: it validates, stops, compares with PCA, prints
    and warns, and writes the file of ``checkpoint``. Afterwards all processes have the
    same fitted estimator, bit for bit. It can be used and pickled anywhere.

    With ``device="auto"`` or ``"cuda"`` each process computes on its own GPU. In a
    single process the block changes nothing.

    Parameters
    ----------
    accelerator : accelerate.Accelerator, default=None
        The processes. By default it is ``Accelerator()`` on GPUs, and
        ``Accelerator(cpu=True)`` on a machine without. Pass one to choose its
        time-out, as the example shows. If torch's process group exists, it is used.

    Yields
    ------
    accelerator : accelerate.Accelerator
        The same. ``accelerator.is_main_process`` tells which process should print.

    Raises
    ------
    ImportError
        If accelerate is not installed.
    ValueError
        In ``fit``, in all processes, if rows or parameters are not the same in all of
        them. Four million values of large ``X`` are compared. If a part of the network
        or a function of yours needs all rows of a batch.
    RuntimeError
        In ``fit``, if another process ended or did not answer within the time-out of
        the process group. The estimator is then unchanged.

    Notes
    -----
    The time-out is 10 minutes on GPUs and 30 on CPUs, unless you choose another. While
    the first process reads rows, starts from PCA or validates, the others wait: so the
    time-out must be longer than each of these.

    A search with ``n_jobs=1`` in the block shares each of its fits. Workers of a search
    fit alone. So do callbacks that fit another estimator.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from accelerate import Accelerator
    >>> from accelerate.utils import InitProcessGroupKwargs
    >>> from sklearn.datasets import load_digits
    >>> import skae
    >>> X = load_digits().data
    >>> ae = skae.UndercompleteAE(8, max_iter=20, random_state=0)
    >>> patience = InitProcessGroupKwargs(timeout=timedelta(hours=2))
    >>> accelerator = Accelerator(cpu=True, kwargs_handlers=[patience])
    >>> with skae.distributed.data_parallel(accelerator):
    ...     ae = ae.fit(X)
    >>> ae.transform(X).shape
    (1797, 8)
    """
    accelerate = imported("accelerate", "skae.distributed.data_parallel")
    if accelerator is None:
        accelerator = accelerate.Accelerator(cpu=not torch.cuda.is_available())
    with shared_by(_processes_of(accelerator)):
        yield accelerator


def _processes_of(accelerator: Any) -> Processes | None:
    """Return the processes of an accelerator; None if it is a single one."""
    size, started = accelerator.num_processes, os.environ.get("WORLD_SIZE", "1")
    device = accelerator.device
    if size > 1:
        # accelerate numbers the CPU, which torch does not.
        own = torch.device("cpu") if device.type == "cpu" else device
        return Processes(accelerator.process_index, size, own)
    if started not in ("", "1"):
        raise ValueError(
            f"{started} processes were started, but accelerator={accelerator!r} has "
            "only one: use Accelerator(cpu=True) on a machine without a GPU."
        )
    return None
