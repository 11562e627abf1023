"""Scoring any number of image files with a released model: one after the other, or as a Beam pipeline."""
