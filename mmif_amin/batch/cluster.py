"""The engine that fuses studies on many workers with Dask: a study a task, the network loaded once a worker."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dask
import psutil
from dask.system import CPU_COUNT
from distributed import Client, Future, KilledWorker, LocalCluster, Worker, WorkerPlugin, as_completed, get_worker, wait
from distributed.comm import CommClosedError
from distributed.system import MEMORY_LIMIT
from tqdm import tqdm

from .. import __version__
from ..dicom_objects.deidentify import deidentifies
from ..memory import keep_freed_memory
from ..scripts.data.study import Study
from ..scripts.utils.checks import InputError, first_line, input_error_behind
from ..studies import with_network
from .estimate import study_bytes
from .names import hashed_name, public_name, public_reason
from .run import fuse_one
from .table import FAILED, Row

__all__ = ["DaskEngine", "local_cluster", "thread_share"]

TRIES = 2  # of a study whose worker ends without a word
CONNECT_SECONDS = 15
LOOK_SECONDS = 10  # between two looks whether there are workers
LOST = "The connection to the Dask scheduler was lost. Start the same command again, it goes on where it was."
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
SETTINGS = {
    "distributed.scheduler.allowed-failures": TRIES - 1,
    "distributed.nanny.pre-spawn-environ": dict.fromkeys(THREADS, 1),  # without Dask's settings of malloc
}
# How a worker of this machine starts. A terminal sends Ctrl-C to it too, but it is the main process that ends it.
START = """
import signal
from mmif_amin.memory import quick_imports
signal.signal(signal.SIGINT, lambda *_: None)
with quick_imports():
    import mmif_amin.batch.cluster
"""


@dataclass(frozen=True)
class DaskEngine:
    """Fuses studies on Dask workers; an ``Engine`` of ``batch.run``.

    As many studies run at once as there are threads of workers and as fit into the memory by the estimate from their
    headers. A study that does not fit becomes a failed row. A study whose worker ends without a word is started once
    more on another worker, and then becomes a failed row; a foreign scheduler decides by its own setting
    ``allowed-failures`` how often.

    Args:
        workers: how many processes of one thread are started on this machine. Defaults to None: one a core.
        scheduler: address of a running scheduler, such as ``"tcp://10.0.0.5:8786"``, instead of processes on this
            machine. Its workers must see the same paths and have the same version. Defaults to None.
        memory: bytes that all running studies may take together. Defaults to None: what is free on this machine; with
            a scheduler each study may take what a thread of the smallest worker has.

    Raises:
        InputError: When no scheduler answers, its workers cannot load the network, or the connection is lost.
    """

    workers: int | None = None
    scheduler: str | None = None
    memory: float | None = None

    def __call__(self, studies: Sequence[Study], output: Path, options: Mapping[str, Any]) -> Iterator[tuple[int, Row]]:
        """Fuse the studies; their rows come in the order in which they end."""
        plugin = _NetworkPlugin({**options, "inferer#progress": False})
        with ExitStack() as stack:
            budget = self.memory
            if self.scheduler:
                client = stack.enter_context(_connect(self.scheduler))
            else:
                budget = budget or min(psutil.virtual_memory().available, MEMORY_LIMIT)
                client = stack.enter_context(Client(stack.enter_context(local_cluster(self.workers or CPU_COUNT))))
            _load_networks(client, plugin)
            stack.callback(_forget, client, plugin.name)
            yield from _Run(client, plugin, [_absolute(study) for study in studies], output.absolute(), budget).rows()


class _NetworkPlugin(WorkerPlugin):
    """Loads the network when a worker starts; the tasks of that worker use it.

    Args:
        options: overrides of ``inference_volume.json``.
    """

    idempotent = True  # the scheduler sends it once, also where it gets it twice

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.name = f"mmif-amin-{uuid.uuid4().hex[:12]}"
        weights = options.get("ckpt_path")
        self.version = __version__
        self.options = {**options, **({"ckpt_path": os.path.abspath(weights)} if weights else {})}

    def setup(self, worker: Worker) -> None:
        """Load the network with as many threads as the worker has.

        Raises:
            InputError: When the worker has another version of mmif-amin, or the weights, the device or the runtime
                cannot be used.
        """
        if self.version != __version__:
            raise InputError(f"a worker has mmif-amin {__version__}, this command is of version {self.version}.")
        import torch

        torch.set_num_threads(worker.state.nthreads)
        os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", str(worker.state.nthreads))
        keep_freed_memory()
        try:
            self.options = with_network(self.options)
        except Exception as error:
            raise input_error_behind(error) or error from None  # its way to the client would lose what is behind it


def _fuse_here(plugin: str, study: Study, output: Path) -> Row:
    """Fuse a study in the worker that runs this."""
    return fuse_one(study, output, get_worker().plugins[plugin].options)  # type: ignore[attr-defined]


class _Run:
    """One batch on its way.

    Args:
        client: of the scheduler.
        plugin: with the network, on all workers.
        studies: with absolute paths.
        output: absolute path of the folder.
        budget: bytes that all running studies may take together; None: each may take what a thread has.
    """

    def __init__(
        self, client: Client, plugin: _NetworkPlugin, studies: Sequence[Study], output: Path, budget: float | None
    ) -> None:
        self.client, self.plugin, self.studies, self.output, self.budget = client, plugin, studies, output, budget
        self.running: dict[Future, tuple[int, float]] = {}
        self.done = as_completed()

    def rows(self) -> Iterator[tuple[int, Row]]:
        """Fuse all studies."""
        for index, study in enumerate(self.studies):
            needed = study_bytes(study, self.plugin.options)
            if needed > (largest := self._largest()):
                yield index, _too_large(self._name(study), needed, largest)
                continue
            while self.running and not self._has_room(needed):
                yield self._next()
            self._submit(index, needed)
        while self.running:
            yield self._next()

    def _largest(self) -> float:
        """What a single study may take at most, bytes."""
        return thread_share(self.client.scheduler_info()["workers"].values()) if self.budget is None else self.budget

    def _has_room(self, needed: float) -> bool:
        """Whether one more study of this size may run now."""
        if len(self.running) >= max(1, sum(self.client.nthreads().values())):
            return False
        return self.budget is None or needed + sum(other for _, other in self.running.values()) <= self.budget

    def _submit(self, index: int, needed: float) -> None:
        future = self.client.submit(
            _fuse_here,
            self.plugin.name,
            self.studies[index],
            self.output,
            key=f"{self.plugin.name}-{index}",  # the dashboard shows it, so it does not name the study
            pure=False,
        )
        self.running[future] = index, needed
        self.done.add(future)

    def _next(self) -> tuple[int, Row]:
        """Wait for the next study that ends."""
        self._await_one()
        future = next(self.done)
        index, _ = self.running.pop(future)
        study = self.studies[index]
        try:
            return index, future.result()
        except KilledWorker as error:
            reason = (
                f"the process that fused it ended {error.allowed_failures + 1} times without a word, perhaps for lack "
                "of memory"
            )
            return index, Row(self._name(study), FAILED, error=reason)
        except Exception as error:
            if self.client.status != "running" or future.cancelled():
                raise InputError(LOST) from error
            name = self._name(study)
            return index, Row(name, FAILED, error=public_reason(error, study, name))

    def _await_one(self) -> None:
        """Wait until a study ends, and say once where there is no worker left; the scheduler waits for new ones."""
        told = False
        with suppress(OSError, CancelledError):  # the connection was lost, which the study's future says too
            while not self._one_ends(LOOK_SECONDS):
                if not told and not self.client.nthreads():
                    tqdm.write("the scheduler has no workers any more, waiting for new ones")
                    told = True

    def _one_ends(self, seconds: float) -> bool:
        """Whether a study ends within this time."""
        try:
            wait(list(self.running), seconds, "FIRST_COMPLETED")
        except TimeoutError:
            return False
        return True

    def _name(self, study: Study) -> str:
        """Its public name; that which names nobody where it cannot be found out."""
        try:
            return public_name(study, deidentifies(self.plugin.options))
        except Exception:
            return hashed_name(study)


def thread_share(workers: Iterable[Mapping[str, Any]]) -> float:
    """Memory of one thread of the worker that has the least for each, bytes; infinite where none has a limit.

    Any worker may get any study: Dask forgets a study that is bound to workers when these have all ended.

    Args:
        workers: each with its ``memory_limit``, bytes, 0 for none, and ``nthreads``.

    Example:
        >>> thread_share([{"memory_limit": 8e9, "nthreads": 4}, {"memory_limit": 4e9, "nthreads": 1}])
        2000000000.0
    """
    limited = [worker for worker in workers if worker["memory_limit"]]
    return min((worker["memory_limit"] / worker["nthreads"] for worker in limited), default=float("inf"))


@contextmanager
def local_cluster(workers: int) -> Iterator[LocalCluster]:
    """Start workers on this machine, each a process with one thread; they end with the context."""
    with (
        dask.config.set(SETTINGS),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            memory_limit=None,  # the estimates decide
            dashboard_address=None,
            scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # its port of state; two batches would want one
            preload=[START],
            silence_logs=logging.CRITICAL,  # workers that end become rows
        ) as cluster,
    ):
        yield cluster


def _connect(address: str) -> Client:
    for name in ("distributed", "distributed.client"):  # Dask gives both a level
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is lost becomes one line of ours
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else "no answer"
        raise InputError(
            f"--scheduler {address}: expected a Dask scheduler there, such as tcp://10.0.0.5:8786, got: {reason}. "
            "Start one with `dask scheduler`."
        ) from error
    if not client.nthreads():
        tqdm.write(f"{address} has no workers yet, waiting for the first one")
    return client


def _load_networks(client: Client, plugin: _NetworkPlugin) -> None:
    """Have all workers, also those that come later, load the network.

    Raises:
        InputError: When a worker cannot, or the connection is lost.
    """
    try:
        client.register_plugin(plugin)
    except CommClosedError:
        _go_on_without_a_worker(client, plugin)
    except Exception as error:
        raise InputError(
            f"--engine dask: expected workers that can load the network, got: {type(error).__name__}: "
            f"{first_line(error)} They need the same version of mmif-amin and must see the same files."
        ) from error


def _go_on_without_a_worker(client: Client, plugin: _NetworkPlugin) -> None:
    """See whether the scheduler has the plugin, after a worker has ended while it loaded the network.

    The others load it all the same, and so does the worker that is started instead.

    Raises:
        InputError: When it is the scheduler that has ended.
    """
    try:
        client.register_plugin(plugin)  # does nothing where the scheduler knows it
    except OSError as error:
        raise InputError(LOST) from error


def _forget(client: Client, plugin: str) -> None:
    """Take the network from workers that live on; it does not matter where that fails."""
    if client.status == "running":
        try:
            client.unregister_worker_plugin(plugin)
        except Exception:
            logging.getLogger("mmif_amin").info("the plugin stays on the workers")


def _absolute(study: Study) -> Study:
    return replace(study, source_a=os.path.abspath(study.source_a), source_b=os.path.abspath(study.source_b))


def _too_large(name: str, needed: float, largest: float) -> Row:
    reason = (
        f"needs about {needed / 1e9:.1f} GB of memory, a thread of a worker has {largest / 1e9:.1f} GB. Choose a "
        "coarser --grid, workers with one thread each, or more memory."
    )
    return Row(name, FAILED, error=reason)
