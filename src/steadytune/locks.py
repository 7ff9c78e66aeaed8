"""Locks between processes: `flock` on a file, which the kernel releases however the holder ends.

A lock's file is never removed. A process that waited for a removed file would hold a lock that nobody else can find,
and the next process would create and lock a new file.
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
"""The errors of flock on a file system without locks."""


@contextmanager
def hold(path: Path, *, shared: bool = False, wait: bool = True, message: str = "") -> Iterator[int]:
    """Hold a lock while the block runs; arguments and errors are those of `take`.

    Yields:
        The lock's file descriptor. A process that inherits it (`pass_fds`) holds the lock too, until it ends.
    """
    descriptor = take(path, shared=shared, wait=wait, message=message)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def take(path: Path, *, shared: bool = False, wait: bool = True, message: str = "") -> int:
    """Take a lock until this process ends or closes the file descriptor that is returned.

    Args:
        path: the lock's file, created if missing.
        shared: share the lock with any number of other processes; otherwise it is exclusive.
        wait: wait until the lock is free.
        message: logged if the lock is not free and the process waits.

    Raises:
        BlockingIOError: the lock is not free, and `wait` is false.
        SteadyTuneError: the path cannot be a lock's file, or NFS grants no lock on another user's file.
    """
    descriptor = _open(path)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            if message:
                log.info(message)
            fcntl.flock(descriptor, how)
        except OSError as error:
            if error.errno == errno.EBADF:
                expected = "expected a writable file: NFS locks only those (its owner can `chmod a+w` it)"
                raise SteadyTuneError(f"{path}: another user's lock: {expected}") from None
            if error.errno not in NO_LOCKS:
                raise
            _warn(str(path.parent))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds an exclusive lock; no file is created or changed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return False
    try:
        # Shared, so two processes that ask at the same time do not take each other for the holder.
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
    """Warn once that a folder's file system has no locks, as with some mounts of Lustre and NFS."""
    log.warning("%s: its file system has no locks (flock): start one run at a time, on one machine", folder)


def _open(path: Path) -> int:
    """Open a lock's file, even if another user created it.

    Raises:
        SteadyTuneError: the path is a folder or a broken link, or a folder above it is a file or a broken link.
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
                # NFS grants an exclusive lock only on a file that is open for writing.
                return os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:
                # Another user's file: file systems other than NFS can lock a file that is open for reading.
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        # O_EXCL, because in a world-writable folder (/tmp) Linux lets nobody open another user's file with O_CREAT.
        with suppress(FileExistsError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
