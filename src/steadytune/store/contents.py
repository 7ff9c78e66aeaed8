"""Refuse files that are not what their name says, such as a failed download in place of data or weights."""

import codecs
from pathlib import Path

from steadytune.errors import SteadyTuneError

HEAD_BYTES = 512
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
NO_TEXT = {
    b"\x1f\x8b": "compressed by gzip: unpack it",
    b"BZh": "compressed by bzip2: unpack it",
    b"\xfd7zXZ\x00": "compressed by xz: unpack it",
    b"\x28\xb5\x2f\xfd": "compressed by zstd: unpack it",
    b"PK\x03\x04": "a zip archive or a workbook of Excel: unpack it, or save the sheet as csv",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "a workbook of an old Excel: save the sheet as csv",
    b"PAR1": "parquet: say `format: parquet`",
}
"""The first bytes of files that are not text, with what they are and what to do."""


def check_content(path: Path, what: str) -> None:
    """Refuse a Git LFS pointer or a web page.

    Args:
        path: the file.
        what: whose file it is, for the message.

    Raises:
        SteadyTuneError: one line with the reason.
    """
    with path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith(b"version https://git-lfs"):
        raise SteadyTuneError(f"{what}: a pointer of Git LFS and not the file itself: fetch it with `git lfs pull`")
    if text.startswith((b"<!doctype html", b"<html")):
        raise SteadyTuneError(f"{what}: a web page and not the file: the address needs a login, or is that of a page")


def check_text(path: Path, what: str, encoding: str) -> None:
    """Refuse a file that is not text in an encoding: archives, workbooks, parquet, or text in UTF-16 or UTF-8 instead.

    Args:
        path: the file.
        what: whose file it is, for the message.
        encoding: the encoding that the file will be read with.

    Raises:
        SteadyTuneError: one line that says what it is.
    """
    with path.open("rb") as handle:
        head = handle.read(HEAD_BYTES)
    for mark, said in NO_TEXT.items():
        # A header may begin with the letters BZh or PAR1, but text has no control bytes.
        if head.startswith(mark) and (not mark.isalnum() or _is_binary(head)):
            raise SteadyTuneError(f"{what}: no text, but {said}")
    name = codecs.lookup(encoding).name
    if not name.startswith(("utf-16", "utf-32")):
        if head.startswith(UTF_16_MARKS):
            raise SteadyTuneError(f"{what}: text in UTF-16: save it as UTF-8, or say `encoding: utf-16`")
        # In UTF-16, every second byte of Latin text is zero, and the other bytes are not.
        for order, letters, zeros in (("utf-16-le", head[::2], head[1::2]), ("utf-16-be", head[1::2], head[::2])):
            if 2 * zeros.count(0) > len(zeros) and 0 not in letters:
                raise SteadyTuneError(f"{what}: text in UTF-16: save it as UTF-8, or say `encoding: {order}`")
    # Single-byte encodings can read anything: they turn one accented letter in UTF-8 into two or three characters.
    if not name.startswith("utf") and _is_utf_8(path.read_bytes()):
        raise SteadyTuneError(f"{what}: text in UTF-8: leave out `encoding: {encoding}`")


def _is_binary(head: bytes) -> bool:
    return any(byte < 32 and byte not in b"\t\n\r" for byte in head)


def _is_utf_8(text: bytes) -> bool:
    """Whether bytes are UTF-8 and not just ASCII; text in another encoding is hardly ever valid UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return not text.isascii()
