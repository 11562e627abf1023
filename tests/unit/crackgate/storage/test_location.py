"""Paths and URLs: what is taken, and what is refused in one line."""

from pathlib import Path

import pytest

from crackgate.storage.location import below, is_url, looks_like_url, parse_location


def test_a_path_becomes_absolute_and_a_url_loses_only_slashes_at_its_end() -> None:
    assert parse_location("a/../b") == Path.cwd() / "b"
    assert parse_location("s3://bucket/a/../b #%?//") == "s3://bucket/a/../b #%?"
    assert parse_location("S3://bucket") == "s3://bucket"
    assert parse_location("C:/data") == Path.cwd() / "C:" / "data"


@pytest.mark.parametrize(
    "text",
    ["http://host/a", "file:///a", "s3://", "s3:///key", "gs:/bucket/a", "abfs://c/a", "", " s3://b/a", "'s3://b/a'"],
)
def test_what_no_client_reads_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed are a path, s3://BUCKET/PREFIX, gs://"):
        parse_location(text)


@pytest.mark.parametrize("url", ["s3://host:9000/a", "s3://user:secret@bucket/a", "gs://a b/c"])
def test_a_bucket_is_a_name_without_an_address_or_credentials(url: str) -> None:
    with pytest.raises(ValueError, match=r"a bucket of letters.*settings of their own"):
        parse_location(url)
    assert parse_location("az://$web/a") == "az://$web/a"
    access_point = "s3://arn:aws:s3:eu-west-1:123456789012:accesspoint/name/a"
    assert parse_location(access_point) == access_point


def test_a_key_with_a_leading_slash_is_no_path_of_this_machine() -> None:
    assert below("s3://bucket", "/etc/passwd") == "s3://bucket//etc/passwd"
    assert below(Path("/data"), "a/b.jpg") == "/data/a/b.jpg"


def test_a_url_is_known_after_a_path_was_made_of_it() -> None:
    assert is_url("gs://b/a") and not is_url(Path("gs://b/a")) and looks_like_url(Path("gs://b/a"))
    assert not looks_like_url(Path("/gs:/b")) and not looks_like_url("a:b/c")
