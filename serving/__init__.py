"""From a released model to answers: scoring files, whole photographs, and an HTTP service."""
