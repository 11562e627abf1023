"""The content security policy of a page: it bounds what the page loads and runs."""

import base64
import hashlib


def page_policy(script: str, images: str = "data:") -> str:
    """The policy of a page that runs one script of its own, "" for none, and loads nothing but images from `images`."""
    runs = f"; script-src {digest(script)}" if script else ""
    return f"default-src 'none'; img-src {images}; style-src 'unsafe-inline'{runs}"


def digest(text: str) -> str:
    """The source that allows an inline script or style of exactly this text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
