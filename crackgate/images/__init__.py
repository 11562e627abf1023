"""Folders of images: listing, decoding and checking files, their quality, and copies among them."""
