"""The serving directory: released versions, one numbered folder each, in TensorFlow Serving's layout.

    serving/
    ├── 1795374861/        a version: the SavedModel, manifest.json and, for signed releases, manifest.sig
    ├── staged/            versions that wait for a person's approval
    ├── withdrawn/         versions that were rolled back or rejected, and <version>.json with who, when and why
    ├── model_cards/       <version>.md, written by the report
    ├── release.pub        put there by an operator: the key that must have signed every version
    ├── .unfinished/       pushes that go on or were killed
    ├── .lock              held by the process that changes something
    ├── .last-number       the highest number so far, deleted versions included
    └── .mirror-id         where it has mirrors, which have it in .mirror-of

A complete version has a manifest and all its files, and never changes. The newest complete version that is neither
withdrawn nor staged is in production. TensorFlow Serving looks at numbers alone, and into no other folder.
"""

from crackgate.releases.approval import Approval, NotComparedError, approve, reject
from crackgate.releases.change import ServingDirectoryError
from crackgate.releases.comparability import find_other_classes, has_classes
from crackgate.releases.manifest import Lineage, Manifest, ManifestError, Release, read_manifest
from crackgate.releases.publication import publish
from crackgate.releases.records import State
from crackgate.releases.retention import held, remove_old_versions
from crackgate.releases.verification import Finding, UntrustedVersionError, check_trusted, required_key, verify
from crackgate.releases.versions import (
    ALIASES,
    Version,
    find_version,
    find_withdrawn_model,
    is_model,
    list_versions,
    production_number,
    production_version,
    staged_version,
    versions_newest_first,
)
from crackgate.releases.withdrawal import roll_back

__all__ = [
    "ALIASES",
    "Approval",
    "Finding",
    "Lineage",
    "Manifest",
    "ManifestError",
    "NotComparedError",
    "Release",
    "ServingDirectoryError",
    "State",
    "UntrustedVersionError",
    "Version",
    "approve",
    "check_trusted",
    "find_other_classes",
    "find_version",
    "find_withdrawn_model",
    "has_classes",
    "held",
    "is_model",
    "list_versions",
    "production_number",
    "production_version",
    "publish",
    "read_manifest",
    "reject",
    "remove_old_versions",
    "required_key",
    "roll_back",
    "staged_version",
    "verify",
    "versions_newest_first",
]
