"""Stops the run when its images differ from those of the last released run, or its splits from each other."""
