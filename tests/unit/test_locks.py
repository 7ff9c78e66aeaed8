"""Locks between processes: who holds one, who waits, and what is left when a holder ends or is killed."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from steadytune.errors import SteadyTuneError
from steadytune.files import atomic_folder, atomic_path
from steadytune.locks import hold, is_held, take

HOLD = """
import logging, sys
from pathlib import Path
from steadytune.locks import hold
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
with hold(Path(sys.argv[1]), shared=sys.argv[2] == "shared", message="waits"):
    print("holds", flush=True)
    sys.stdin.readline()
"""


class Holder:
    """A process that holds a lock, or waits for it, until told to end. Leaving its context kills it."""

    def __init__(self, path: Path, how: str = "alone"):
        command = [sys.executable, "-c", HOLD, str(path), how]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def says(self) -> str:
        return self.process.stdout.readline().strip()

    def end(self):
        self.process.communicate("\n", timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate(timeout=20)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "a.lock"


def test_lock_passes_to_the_waiting_process_and_excludes_later_ones(path):
    with Holder(path) as first:
        assert first.says() == "holds"
        with Holder(path) as second:
            assert second.says() == "waits"
            first.end()
            assert second.says() == "holds"
            assert is_held(path)
            with pytest.raises(BlockingIOError), hold(path, wait=False):
                pytest.fail("two hold it")
            with Holder(path) as third:
                assert third.says() == "waits"
                second.end()
                assert third.says() == "holds"


def test_lock_is_released_with_its_holder_but_its_file_remains(path):
    with Holder(path) as holder:
        assert holder.says() == "holds"
        assert is_held(path)
    assert not is_held(path)
    with hold(path):
        assert is_held(path)
    assert not is_held(path)
    assert path.exists()


def test_shared_holders_and_an_exclusive_one_exclude_each_other(path):
    with Holder(path, "shared") as first, Holder(path, "shared") as second:
        assert {first.says(), second.says()} == {"holds"}
        with Holder(path) as third:
            assert third.says() == "waits"
            first.end()
            with pytest.raises(BlockingIOError):
                take(path, wait=False)
            second.end()
            assert third.says() == "holds"
            with pytest.raises(BlockingIOError):
                take(path, shared=True, wait=False)


def test_child_that_inherits_the_descriptor_keeps_the_lock(path):
    with hold(path) as descriptor:
        command = [sys.executable, "-c", "import sys; sys.stdin.readline()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, pass_fds=(descriptor,))
    assert is_held(path)
    child.communicate("\n", timeout=20)
    assert not is_held(path)


def test_is_held_creates_no_file(path):
    assert not is_held(path)
    assert not path.parent.exists()


def test_failed_take_leaves_no_open_file(path):
    with hold(path):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(BlockingIOError):
            take(path, wait=False)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("kind", ["folder", "link to nothing", "file"])
def test_take_is_refused_if_something_else_is_in_the_locks_place(tmp_path, kind):
    path = tmp_path / "locks/a.lock"
    if kind == "folder":
        path.mkdir(parents=True)
    elif kind == "file":
        path.parent.write_text("")
    else:
        path.parent.mkdir()
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(SteadyTuneError, match="locks"):
        take(path)
    assert not is_held(path)


def test_take_is_refused_if_the_lock_folder_is_a_broken_link(tmp_path):
    (tmp_path / "locks").symlink_to(tmp_path / "nowhere")
    with pytest.raises(SteadyTuneError, match="locks"):
        take(tmp_path / "locks/a.lock")
    assert not is_held(tmp_path / "locks/a.lock")


def test_file_system_without_locks_is_reported_once(tmp_path, monkeypatch, caplog):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    for name in ("a", "b"):
        with hold(tmp_path / f"{name}.lock"):
            assert not is_held(tmp_path / f"{name}.lock")
    assert len([message for message in caplog.messages if str(tmp_path) in message]) == 1


def test_read_only_lock_that_nfs_refuses_is_named_in_the_error(path, monkeypatch):
    def as_nfs_does(descriptor, how):
        if how & fcntl.LOCK_EX and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")

    def opens_to_read(name, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return opened(name, flags, *mode)

    path.parent.mkdir()
    path.touch()
    opened = os.open
    monkeypatch.setattr("fcntl.flock", as_nfs_does)
    with hold(path):
        pass
    monkeypatch.setattr("os.open", opens_to_read)
    with pytest.raises(SteadyTuneError, match=rf"^{path}: .*writable file: NFS"):
        take(path)
    with hold(path, shared=True):
        pass


def test_atomic_folder_does_not_replace_a_broken_link(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(SteadyTuneError, match="link: exists already"), atomic_folder(tmp_path / "link"):
        pass


def test_atomic_files_get_the_mode_of_the_umask(tmp_path):
    from safetensors.numpy import save_file

    save_file({}, tmp_path / "plain.safetensors")
    with atomic_path(tmp_path / "a.safetensors") as temporary:
        save_file({}, temporary)
        temporary.chmod(0o600)
    with atomic_folder(tmp_path / "folder") as folder:
        folder.mkdir()
        save_file({}, folder / "a.safetensors")
        (folder / "a.safetensors").chmod(0o600)
    (tmp_path / "by-hand").touch()
    for written in (tmp_path / "a.safetensors", tmp_path / "folder/a.safetensors"):
        assert written.stat().st_mode == (tmp_path / "by-hand").stat().st_mode
