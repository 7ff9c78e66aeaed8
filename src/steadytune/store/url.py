"""Plain addresses as a source: a streamed download that goes on where it stopped."""

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
from steadytune.store.lock import UrlPin
from steadytune.store.sources import Source

logger = logging.getLogger(__name__)

ATTEMPTS = 4
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class UrlSource(Source):
    """Files at addresses of their own."""

    kind = "url"

    def __init__(self, where: str, pin: UrlPin) -> None:
        super().__init__(where, pin.origin, "lock", pin.files)
        self.pin = pin

    def get(self, name: str, downloads: Path) -> Path:
        """Download a file; what an interrupted run left of it is kept and only the rest is asked for."""
        file = self.pin.files[name]
        size = file.bytes or 0
        path = downloads / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(2**attempt)
            reason = self._append(file.url, name, part, size)
            have = _size(part)
            if have >= size:
                part.replace(path)
                return path
            logger.warning("%s: %s after %d of %d bytes", self._at(name), reason, have, size)
        raise SteadyTuneError(
            f"{self._at(name)}: no whole file in {ATTEMPTS} attempts: {_size(part)} of {size} bytes are kept,"
            " and another run goes on from there"
        )

    def _append(self, url: str, name: str, part: Path, size: int) -> str:
        """Append what is missing of a file of `size` bytes; where it stays incomplete, the reason is returned."""
        try:
            self._stream(url, name, part, size)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:
                part.unlink()
            if error.code not in TRANSIENT:
                raise SteadyTuneError(f"{self._at(name)}: the server answered {error.code}") from None
            return f"the server answered {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError):
            pass
        return "connection lost"

    def _stream(self, url: str, name: str, part: Path, size: int) -> None:
        """Append what the server sends; start again with a server that knows no ranges."""
        have = _size(part)
        if have >= size:
            return
        headers = {"User-Agent": f"steadytune/{__version__}", "Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
            if response.status != 206:
                have = 0
            length = response.headers.get("Content-Length")
            if length is not None and have + int(length) != size:
                part.unlink(missing_ok=True)
                raise SteadyTuneError(
                    f"{self._at(name)}: the server has {have + int(length)} bytes where the lock says {size}"
                )
            with part.open("ab" if have else "wb") as handle:
                _copy(response, handle, size - have)

    def _at(self, name: str) -> str:
        # Without the query, which can hold a key.
        parts = urlsplit(self.pin.files[name].url)
        return f"{self.where}: {name} from {parts.scheme}://{parts.netloc}{parts.path}"


def _copy(response: http.client.HTTPResponse, handle: IO[bytes], limit: int) -> None:
    """At most `limit` bytes and one more: enough to see that there are too many."""
    left = limit + 1
    while left and (chunk := response.read(min(CHUNK_BYTES, left))):
        handle.write(chunk)
        left -= len(chunk)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
