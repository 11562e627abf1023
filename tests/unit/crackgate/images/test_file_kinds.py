"""Files that are no image, or none that opens: named, with the way out."""

import pytest

from crackgate.images import heic
from tests.helpers.image_files import HEIC, REWRITTEN, rejection_of


def _boxed(brand: bytes) -> bytes:
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0" + brand + b"mif1" + bytes(400)


@pytest.mark.parametrize(
    ("data", "reason", "said"),
    [
        (_boxed(b"crx "), "format not supported", "a camera raw (CR3): develop it"),
        (b"FUJIFILMCCD-RAW 0201FF383501" + bytes(400), "format not supported", "a camera raw (RAF)"),
        (b"IIRO\x08\0\0\0" + bytes(400), "format not supported", "a camera raw (ORF)"),
        (b"IIRS\x08\0\0\0" + bytes(400), "format not supported", "a camera raw (ORF)"),
        (b"IIU\0\x18\0\0\0" + bytes(400), "format not supported", "a camera raw (RW2)"),
        (b"IIII\x01waR" + bytes(400), "format not supported", "a camera raw (IIQ)"),
        (b"FOVb" + bytes(400), "format not supported", "a camera raw (X3F)"),
        (b"II\x1a\0\0\0HEAPCCDR" + bytes(400), "format not supported", "a camera raw (CRW)"),
        (b"\xff\x0a" + bytes(400), "format not supported", "JPEG XL: convert it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(400), "format not supported", "JPEG XL: convert it"),
        (_boxed(b"qt  "), "not an image", "a video: save single frames"),
        (_boxed(b"isom"), "not an image", "a video: save single frames"),
        (_boxed(b"mp42"), "not an image", "a video: save single frames"),
        (b"\x1aE\xdf\xa3" + bytes(400), "not an image", "a video: save single frames"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "not an image",
            "a Git LFS pointer: run `git lfs pull`",
        ),
        (b"<!DOCTYPE html>\n<html><head><title>404</title>", "not an image", "a web page: the download failed"),
        (b"\n  <HTML><body>Forbidden", "not an image", "a web page: the download failed"),
        (
            b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>',
            "not an image",
            "the download failed",
        ),
        (b'{"message": "Not Found"}', "not an image", "JSON text"),
        (b"%PDF-1.7" + bytes(400), "not an image", "a PDF"),
        (b"PK\3\4" + bytes(400), "not an image", "an archive: unpack it"),
        (bytes(400), "not an image", "only zero bytes: the copy failed"),
        (b"just a note", "not an image", "starts with b'just a note'"),
        (HEIC[:100], "truncated", "begins like HEIC"),
        (HEIC[:-40], "truncated", "begins like HEIC"),
        (REWRITTEN["AVIF"][:100], "truncated", "begins like AVIF"),
        (REWRITTEN["AVIF"][:-40], "unreadable", "Truncated data"),
    ],
)
def test_kinds_are_named_with_the_way_out(data: bytes, reason: str, said: str) -> None:
    rejection = rejection_of(data)
    assert rejection.reason == reason
    assert said in rejection.detail


def test_without_its_extra_heic_is_refused_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heic, "IS_READ", False)
    rejection = rejection_of(HEIC[:100])
    assert rejection.reason == "format not supported"
    assert "install crackgate[heic]" in rejection.detail
