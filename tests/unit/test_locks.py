"""Locks between processes: who holds one, who waits, and what is left when a holder ends or is killed."""

import subprocess
import sys
from pathlib import Path

import pytest

from steadytune.locks import hold, is_held, take

HOLD = """
import logging, sys
from pathlib import Path
from steadytune.locks import hold
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
with hold(Path(sys.argv[1]), shared=sys.argv[2] == "shared", said="waits"):
    print("holds", flush=True)
    sys.stdin.readline()
"""


class Holder:
    """A process that holds a lock, or waits for it, until it is told to end; a context that kills it."""

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


def test_who_has_waited_is_known_as_the_holder_to_those_who_come_later(path):
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


def test_a_lock_ends_with_its_holder_and_leaves_its_file(path):
    with Holder(path) as holder:
        assert holder.says() == "holds"
        assert is_held(path)
    assert not is_held(path)
    with hold(path):
        assert is_held(path)
    assert not is_held(path)
    assert path.exists()


def test_any_number_share_a_lock_and_one_who_wants_it_alone_waits_for_all(path):
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


def test_a_process_that_inherits_the_file_holds_the_lock_after_the_first_has_given_it_back(path):
    with hold(path) as descriptor:
        command = [sys.executable, "-c", "import sys; sys.stdin.readline()"]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, pass_fds=(descriptor,))
    assert is_held(path)
    child.communicate("\n", timeout=20)
    assert not is_held(path)


def test_asking_makes_no_file(path):
    assert not is_held(path)
    assert not path.parent.exists()


def test_a_lock_that_is_not_got_leaves_no_open_file(path):
    with hold(path):
        before = len(list(Path("/proc/self/fd").iterdir()))
        with pytest.raises(BlockingIOError):
            take(path, wait=False)
        assert len(list(Path("/proc/self/fd").iterdir())) == before
