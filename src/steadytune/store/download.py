"""One file from a plain address, in as many attempts as it takes; each goes on where the last one stopped."""

import http.client
import logging
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from steadytune import __version__
from steadytune.errors import SteadyTuneError

logger = logging.getLogger(__name__)

ATTEMPTS = 4
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


def download(url: str, path: Path, size: int | None, what: str) -> None:
    """Bring the file at `url` to `path`, unchecked but for its size.

    Of a file whose size is known, what an earlier run left is kept and only the rest is asked for. Of any other it is
    not: nothing could tell whether the two halves belong together.

    Args:
        url: the address.
        path: where the file appears once it is whole.
        size: bytes that it must have, or None.
        what: whose file it is, for messages.

    Raises:
        SteadyTuneError: the server refuses, has a file of another size, or breaks off too often.
    """
    at = f"{what} from {shown(url)}"
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if size is None:
        part.unlink(missing_ok=True)
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(2**attempt)
        reason = _append(url, part, size, at)
        if reason is None:
            part.replace(path)
            return
        logger.warning("%s: %s after %d bytes", at, reason, _size(part))
    kept = f"{_size(part)} of {size} bytes are kept, and another run goes on from there" if size else "nothing is kept"
    raise SteadyTuneError(f"{at}: no whole file in {ATTEMPTS} attempts: {kept}")


def shown(url: str) -> str:
    """An address without its query, which can hold a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _append(url: str, part: Path, size: int | None, at: str) -> str | None:
    """Append what is missing; where the file stays incomplete, the reason is returned."""
    try:
        expected = _stream(url, part, size, at)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
        if error.code not in TRANSIENT:
            raise SteadyTuneError(f"{at}: the server answered {error.code}") from None
        return f"the server answered {error.code}"
    except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError):
        return "connection lost"
    return None if expected is None or _size(part) >= expected else "connection lost"


def _stream(url: str, part: Path, size: int | None, at: str) -> int | None:
    """Append what the server sends, or start again where it knows no ranges; the bytes expected in all, if known."""
    have = _size(part)
    if size is not None and have >= size:
        return size
    headers = {"User-Agent": f"steadytune/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
        if response.status != 206:
            have = 0
        length = response.headers.get("Content-Length")
        offered = None if length is None else have + int(length)
        if size is not None and offered not in (None, size):
            part.unlink(missing_ok=True)
            raise SteadyTuneError(f"{at}: the server has {offered} bytes where the lock says {size}")
        expected = offered if size is None else size
        with part.open("ab" if have else "wb") as handle:
            _copy(response, handle, None if expected is None else expected - have)
    return expected


def _copy(response: http.client.HTTPResponse, handle: IO[bytes], limit: int | None) -> None:
    """All of it, or at most `limit` bytes and one more: enough to see that there are too many."""
    left = limit + 1 if limit is not None else None
    while chunk := response.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left)):
        handle.write(chunk)
        if left is not None:
            left -= len(chunk)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
