"""Locks between processes: `flock` on a file, which the kernel gives back however the holder ends.

The file of a lock is never removed. Who waited for a file that is gone would hold a lock that nobody else can find, and
the next process would make the file anew and take that.
"""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from steadytune.errors import SteadyTuneError

log = logging.getLogger(__name__)


NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""What flock answers on a file system without locks."""


@contextmanager
def hold(path: Path, *, shared: bool = False, wait: bool = True, said: str = "") -> Iterator[int]:
    """Hold a lock while the block runs; arguments and errors are those of `take`.

    Yields:
        The open file. A process that inherits it (`pass_fds`) holds the lock too, until it ends.
    """
    descriptor = take(path, shared=shared, wait=wait, said=said)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take(path: Path, *, shared: bool = False, wait: bool = True, said: str = "") -> int:
    """Take a lock until this process ends, or closes the open file that is returned.

    Args:
        path: the lock's file, made where there is none.
        shared: beside any number of others who share it; else alone.
        wait: until it is free.
        said: logged where there is something to wait for.

    Raises:
        BlockingIOError: it is not free, and `wait` is false.
    """
    descriptor = _open(path)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            if said:
                log.info(said)
            fcntl.flock(descriptor, how)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            _warn(str(path.parent))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds a lock alone; nothing is made or changed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False
    try:
        # Shared, so that two who ask at once do not take each other for the holder.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn(str(path.parent))
    finally:
        os.close(descriptor)
    return False


@cache
def _warn(folder: str) -> None:
    """Say once that a folder's file system has no locks: Lustre and some NFS mounts are set up so."""
    log.warning("%s: its file system has no locks (flock): start one run at a time, on one machine", folder)


def _open(path: Path) -> int:
    """Open a lock's file, whoever made it.

    Raises:
        SteadyTuneError: something else is in its place.
    """
    for folder in (path.parent, *path.parent.parents):
        if folder.is_symlink() and not folder.exists():
            raise SteadyTuneError(f"{folder}: a link to nothing where a folder with locks belongs: remove it")
        if folder.exists() and not folder.is_dir():
            raise SteadyTuneError(f"{folder}: a file where a folder with locks belongs: remove it")
    if (path.is_symlink() and not path.exists()) or path.is_dir():
        what = "a folder" if path.is_dir() else "a link to nothing"
        raise SteadyTuneError(f"{path}: {what} where a lock belongs: remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with suppress(FileNotFoundError):
            try:
                # NFS locks a file for one process alone only where that may write to it.
                return os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:
                # Another user's: elsewhere reading it is enough.
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # Exclusively, because in a folder for everybody (/tmp) Linux lets nobody open another user's file with O_CREAT.
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
