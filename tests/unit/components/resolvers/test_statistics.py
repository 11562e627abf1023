"""The statistics of the last release, from serving directories of a few versions."""

import logging
import shutil
from pathlib import Path

import ml_metadata as mlmd
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ml_metadata.proto import metadata_store_pb2
from tfx.types import Artifact
from tfx.types.artifact_utils import get_split_uri

from components.resolvers.statistics import ReleasedStatisticsStrategy
from crackgate.contracts.stored_example import SPLITS
from crackgate.releases import publish, roll_back
from crackgate.releases.signatures import Signer
from tests.helpers.pushing import RELEASE, write_model

CLASSES = ["Negative", "Positive"]


class _Releases:
    """A store, and versions whose statistics say the version's name."""

    def __init__(self, root: Path) -> None:
        config = metadata_store_pb2.ConnectionConfig()
        config.fake_database.SetInParent()
        self.store = mlmd.MetadataStore(config)
        self.root, self.serving = root, root / "serving"
        self.model = write_model(root / "model")

    def release(self, said: str | None, signer: Signer | None = None) -> Path:
        statistics = self.root / "statistics"
        for split in SPLITS if said else ():
            (statistics / f"Split-{split}").mkdir(parents=True)
            (statistics / f"Split-{split}" / "FeatureStats.pb").write_text(f"{said} {split}")
        folder = publish(self.model, self.serving, RELEASE, signer, statistics if said else None)
        shutil.rmtree(statistics, ignore_errors=True)
        return folder

    def artifacts(self, classes: list[str] = CLASSES, public_key: str = "") -> list[Artifact]:
        strategy = ReleasedStatisticsStrategy(str(self.serving), classes, public_key)
        return strategy.resolve_artifacts(self.store, {"statistics": []})["statistics"]

    def said(self, classes: list[str] = CLASSES, public_key: str = "") -> str | None:
        artifacts = self.artifacts(classes, public_key)
        if not artifacts:
            return None
        texts = [(Path(get_split_uri(artifacts, split)) / "FeatureStats.pb").read_text().split() for split in SPLITS]
        assert [split for _, split in texts] == list(SPLITS)
        return texts[0][0]


@pytest.fixture
def releases(tmp_path: Path) -> _Releases:
    return _Releases(tmp_path)


def test_without_a_release_there_are_none(releases: _Releases) -> None:
    assert releases.said() is None


def test_they_are_those_of_the_version_in_production_noted_once(releases: _Releases) -> None:
    releases.release("first")
    assert releases.said() == "first"
    releases.release("second")
    assert releases.said() == "second"
    assert len({releases.artifacts()[0].id for _ in range(2)}) == 1
    roll_back(releases.serving, None, "me", "bad")
    assert releases.said() == "first"
    assert releases.said(["Positive", "Negative"]) is None, "other classes cannot be compared"


def test_a_version_without_statistics_is_said_and_no_older_one_is_taken(
    releases: _Releases, caplog: pytest.LogCaptureFixture
) -> None:
    releases.release("first")
    newest = releases.release(None)
    with caplog.at_level(logging.WARNING, "crackgate"):
        assert releases.said() is None
    assert f"version {newest.name} keeps no statistics of its images" in caplog.text


def test_versions_that_are_not_signed_as_required_are_passed_over_and_said(
    releases: _Releases, caplog: pytest.LogCaptureFixture
) -> None:
    key = Ed25519PrivateKey.generate()
    file = releases.root / "release.pub"
    file.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    releases.release("signed", Signer(key))
    unsigned = releases.release("unsigned")
    assert releases.said() == "unsigned"
    with caplog.at_level(logging.WARNING, "crackgate"):
        assert releases.said(public_key=str(file)) == "signed"
    assert f"version {unsigned.name} is passed over: the release is not signed" in caplog.text
    shutil.copy(file, releases.serving)
    assert releases.said() == "signed"
