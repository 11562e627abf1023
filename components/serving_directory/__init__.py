"""The serving directory: released versions, one numbered folder each, in TensorFlow Serving's layout.

    serving/
    ├── 1795374861/        a version: the SavedModel, manifest.json and, where releases are signed, manifest.sig
    ├── withdrawn/         versions that were rolled back, and <version>.json with who, when and why
    ├── model_cards/       <version>.md, written by the report
    ├── .unfinished/       pushes that are going on, or were killed
    └── .lock              held by whoever changes something; holds the last number that was given

A version is complete exactly when it has a manifest and every file that it names. Nothing in its folder ever changes
after that. TensorFlow Serving looks at numbers alone.
"""

from components.serving_directory.change import ServingDirectoryError
from components.serving_directory.manifest import Lineage, Manifest, ManifestError, Release, read_manifest
from components.serving_directory.publishing import publish
from components.serving_directory.retention import held, remove_old_versions
from components.serving_directory.verification import Finding, verify
from components.serving_directory.versions import (
    State,
    Version,
    current_version,
    find_version,
    find_withdrawn_model,
    list_versions,
)
from components.serving_directory.withdrawal import roll_back

__all__ = [
    "Finding",
    "Lineage",
    "Manifest",
    "ManifestError",
    "Release",
    "ServingDirectoryError",
    "State",
    "Version",
    "current_version",
    "find_version",
    "find_withdrawn_model",
    "held",
    "list_versions",
    "publish",
    "read_manifest",
    "remove_old_versions",
    "roll_back",
    "verify",
]
