"""The documentation as a site; the pages are those of `docs/`, and some made of other files."""
