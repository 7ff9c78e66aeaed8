"""Weights that do not fit on the disk: an OSError that names the file, which the command line reports in one line,
and not a safetensors error, which would end in a traceback."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from safetensors import SafetensorError
from torch import nn

from steadytune.cells import keeping
from steadytune.cli import REFUSED
from steadytune.files import safetensors_errors
from steadytune.pretraining import export


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Limit the size of every file to `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


MODEL = nn.Linear(100, 100)
WRITERS = {
    "a cell's": lambda folder: keeping.keep(SimpleNamespace(model=MODEL), folder / "model.safetensors"),
    "an encoder's": lambda folder: export.export(folder, folder / "out", MODEL, None, None, (), {}, {}),
}


@pytest.mark.parametrize("weights", WRITERS)
def test_weights_that_do_not_fit_raise_an_oserror_naming_the_file(weights, tmp_path):
    with small_disk(1000), pytest.raises(OSError, match="File too large") as caught:
        WRITERS[weights](tmp_path)
    assert caught.value.errno == errno.EFBIG and errno.EFBIG in REFUSED
    assert caught.value.filename.endswith("model.safetensors")
    assert not (tmp_path / "model.safetensors").exists()


def test_safetensors_error_without_errno_keeps_its_message(tmp_path):
    with pytest.raises(OSError, match="the header is broken") as caught, safetensors_errors(tmp_path / "a"):
        raise SafetensorError("the header is broken")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(tmp_path / "a"))
