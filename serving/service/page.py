"""The page."""

PAGE = "<!doctype html>"
PAGE_POLICY = "default-src 'none'"
