"""Download one file from a plain URL in a few attempts, each of which resumes where the last one stopped."""

import http.client
import logging
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

from steadytune import __version__
from steadytune.errors import SteadyTuneError

logger = logging.getLogger(__name__)

ATTEMPTS = 4
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
TRANSIENT = {408, 425, 429, 500, 502, 503, 504}


class _HttpOnly(urllib.request.HTTPRedirectHandler):
    """A redirect handler that never leaves HTTP(S): urllib's own refuses file URLs but follows FTP ones."""

    def http_error_302(self, req, fp, code, msg, headers):
        """Follow a redirect to HTTP(S)."""
        try:
            scheme = urlsplit(urljoin(req.full_url, headers.get("Location", ""))).scheme
        except ValueError:
            scheme = None
        if scheme not in {"http", "https"}:
            raise urllib.error.HTTPError(req.full_url, code, "redirected out of HTTP", headers, fp)
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


_OPENER = urllib.request.build_opener(_HttpOnly)


def download(url: str, path: Path, size: int | None, limit: int, what: str) -> None:
    """Download `url` to `path`, checking only the size.

    If the size is known, a partial file from an earlier run is resumed. Otherwise the download starts over, because
    nothing shows whether the two parts belong together.

    Args:
        url: the address.
        path: where the file appears when it is complete.
        size: the size that it must have in bytes, or None.
        limit: the maximum size in bytes if `size` is None.
        what: whose file it is, for messages.

    Raises:
        SteadyTuneError: the server refuses, has a file of another size, or loses the connection too often.
    """
    at = f"{what} from {shown(url)}"
    part = path.with_name(f"{path.name}.part")
    part.parent.mkdir(parents=True, exist_ok=True)
    if size is None:
        part.unlink(missing_ok=True)
    reason = ""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(2**attempt)
        reason = _append(url, part, size, limit, at)
        if reason is None:
            part.replace(path)
            return
        logger.warning("%s: %s after %d bytes", at, reason, _size(part))
    kept = f"{_size(part)} of {size} bytes are kept: run again to resume" if size else "nothing is kept"
    raise SteadyTuneError(f"{at}: {reason}: no whole file in {ATTEMPTS} attempts: {kept}")


def shown(url: str) -> str:
    """A URL without its query and password, which can contain a key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_size(offered: int | None, size: int | None, limit: int, at: str) -> None:
    """Refuse a file whose offered size differs from the pinned `size` or, if that is None, exceeds `limit`.

    Raises:
        SteadyTuneError: one line.
    """
    if offered is None:
        return
    if size is not None and offered != size:
        raise SteadyTuneError(f"{at}: the server has {offered} bytes where the lock says {size}")
    if not 0 <= offered <= (limit if size is None else size):
        raise SteadyTuneError(
            f"{at}: the server has {offered} bytes: expected at most {limit} of a file that the lock does not pin; the"
            " suite's sources.unpinned_limit can raise that"
        )


def _append(url: str, part: Path, size: int | None, limit: int, at: str) -> str | None:
    """Append what is missing; return the reason if the file is still incomplete, else None."""
    try:
        expected = _stream(url, part, size, limit, at)
    except SteadyTuneError:
        part.unlink(missing_ok=True)
        raise
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            part.unlink(missing_ok=True)
        if error.code not in TRANSIENT:
            raise SteadyTuneError(f"{at}: the server answered {error.code}") from None
        return f"the server answered {error.code}"
    except ValueError:
        raise SteadyTuneError(f"{at}: the server's answer is not HTTP") from None
    except http.client.InvalidURL:
        # The error's own text has the whole URL, which can contain a key.
        raise SteadyTuneError(f"{at}: the server redirects to an address that is not valid") from None
    except urllib.error.URLError as error:
        reason = f"no connection: {error.reason}"
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise SteadyTuneError(f"{at}: {reason}") from None
        return reason
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError):
        return "connection lost"
    return None if expected is None or _size(part) >= expected else "connection lost"


def _stream(url: str, part: Path, size: int | None, limit: int, at: str) -> int | None:
    """Append what the server sends, or start over if it ignores ranges; return the expected total size, if known."""
    have = _size(part)
    if size is not None and have >= size:
        return size
    headers = {"User-Agent": f"steadytune/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with _OPENER.open(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS) as response:
        if response.status != 206:
            have = 0
        length = response.headers.get("Content-Length")
        offered = None if length is None else have + int(length)
        check_size(offered, size, limit, at)
        expected = offered if size is None else size
        with part.open("ab" if have else "wb") as handle:
            _copy(response, handle, (limit if expected is None else expected) - have)
    if expected is None:
        check_size(_size(part), None, limit, at)
    return expected


def _copy(response: http.client.HTTPResponse, handle: IO[bytes], limit: int) -> None:
    """Copy a response up to `limit` + 1 bytes: enough to see that there are too many."""
    left = limit + 1
    while chunk := response.read(min(CHUNK_BYTES, left)):
        handle.write(chunk)
        left -= len(chunk)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
