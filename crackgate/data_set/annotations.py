"""Signs that a folder holds a data set for detection or segmentation, or has its labels in a file."""

import os
import re
from collections import Counter

from crackgate.contracts.errors import NEEDED
from crackgate.data_set.file_tree import FileTree
from crackgate.data_set.ignored_files import DOCUMENTS

_BY_NAME = {
    re.compile(
        r".*coco.*\.json|instances_.*\.json|_?annotations?\.json", re.IGNORECASE
    ): "boxes or outlines in COCO's form",
    re.compile(r".*createml.*\.json|via_.*\.json|annotations?\.xml", re.IGNORECASE): "boxes or outlines",
    re.compile(r"_classes\.csv", re.IGNORECASE): "labels, one column for each",
    re.compile(r"_annotations\.csv", re.IGNORECASE): "boxes",
    re.compile(r".*darknet.*|.*\.names", re.IGNORECASE): "boxes in YOLO's form",
}
_BY_SUFFIX = {
    "xml": "boxes in Pascal VOC's form",
    "txt": "boxes in YOLO's form",
    "json": "boxes or outlines",
    "mat": "masks in MATLAB's form",
    "seg": "masks",
    "npy": "masks",
}
_TABLES = (".csv", ".tsv", ".xls", ".xlsx", ".ods")
_EXPORTS = (".json", ".jsonl", ".ndjson", ".xml")


def describe_annotations(tree: FileTree, with_any: bool) -> str:
    """One sentence about the first sign found, with what to do; "" if there is none.

    A sign is a file with a name that tools for annotation use, files with the names of half of the images, or, with
    `with_any`, any table, JSON or XML.
    """
    documents = tree.ignored.get(DOCUMENTS, [])
    for pattern, content in _BY_NAME.items():
        found = next((path for path in documents if pattern.fullmatch(os.path.basename(path))), None)
        if found is not None:
            return f"{found!r} holds {content}: {NEEDED}"
    stems = {_stem(path) for path in tree.images}
    beside = Counter(_suffix(path) for path in documents if _stem(path) in stems)
    for suffix, count in beside.most_common(1):
        if suffix in _BY_SUFFIX and 2 * count >= len(tree.images):
            example = next(path for path in documents if _suffix(path) == suffix and _stem(path) in stems)
            files = f"files such as {example!r}, {count} in all,"
            return f"{files} belong to one image each, as {_BY_SUFFIX[suffix]} do: {NEEDED}"
    if not with_any:
        return ""
    if found := next((path for path in documents if path.lower().endswith(_TABLES)), None):
        return f"{found!r} may hold labels: give it by --labels FILE, as CSV with the columns path and label"
    if found := next((path for path in documents if path.lower().endswith(_EXPORTS)), None):
        return f"{found!r} may hold labels, boxes or outlines: {NEEDED}"
    return ""


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1][1:].lower()
