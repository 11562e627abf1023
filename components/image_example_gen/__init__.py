"""Turns a folder-per-class tree of images into TFRecords, split by group."""
