"""Damage inside a JPEG's scan, which decoders fill with grey and do not tell."""

import re

import simplejpeg

from crackgate.images.rejection import RejectedImageError

# libjpeg's warnings of lost pixels. Others, such as bytes before the end marker, lose none.
_CUT = re.compile("premature end", re.IGNORECASE)
_DAMAGED = re.compile(r"bad (Huffman|arithmetic) code|instead of RST|extraneous bytes before marker 0x(?!d9)")


def check_scan(data: bytes) -> None:
    """Raises RejectedImageError where libjpeg warns of lost pixels.

    It reads all codes and transforms one pixel of 64: a third of the price of decoding, 0.06 ms for 227x227 pixels.
    """
    warning = _warning(data)
    if _CUT.search(warning):
        raise RejectedImageError("truncated", f"the JPEG's scan is truncated (libjpeg: {warning}): copy the file again")
    if _DAMAGED.search(warning):
        raise RejectedImageError("unreadable", f"the JPEG's scan is damaged (libjpeg: {warning}): copy the file again")


def _warning(data: bytes) -> str:
    try:
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        return str(error)
    return ""
