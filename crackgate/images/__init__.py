"""Folders of images: which files there are, reading and checking one, its quality, copies among many."""
