"""Objects in S3, Google Cloud Storage and Azure Blob Storage, by fsspec.

Credentials and addresses come from where each client looks for them: environment, files and the machine's own role.
"""

import errno
import functools
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from textwrap import shorten
from typing import Any, TypeVar

from crackgate.images.rejection import too_many_bytes
from crackgate.storage.location import EXTRAS, FORMS, split_url

# Seconds until a store that gives no answer counts as unreachable, before anything starts.
_SECONDS_TO_ANSWER = 10
# Seconds in which a store may come back while objects are read, and in which one object has to arrive.
_SECONDS_TO_RETURN = 120
_SECONDS_TO_ARRIVE = 120
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
# Seconds between two failures of one outage at most.
_LONGEST_SILENCE = 60
# Characters of a client's message that are shown: Azure's holds its answer as XML.
_LONGEST = 200
# A console or a portal answers any request with a page.
_NO_STORE = "its address answers as no store does"
_ADVICE = "check the store's address and region, the network and the credentials (docs/data.md)"
# Objects of which S3 says that this one may not be read. Any other refusal is about the credentials.
_DENIED = ("AccessDenied", "AllAccessDisabled", "InvalidObjectState")
# The client of "gs" is the plain one: gcsfs's other asks a second API for the kind of bucket before each read.
_CLIENTS = {
    "s3": ("s3fs", "S3FileSystem"),
    "gs": ("gcsfs.core", "GCSFileSystem"),
    "az": ("adlfs", "AzureBlobFileSystem"),
}
# Each attempt ends soon: `read_object` repeats it, and a listing's page is tried three times.
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": 5,
            "read_timeout": 30,
            "retries": {"total_max_attempts": 3, "mode": "standard"},
        }
    }
}

# Their warnings repeat errors that are raised, with tracebacks; nobody has set up logging in most commands.
for _name in ("aiobotocore", "azure.core", "gcsfs"):
    logging.getLogger(_name).addHandler(logging.NullHandler())

_opening = threading.Lock()
T = TypeVar("T")


class StorageError(Exception):
    """A store cannot be used; the message names the object or prefix, the fault and the next step."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object below a prefix.

    Attributes:
        path: Its key without the prefix; "" for an object that has the prefix's own name.
        mark: Changes with every new content: its size, and its ETag or generation.
    """

    path: str
    mark: str


@dataclass
class _Outage:
    """The time in which all requests of this process have failed: its threads give a store up together.

    Without an outage, `began` is the time of the last success.
    """

    began: float = -math.inf
    failed: float = -math.inf

    def prolong(self, asked: float) -> float:
        """Notes the failure of a request that was made at `asked`; returns the seconds since the first such time."""
        now = time.monotonic()
        if now - self.failed > _LONGEST_SILENCE:
            self.began = max(asked, self.began)
        self.failed = now
        return now - self.began

    def end(self) -> None:
        """Notes a success."""
        self.began, self.failed = time.monotonic(), -math.inf


def list_objects(url: str) -> Iterator[StoredObject]:
    """Every object at or below a prefix, in the order of their keys, but for those that stand for folders.

    Raises StorageError where the store refuses, does not answer within seconds, or has no such bucket.
    """
    scheme, place = split_url(url)
    system = _file_system(scheme)
    try:
        _ask(system, place)
        infos = _find(scheme, system, place)
    except Exception as error:
        # A file of credentials may be missing, too; it has a name.
        if isinstance(error, FileNotFoundError) and not error.filename:
            raise StorageError(f"there is no bucket {place.partition('/')[0]!r}, which {url!r} names") from None
        raise StorageError(f"cannot list {url!r}: {_say(error)}: {_advice(error)}") from None
    folders = _folders(infos)
    for name, info in infos.items():
        if info["type"] == "file" and name not in folders:
            stamp = info.get("generation") or info.get("ETag") or info.get("etag")
            if not stamp:
                raise StorageError(f"cannot list {url!r}: {_NO_STORE}: {_ADVICE}")
            yield StoredObject(name[len(place) + 1 :], f"{info['size']} {stamp}")


def _find(scheme: str, system: Any, place: str) -> dict[str, Any]:
    """The client's knowledge of each object at or below a place, by name."""
    bucket, _, key = place.partition("/")
    if scheme == "s3" and key.startswith("/"):
        # S3's client drops a slash that begins a folder, and not one that begins a stem.
        found = _call(system, "_find", bucket, prefix=key, detail=True)
    else:
        found = _call(system, "_find", place, detail=True)
    # Azure's client returns an object's own name as a list.
    infos = found if isinstance(found, dict) else {name: _call(system, "_info", name) for name in found}
    return {name: info for name, info in infos.items() if name == place or name.startswith(f"{place}/")}


def _folders(infos: dict[str, Any]) -> set[str]:
    """Objects that stand for folders: those of consoles and of Hadoop, and empty ones with others below them.

    Azure's client drops the slash at the end of a console's folder.
    """
    empty = {name for name, info in infos.items() if not info["size"]}
    named = {name for name in infos if name.endswith("/")} | {name for name in empty if name.endswith("_$folder$")}
    found = set()
    for name in infos:
        while empty and (name := name.rpartition("/")[0]):
            found.add(name)
    return found & empty | named


def read_object(url: str, max_bytes: int) -> bytes:
    """An object's content. A store that fails or goes away is asked again for two minutes.

    Raises:
        RejectedImageError: The object has more than `max_bytes`.
        FileNotFoundError: The object has been deleted.
        PermissionError: This object may not be read.
        StorageError: The store did not come back, or takes the credentials no longer.
    """
    data, size = _persist("read", url, functools.partial(_read, max_bytes), _settle_read)
    if len(data) > max_bytes:
        raise too_many_bytes(size, max_bytes)
    return data


def write_object(url: str, data: bytes) -> None:
    """Creates an object, or replaces its content. A store that fails or goes away is asked again for two minutes.

    Raises StorageError where the store did not come back, or does not take the object.
    """
    _persist("write", url, lambda system, place: _change(system, "_pipe_file", place, data), _settle_change)


def remove_object(url: str) -> None:
    """Removes an object, if it is there; else as `write_object`."""
    with suppress(FileNotFoundError):
        _persist("remove", url, lambda system, place: _change(system, "_rm_file", place), _settle_change)


def _persist(
    verb: str, url: str, attempt: Callable[[Any, str], T], settle: Callable[[Any, str, str, Exception], None]
) -> T:
    """Makes an attempt, again and again for two minutes; `settle` raises what no repetition mends."""
    scheme, place = split_url(url)
    system = _file_system(scheme)
    began, pause = time.monotonic(), _FIRST_PAUSE
    while True:
        asked = time.monotonic()
        try:
            result = attempt(system, place)
            system.outage.end()
            return result
        except Exception as error:
            settle(system, place, url, error)
            waited = max(time.monotonic() - began, system.outage.prolong(asked))
            if isinstance(error, PermissionError) or waited + pause > _SECONDS_TO_RETURN:
                raise StorageError(
                    f"cannot {verb} {url!r}, tried for {waited:.0f} s: {_say(error)}: {_advice(error)}; then run again"
                ) from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _read(max_bytes: int, system: Any, place: str) -> tuple[bytes, int]:
    """The first bytes of an object, one more than allowed at most, and its size."""
    try:
        # A range bounds the memory. No request for the size goes before it.
        data: bytes = _call(system, "_cat_file", place, start=0, end=max_bytes + 1, timeout=_SECONDS_TO_ARRIVE)
    except Exception as error:
        if _is_empty(error):
            return b"", 0
        raise
    return data, len(data) if len(data) <= max_bytes else _call(system, "_info", place)["size"]


def _settle_read(system: Any, place: str, url: str, error: Exception) -> None:
    if isinstance(error, FileNotFoundError) and _has_bucket(system, place):
        raise FileNotFoundError(
            errno.ENOENT, "no such object any more: it was deleted after it was listed", url
        ) from None
    if _code(error) in _DENIED or str(error).startswith("Forbidden"):
        raise PermissionError(errno.EACCES, f"the store refuses this object: {_say(error)}", url) from None


def _change(system: Any, name: str, *arguments: Any) -> None:
    _call(system, name, *arguments, timeout=_SECONDS_TO_ARRIVE)


def _settle_change(system: Any, place: str, url: str, error: Exception) -> None:
    if isinstance(error, FileNotFoundError):
        if _has_bucket(system, place):
            raise error
        raise StorageError(f"there is no bucket {place.partition('/')[0]!r}, which {url!r} names") from None


def _file_system(scheme: str) -> Any:
    # A client does not outlive a fork.
    with _opening:
        return _open(scheme, os.getpid())


@functools.cache
def _open(scheme: str, process: int) -> Any:
    del process
    if scheme not in _CLIENTS:
        raise StorageError(f"received {scheme}://; allowed are a path, {FORMS}")
    try:
        module, name = _CLIENTS[scheme]
        client = getattr(import_module(module), name)
        options = _OPTIONS.get(scheme, {})
        if scheme == "gs" and os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
            # Without it, a file that cannot be used would be passed over in silence, for no credentials at all.
            options = {"token": "google_default"}
        system = client(skip_instance_cache=True, use_listings_cache=False, **options)
    except ImportError:
        raise StorageError(
            f"{scheme}:// needs the extra {EXTRAS[scheme]!r}: pip install 'crackgate[{EXTRAS[scheme]}]'"
        ) from None
    except Exception as error:
        raise StorageError(f"cannot use {scheme}://: {_say(error)}: {_advice(error)}") from None
    system.outage = _Outage()
    if scheme == "s3":
        system.retries = 1
        # Its own reads "a" for "a?versionId=b".
        system.split_path = lambda place: (*system._find_bucket_key(place), None)
    if scheme == "az":
        # Its own takes names for URLs: "a?b#c" would become "a#c?b", and a line break would go.
        system._strip_protocol = str
    return system


def _call(system: Any, name: str, *arguments: Any, timeout: float | None = None, **options: Any) -> Any:
    from fsspec.asyn import sync

    return sync(system.loop, getattr(system, name), *arguments, timeout=timeout, **options)


def _ask(system: Any, place: str) -> None:
    """Raises FSTimeoutError where nobody answers; what else is wrong, the listing says better."""
    from fsspec.exceptions import FSTimeoutError

    try:
        _call(system, "_info", place, timeout=_SECONDS_TO_ANSWER)
    except FSTimeoutError:
        raise
    except Exception:
        return


def _has_bucket(system: Any, place: str) -> bool:
    """Whether an object alone is missing, and not all of them with their bucket."""
    try:
        return bool(_call(system, "_exists", system.split_path(place)[0], timeout=_SECONDS_TO_ANSWER))
    except Exception:
        return False


def _is_empty(error: Exception) -> bool:
    """Whether a range was refused since the object has no bytes."""
    return "InvalidRange" in (_code(error), str(getattr(error, "error_code", ""))) or "416" in (
        str(getattr(error, "code", "")),
        str(getattr(error, "status_code", "")),
    )


def _code(error: Exception) -> str:
    """S3's code of an error; "" for other stores."""
    response = getattr(error.__cause__ or error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _say(error: Exception) -> str:
    from fsspec.exceptions import FSTimeoutError

    if isinstance(error, FSTimeoutError):
        return "no answer"
    if isinstance(error, KeyError):
        return _NO_STORE
    said = " ".join(filter(None, (_code(error), str(error))))
    return shorten(said, _LONGEST, placeholder=" ...") or type(error).__name__


def _advice(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return "check the credentials and their rights (docs/data.md says where they are looked for)"
    return _ADVICE
