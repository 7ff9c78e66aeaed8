"""A repository on the hub at one commit: its files, with one-line messages for all failures."""

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steadytune.errors import SteadyTuneError
from steadytune.files import sha256
from steadytune.layout import Kind
from steadytune.store.download import check_size, shown

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.utils import tqdm

logger = logging.getLogger(__name__)

OFFLINE = "HF_HUB_OFFLINE forbids the download: unset it, or take another of sources.order"
NO_HUB = "what answered is not a hub"
PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".h5")


class Repository:
    """A repository on the hub at a commit, read with `huggingface_hub`, which respects HF_ENDPOINT and HF_TOKEN.

    The server is not trusted: a commit must be 40 hex digits before it becomes a folder's name, and a download is
    aborted if it exceeds the file's known size, or `limit` if its size is unknown.

    Args:
        where: the entry of the lock or the suite that needs the repository, for messages.
        kind: whether it contains data sets or an encoder.
        name: `<owner>/<name>`.
        commit: 40 hex digits; None for the current one, which is looked up once.
        limit: the maximum size in bytes of a file of unknown size.
    """

    def __init__(self, where: str, kind: Kind, name: str, commit: str | None, limit: int) -> None:
        self.where, self.name, self.commit, self.limit = where, name, commit, limit
        self.repo_type = {"datasets": "dataset", "models": "model"}[kind]

    @cached_property
    def _api(self) -> "HfApi":
        from huggingface_hub import HfApi, constants

        # Files in Xet storage can be downloaded from the hub over plain HTTP too, and resumed. The Xet client needs two
        # more services; if one is unreachable (a mirror, a firewall), it retries silently for minutes and does not
        # fall back to HTTP.
        constants.HF_HUB_DISABLE_XET = True
        constants.HF_HUB_DISABLE_TELEMETRY = True
        for library in ("httpx", "httpx2", "huggingface_hub"):
            # Their logs contain URLs, which can include a password or a signature.
            logging.getLogger(library).setLevel(logging.ERROR)
        return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None, library_name="steadytune")

    @cached_property
    def revision(self) -> str:
        """The commit; the current one is looked up if none was given."""
        if self.commit:
            return self.commit
        with self._one_line(self.name):
            revision = str(self._api.repo_info(self.name, repo_type=self.repo_type).sha)
        if not re.fullmatch("[0-9a-f]{40}", revision):
            said = f"its commit is {revision[:60]!r}, expected 40 lower-case hex digits"
            raise SteadyTuneError(f"{self.where}: {self.name}: {NO_HUB}: {said}{_endpoint()}")
        logger.warning("%s: unpinned in the lock: staging %s at its current commit %s", self.where, self.name, revision)
        return revision

    def files(self) -> list[str]:
        """The paths of all files."""
        with self._one_line(self.name):
            return self._api.list_repo_files(self.name, repo_type=self.repo_type, revision=self.revision)

    def get(self, path: str, downloads: Path, size: int | None = None, *, check: bool = True) -> Path:
        """Download a file, unless an earlier run has downloaded all of it.

        Args:
            path: the file's path in the repository.
            downloads: a private folder.
            size: the file's size in bytes, if known.
            check: compare the file with the hub's hash of it.
        """
        with self._one_line(f"{path} of {self.name}", path):
            # A folder per commit: if the connection is lost, the library falls back to another commit's file.
            folder = downloads / self.revision
            got = Path(
                self._api.hf_hub_download(
                    self.name,
                    path,
                    repo_type=self.repo_type,
                    revision=self.revision,
                    local_dir=folder,
                    cache_dir=folder,
                    tqdm_class=_capped(size, self.limit, f"{self.where}: {path}"),
                )
            )
            if check:
                self._check_against_hub(path, got)
        return got

    def _check_against_hub(self, path: str, got: Path) -> None:
        """Compare a downloaded file with the hash that the hub sends as its ETag."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url
        from huggingface_hub.utils.sha import git_hash

        url = hf_hub_url(self.name, path, repo_type=self.repo_type, revision=self.revision, endpoint=self._api.endpoint)
        etag = get_hf_file_metadata(url, endpoint=self._api.endpoint).etag or ""
        # The hub sends SHA-256 for files in large-file storage and git's SHA-1 for others; a mirror may send neither.
        found = {64: sha256, 40: lambda file: git_hash(file.read_bytes())}.get(len(etag))
        if found and found(got) != etag:
            got.unlink()
            raise SteadyTuneError(
                f"{self.where}: {path} of {self.name}: damaged in transfer: its hash is not the hub's"
                f" ({etag}): run again"
            )

    @contextmanager
    def _one_line(self, wanted: str, path: str = "") -> Iterator[None]:
        """Raise errors as one line, without the library's own text, which can contain signed URLs."""
        from huggingface_hub import errors

        revision = f"at revision {self.commit}" if self.commit else "at its current commit"
        endpoint = _endpoint()
        try:
            yield
            return
        except SteadyTuneError:
            raise
        except errors.GatedRepoError:
            reason = f"gated: accept the terms of {self.name} on the hub, then log in or set HF_TOKEN"
        except errors.RevisionNotFoundError:
            reason = f"the hub has no revision {self.commit} of {self.name}: correct it"
        except errors.RemoteEntryNotFoundError:
            reason = f"no such file on the hub {revision}{self._only_pickles(path)}"
        except errors.RepositoryNotFoundError:
            reason = f"no such {self.repo_type} on the hub, or it is private: log in or set HF_TOKEN"
        except errors.OfflineModeIsEnabled:
            reason = OFFLINE
        except errors.HfHubHTTPError as error:
            reason = f"the hub answered {error.response.status_code}{endpoint}"
        except errors.LocalEntryNotFoundError as error:
            # The library's error if it cannot look up a file's size and hash; the cause says why.
            reason = self._why_unreachable(error.__cause__) + endpoint
        except (errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
            # HTTPError is httpx's or its successor's, depending on the library's version.
            if isinstance(error, OSError) and error.errno and not isinstance(error, ConnectionError):
                raise
            reason = f"connection lost{_system_reason(error)}{endpoint}: run again to resume with the missing files"
        except Exception as error:  # The library expects a hub's JSON and headers, and fails in many ways without them.
            reason = f"{NO_HUB} ({type(error).__name__} while reading its answer){endpoint}"
        raise SteadyTuneError(f"{self.where}: {wanted}: {reason}") from None

    def _only_pickles(self, path: str) -> str:
        """A hint for an encoder whose weights the hub has only as pickles; empty if there are none."""
        if not path.endswith(".safetensors"):
            return ""
        pickles = [file for file in self.files() if file.endswith(PICKLES)]
        if not pickles:
            return ""
        return (
            f": its weights are there as {', '.join(pickles)} alone, and pickles are not read; docs/data.md says how to"
            " convert them, and `steadytune stage SUITE --encoders FOLDER` takes the result"
        )

    @staticmethod
    def _why_unreachable(cause: BaseException | None) -> str:
        from huggingface_hub import errors

        match cause:
            case errors.OfflineModeIsEnabled():
                return OFFLINE
            case errors.HfHubHTTPError():
                return f"the hub answered {cause.response.status_code}"
            case errors.FileMetadataError():
                return NO_HUB
            case _:
                return f"no connection to the hub{_system_reason(cause)}"


def _endpoint() -> str:
    """HF_ENDPOINT for a message, without a password that it may contain; empty if it is not set."""
    endpoint = os.environ.get("HF_ENDPOINT")
    return f" (HF_ENDPOINT={shown(endpoint)})" if endpoint else ""


def _system_reason(error: BaseException | None) -> str:
    """What the operating system or TLS says about a failed connection; empty if neither says anything."""
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return f": {error.strerror}"
        error = error.__cause__ or error.__context__
    return ""


def _capped(size: int | None, limit: int, what: str) -> "type[tqdm]":
    """A progress bar that aborts a download of too many bytes: the library reports each chunk before writing it."""
    from huggingface_hub.utils import tqdm

    class Capped(tqdm):
        def __init__(self, *args: Any, **options: Any) -> None:
            self.received = options.get("initial") or 0
            check_size(options.get("total"), size, limit, what)
            super().__init__(*args, **options)

        def update(self, n: float | None = 1) -> bool | None:
            self.received += n or 0
            if self.received > (limit if size is None else size):
                check_size(int(self.received), size, limit, what)
            return super().update(n)

    return Capped
