"""Objects of a real S3 server and of a stand-in for Google Cloud Storage, over the network of this machine."""

import base64
import http.server
import socket
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from crackgate.config.data import DataOptions
from crackgate.contracts.errors import WrongQuestionError
from crackgate.control_groups import usable_cores
from crackgate.data_set.data_set import DataSet, find_data_set
from crackgate.images.image_folder import read_source
from crackgate.images.rejection import RejectedImageError
from crackgate.model import predictions
from crackgate.storage import object_store
from crackgate.storage.concurrency import count_threads
from crackgate.storage.location import below
from crackgate.storage.object_store import StorageError, list_objects, read_object, remove_object, write_object
from tests.helpers.s3_server import BUCKET, S3Server, s3_server

ROOT = f"s3://{BUCKET}"
NAMES = [
    *("a b.jpg", "c%20d.jpg", "plus+.jpg", "x::y.jpg", "x[1]*.jpg", "ü#%?&=.jpg"),
    *("..", "/lead.jpg", "in//two.jpg", "case/1.jpg", "case?versionId=1.jpg"),
]
# More than two pages of a listing.
MANY = 2_500
OBJECTS = {
    **{f"odd/{name}": name.encode() for name in NAMES},
    "odd/": b"",
    "odd/folder/": b"",
    "odd/folder_$folder$": b"",
    "/odd/of a slash.jpg": b"y",
    "/oddly.jpg": b"z",
    # As Azure's client lists a console's folder.
    "odd/case": b"",
    "oddly/another.jpg": b"x",
    "odd/empty.jpg": b"",
    **{f"set/{'crack' if number % 2 else 'sound'}/{number:05d}.jpg": b"%d" % number for number in range(MANY)},
    "set/readme.txt": b"",
    "set/sound/.DS_Store": b"",
    "set/run/summary.json": b"",
    "set/run/report.html": b"",
    "set/run/crack/made.jpg": b"x",
    "site/a.jpg": b"a",
    "site/b.jpg": b"b",
    "site/c.jpg": b"c",
    "site//lead.jpg": b"d",
    "site/in//two.jpg": b"e",
    "site/tables/labels.csv": b"path,label\na.jpg,bad\n../b.jpg,good\ns3://photographs/site/c.jpg,good\n"
    b"/lead.jpg,bad\nin//two.jpg,bad\n",
}


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server(OBJECTS) as started:
        yield started


@pytest.fixture(autouse=True)
def store(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The settings of a user of the server, and boto3's client, which changes objects."""
    import boto3

    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


def _paths(url: str) -> list[str]:
    return [found.path for found in list_objects(url)]


def test_any_name_is_listed_and_read_and_consoles_folders_are_no_files() -> None:
    assert sorted(_paths(f"{ROOT}/odd")) == sorted([*NAMES, "empty.jpg"])
    for path in _paths(f"{ROOT}/odd"):
        assert read_source(below(f"{ROOT}/odd", path), 100) == (b"" if path == "empty.jpg" else path.encode())
    assert _paths(f"{ROOT}/odd/a b.jpg") == [""]
    assert _paths(f"{ROOT}/none") == []
    assert _paths(f"{ROOT}//odd") == ["of a slash.jpg"]
    assert _paths(f"{ROOT}//oddly.jpg") == [""] and read_source(f"{ROOT}//oddly.jpg", 100) == b"z"


def test_pages_of_objects_are_a_data_set_without_what_is_none_of_it() -> None:
    found = find_data_set(f"{ROOT}/set", DataOptions())
    assert found.classes == ["crack", "sound"] and len(found.images) == MANY
    assert found.ignored == {"documents": 1, "system files": 1, "folders of crackgate": 1}


def test_a_table_in_a_bucket_names_objects_by_its_own_place_by_the_datas_and_by_url() -> None:
    found = find_data_set(f"{ROOT}/site", DataOptions(labels=f"{ROOT}/site/tables/labels.csv"))
    assert {image.path: image.class_name for image in found.images} == {
        "a.jpg": "bad",
        "b.jpg": "good",
        "c.jpg": "good",
        "/lead.jpg": "bad",
        "in//two.jpg": "bad",
    }
    with pytest.raises(WrongQuestionError, match=r"cannot read the table of labels .*: no such object; data\.labels"):
        find_data_set(f"{ROOT}/site", DataOptions(labels=f"{ROOT}/none.csv"))


def test_the_fingerprint_changes_with_an_object_and_with_nothing_else(store: Any) -> None:
    def put(key: str, content: bytes) -> None:
        store.put_object(Bucket=BUCKET, Key=f"few/{key}", Body=content)

    def fingerprint() -> str:
        found: DataSet = find_data_set(f"{ROOT}/few", DataOptions(classes=("a", "b")))
        return found.fingerprint(f"{ROOT}/few")

    put("a/1.jpg", b"one")
    put("b/2.jpg", b"two")
    first = fingerprint()
    put("b/2.jpg", b"two")
    assert fingerprint() == first
    put("b/2.jpg", b"TWO")
    rewritten = fingerprint()
    put("a/1.jpg", b"TWO")
    put("b/2.jpg", b"one")
    assert len({first, rewritten, fingerprint()}) == 3


def test_a_deleted_object_and_a_large_one_are_refused_alone(store: Any) -> None:
    store.put_object(Bucket=BUCKET, Key="gone.jpg", Body=b"x")
    store.delete_object(Bucket=BUCKET, Key="gone.jpg")
    with pytest.raises(FileNotFoundError, match="deleted after it was listed"):
        read_source(f"{ROOT}/gone.jpg", 100)
    with pytest.raises(RejectedImageError, match="too large: 7 bytes, allowed are 6"):
        read_source(f"{ROOT}/odd/a b.jpg", 6)


def test_without_its_bucket_no_object_counts_as_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StorageError, match="no bucket 'elsewhere', which 's3://elsewhere/a' names"):
        _paths("s3://elsewhere/a")
    monkeypatch.setattr(object_store, "_SECONDS_TO_RETURN", 1)
    with pytest.raises(StorageError, match=r"cannot read 's3://elsewhere/a\.jpg'.* run again"):
        read_source("s3://elsewhere/a.jpg", 100)


def test_a_server_that_does_not_come_back_is_said_with_the_object(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server({"a.jpg": b"x"}) as dying:
        monkeypatch.setenv("AWS_ENDPOINT_URL", dying.environment["AWS_ENDPOINT_URL"])
        assert read_source(f"{ROOT}/a.jpg", 100) == b"x"
        dying.stop()
        monkeypatch.setattr(object_store, "_SECONDS_TO_RETURN", 2)
        with pytest.raises(StorageError, match=r"cannot read 's3://photographs/a\.jpg', tried for \d+ s: .*connect"):
            read_source(f"{ROOT}/a.jpg", 100)
        with pytest.raises(StorageError, match=r"cannot list 's3://photographs'.*check the store's address"):
            _paths(ROOT)


def test_a_server_that_dies_while_it_is_read_and_comes_back_gives_the_object(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with s3_server({"a.jpg": b"x"}, dies_after=1) as dying:
        monkeypatch.setenv("AWS_ENDPOINT_URL", dying.environment["AWS_ENDPOINT_URL"])
        with dying.revived():
            assert read_source(f"{ROOT}/a.jpg", 100) == b"x"


def test_wrong_credentials_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server({"a.jpg": b"x"}, asks_who=True) as guarded:
        monkeypatch.setenv("AWS_ENDPOINT_URL", guarded.environment["AWS_ENDPOINT_URL"])
        for use in (_paths, lambda url: read_source(f"{url}/a.jpg", 100)):
            with pytest.raises(StorageError, match=r"InvalidAccessKeyId.*check the credentials"):
                use(ROOT)


@pytest.mark.parametrize(
    ("url", "setting"),
    [(ROOT, "AWS_WEB_IDENTITY_TOKEN_FILE"), (f"gs://{BUCKET}", "GOOGLE_APPLICATION_CREDENTIALS")],
)
def test_a_missing_file_of_credentials_is_no_missing_bucket(
    url: str, setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/reader")
    monkeypatch.setenv(setting, str(tmp_path / "none.json"))
    with pytest.raises(StorageError, match=r"none\.json.*credentials \(docs/data.md\)"):
        _paths(url)
    assert capfd.readouterr().err == ""


def test_a_missing_client_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "adlfs", None)
    with pytest.raises(StorageError, match=r"az:// needs the extra 'azure': pip install 'crackgate\[azure\]'"):
        _paths("az://container/prefix")


class _EchoOfNames(http.server.BaseHTTPRequestHandler):
    """As Azure's server answers; every blob holds its own name. `changed` has what was written and removed."""

    asked = False
    changed: ClassVar[dict[bytes, bytes | None]] = {}

    @property
    def name(self) -> bytes:
        return urllib.parse.unquote(self.path.split("?")[0]).removeprefix("/account/container/").encode()

    def do_PUT(self) -> None:
        """Takes a blob as a whole."""
        assert "comp" not in urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query), "no blocks"
        self.changed[self.name] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(201)

    def do_DELETE(self) -> None:
        self._answer(404 if self.changed.get(self.name) is None else 202)
        self.changed[self.name] = None

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        if status == 404:
            self.send_header("x-ms-error-code", "BlobNotFound")
        self.end_headers()

    def do_GET(self) -> None:
        name = self.name
        self.send_response(206)
        self.send_header("Content-Length", str(len(name)))
        self.send_header("Content-Range", f"bytes 0-{len(name) - 1}/{len(name)}")
        self.send_header("ETag", '"1"')
        self.end_headers()
        self.wfile.write(name)

    def do_HEAD(self) -> None:
        """Fails the first time."""
        first, _EchoOfNames.asked = not _EchoOfNames.asked, True
        self.send_response(409 if first else 200)
        self.send_header("Content-Length", "12345")
        self.send_header("ETag", '"1"')
        self.send_header("Last-Modified", "Mon, 01 Jan 2024 00:00:00 GMT")
        self.end_headers()


def test_azures_client_reads_and_changes_the_blob_of_that_name_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _EchoOfNames) as azure:
        threading.Thread(target=azure.serve_forever, daemon=True).start()
        key = base64.b64encode(b"key").decode()
        address = f"http://127.0.0.1:{azure.server_port}/account"
        monkeypatch.setenv(
            "AZURE_STORAGE_CONNECTION_STRING", f"AccountName=account;AccountKey={key};BlobEndpoint={address}"
        )
        try:
            for name in (
                "a b.jpg",
                "a?b#c.jpg",
                "a#b?c.jpg",
                "a\nb.jpg",
                "end#",
                "end?",
                "c%20d.jpg",
                "in//two.jpg",
                "ü",
            ):
                assert read_source(f"az://container/odd/{name}", 100) == f"odd/{name}".encode()
                write_object(f"az://container/odd/{name}", b"new")
                assert _EchoOfNames.changed.pop(f"odd/{name}".encode()) == b"new" and not _EchoOfNames.changed
            write_object("az://container/7/manifest.json", b"{}")
            for _ in range(2):
                remove_object("az://container/7/manifest.json")
            assert _EchoOfNames.changed == {b"7/manifest.json": None}
            # The size of a large one is asked for again, too.
            with pytest.raises(RejectedImageError, match="12345 bytes, allowed are 6"):
                read_source("az://container/odd/large.jpg", 6)
        finally:
            azure.shutdown()


class _Unavailable(http.server.BaseHTTPRequestHandler):
    """A server that answers nothing but that it is busy, and knows what it was asked for."""

    asked: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        self.asked.add(self.path)
        self.send_error(503)


class _Portal(http.server.BaseHTTPRequestHandler):
    """Answers every request with the same page, as a console does, or a network that wants a login first."""

    tells_length = True

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if self.tells_length:
            self.send_header("Content-Length", "13")
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"<html></html>")


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_page_at_the_stores_address_is_no_object(tells_length: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Portal, "tells_length", tells_length)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Portal) as portal:
        threading.Thread(target=portal.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{portal.server_port}")
        try:
            with pytest.raises(StorageError, match="answers as no store does: check the store's address"):
                find_data_set(f"{ROOT}/set", DataOptions())
        finally:
            portal.shutdown()


def test_what_is_read_ahead_does_not_wait_for_a_store_that_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_SECONDS_TO_RETURN", 0)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Unavailable) as busy:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{busy.server_port}")
        try:
            files = [f"{ROOT}/{number}.jpg" for number in range(100)]
            with pytest.raises(StorageError, match=r"cannot read 's3://photographs/0\.jpg'"):
                list(predictions._read_ahead(files, 100))
        finally:
            busy.shutdown()
    # Those that were being read, and one more of each thread.
    assert len(_Unavailable.asked) <= 2 * count_threads(usable_cores(), is_stored=True)


def test_what_waits_behind_an_object_does_not_wait_for_the_store_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_store, "_SECONDS_TO_RETURN", 4)
    # Short pauses: the first object waits for nearly all of the time, however slow the machine.
    monkeypatch.setattr(object_store, "_FIRST_PAUSE", 0.1)
    monkeypatch.setattr(object_store, "_LONGEST_PAUSE", 0.1)
    # One request an attempt.
    monkeypatch.setitem(object_store._OPTIONS["s3"]["config_kwargs"], "retries", {"total_max_attempts": 1})
    requests: list[str] = []

    class Busy(_Unavailable):
        def do_GET(self) -> None:
            requests.append(self.path)
            super().do_GET()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy) as busy:
        threading.Thread(target=busy.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{busy.server_port}")
        try:
            for _ in range(2):
                with pytest.raises(StorageError, match="cannot read"):
                    read_source(f"{ROOT}/a.jpg", 100)
                requests.append("given up")
        finally:
            busy.shutdown()
    first = requests.index("given up")
    assert len(requests) - first - 2 == 1 < first


def test_an_outage_began_with_the_first_request_that_failed_and_after_the_last_that_did_not() -> None:
    outage, asked = object_store._Outage(), time.monotonic() - 100
    assert outage.prolong(asked) >= 100
    assert outage.prolong(time.monotonic()) >= 100
    outage.end()
    assert outage.prolong(asked) < 50, "another request was answered meanwhile"


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """A stand-in for Google Cloud Storage; the function puts an object into it."""
    from gcp_storage_emulator.server import create_server

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
    # An empty name is no name.
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
    monkeypatch.setenv("HOME", str(tmp_path))

    def put(name: str, content: bytes) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": name})
        url = f"http://127.0.0.1:{port}/upload/storage/v1/b/{BUCKET}/o?{query}"
        urllib.request.urlopen(urllib.request.Request(url, content, {"Content-Type": "image/jpeg"})).close()

    with create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET):
        yield put


def test_google_cloud_storage_is_listed_and_read_by_generations(google: Callable[[str, bytes], None]) -> None:
    names = [name for name in NAMES if name != ".." and not name.startswith("/")]
    for name in names:
        google(f"odd/{name}", name.encode())
    root = f"gs://{BUCKET}"
    before = {found.path: found.mark for found in list_objects(f"{root}/odd")}
    assert sorted(before) == sorted(names)
    for name in names:
        assert read_source(f"{root}/odd/{name}", 100) == name.encode()
    google("odd/a b.jpg", b"a b.jpg")
    after = {found.path: found.mark for found in list_objects(f"{root}/odd")}
    assert [path for path in after if after[path] != before[path]] == ["a b.jpg"]
    with pytest.raises(FileNotFoundError, match="deleted after"):
        read_source(f"{root}/odd/none.jpg", 100)
    with pytest.raises(StorageError, match="no bucket 'elsewhere'"):
        _paths("gs://elsewhere/odd")
    _write_replace_and_remove(f"{root}/written")


def _write_replace_and_remove(root: str) -> None:
    names = {"7/a b.pb": b"first", "7/variables/x%20y": b"x" * 300_000, "7/empty": b""}
    for name, content in names.items():
        write_object(f"{root}/{name}", content)
    write_object(f"{root}/7/a b.pb", b"second")
    assert sorted(_paths(root)) == sorted(names)
    for name, content in {**names, "7/a b.pb": b"second"}.items():
        assert read_object(f"{root}/{name}", 400_000) == content
    for name in (*names, "7/a b.pb", "7/none"):
        remove_object(f"{root}/{name}")
    assert _paths(root) == []


def test_objects_are_written_replaced_and_removed() -> None:
    _write_replace_and_remove(f"{ROOT}/written")
    for change in (lambda url: write_object(url, b"x"), remove_object):
        with pytest.raises(StorageError, match="elsewhere"):
            change("s3://elsewhere/a")
