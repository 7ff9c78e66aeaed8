"""Files that are not what their name says: what a download or a copy can leave in the place of data or weights."""

from pathlib import Path

from steadytune.errors import SteadyTuneError

HEAD_BYTES = 512


def check_content(path: Path, what: str) -> None:
    """Refuse a pointer of Git LFS and a web page.

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
        raise SteadyTuneError(f"{what}: a web page and not the file: the address wants a login, or is a page's")
