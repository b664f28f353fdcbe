"""One training at a time in a folder: two would tear each other's files."""

from __future__ import annotations

import fcntl
import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager

from ..core import parallel
from ..core.errors import StorageError, UsageError
from .folder import Folder

logger = logging.getLogger(__name__)


@contextmanager
def alone(folder: Folder) -> Iterator[None]:
    """Hold the folder's lock while the block runs. The system frees it if we die, so a lock left behind is no hindrance.

    Raises UsageError that names the process and the machine that hold it, StorageError if the folder cannot be written to.
    """
    if parallel.world()[0] > 0:
        yield
        return
    try:
        lock = (folder.path / "RUNNING.lock").open("a+")
    except OSError as error:
        raise StorageError(f"{folder.path} cannot be written to ({error.strerror}): a training needs that.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise UsageError(
                f"another training is running in {folder.path} ({holder}). Wait for it, or stop it with Ctrl-C there."
            ) from error
        except OSError as error:  # some network file systems
            logger.warning("%s has no locks (%s): take care that no other training runs there.", folder.path, error.strerror)
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {platform.node()}")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)  # the file stays: removing it would let a third training lock a new one while a second holds this
