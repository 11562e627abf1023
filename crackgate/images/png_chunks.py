"""The chunks of a PNG before its pixels: significant bits, and colours that decoders pass over.

Source: W3C, "Portable Network Graphics (PNG) Specification (Third Edition)", 2025.
"""

import struct

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD = struct.Struct(">I4s")
_CHECKSUM_BYTES = 4
# A file may have any number.
_MOST_CHUNKS = 256
# gAMA counts in hundred thousandths; sRGB's is 45455. The one that ffmpeg writes for BT.709, 50994, is near, too.
_SRGB_GAMMA, _NEAR = 45_455, 6_000
# Code points of H.273, 2 being unspecified: primaries of BT.709; transfer functions of BT.709 and the like, gamma 2.2
# and sRGB.
_UNSPECIFIED = b"\2\2"
_NEAR_PRIMARIES = frozenset((1, 2))
_NEAR_TRANSFERS = frozenset((1, 2, 4, 6, 13, 14, 15))


def significant_bits(data: bytes) -> int:
    """The first byte of the chunk sBIT, 1 to 16; 0 where there is none."""
    bits = _chunks(data).get(b"sBIT", b"\0")[:1]
    return bits[0] if bits and bits[0] <= 16 else 0


def has_other_colours(data: bytes) -> bool:
    """Whether cICP or gAMA declare colours or a brightness that is visibly not sRGB's; no decoder here applies them."""
    chunks = _chunks(data)
    codes = chunks.get(b"cICP", b"")[:2]
    if len(codes) == 2 and codes != _UNSPECIFIED:
        return codes[0] not in _NEAR_PRIMARIES or codes[1] not in _NEAR_TRANSFERS
    if chunks.keys() & {b"iCCP", b"sRGB"} or len(gamma := chunks.get(b"gAMA", b"")) != 4:
        return False
    return abs(int.from_bytes(gamma, "big") - _SRGB_GAMMA) > _NEAR


def _chunks(data: bytes) -> dict[bytes, bytes]:
    """The contents of the chunks before the pixels by their names; none of a file that is no PNG."""
    found: dict[bytes, bytes] = {}
    place = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS if data.startswith(_SIGNATURE) else 0):
        if place + _HEAD.size > len(data):
            break
        length, name = _HEAD.unpack_from(data, place)
        if name == b"IDAT":
            break
        place += _HEAD.size
        found.setdefault(name, data[place : place + length])
        place += length + _CHECKSUM_BYTES
    return found
