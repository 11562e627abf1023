"""Names that tell of augmented copies: pictures that a program turned, zoomed or toned before it exported them.

By its pixels a picture that was turned by some degrees or zoomed is no copy, so that the names alone can tell.
"""

import os
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable

from crackgate.data_set.data_set import ListedImage

# Each finds the source, with its folder, and is a --group-by. Roboflow and Augmentor write names of their own.
_EXPORTS = (
    r"^(.+)\.rf\.[0-9A-Za-z]{16,}\.[^./]*$",
    r"^(.+_original_.+)_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\.[^./]*$",
)
_ENDINGS = (
    r"^(.+?)(?:[_-](?:aug|augmented|rot|rotated?|flip|flipped|[hv]flip|mirror|mirrored|zoom|shear)(?:[_-]?\d+)?)*"
    r"\.[^./]*$"
)
# Fewer images, or a smaller share of them, are chance. Shear cracks may be numbered, too: they have few sources.
_FEWEST = 20
_LEAST_SHARE = 0.05
_FEWEST_SOURCES = 10


def describe_augmented(images: Iterable[ListedImage]) -> list[str]:
    """A warning where many images have the names of augmented copies of one another; else nothing.

    If splits are given, the copies in several splits count.
    """
    images = [image for image in images if image.class_name]
    given = any(image.splits for image in images)
    # Images of two splits may share a plain name, and an ending, by chance.
    for pattern in _EXPORTS if given else (*_EXPORTS, _ENDINGS):
        sources: dict[tuple[str, ...], list[ListedImage]] = defaultdict(list)
        augmented = set()
        for image in images:
            if found := re.search(pattern, image.path):
                name = os.path.basename(found[1])
                source = (image.class_name, image.part, name) if given else (found[1],)
                sources[source].append(image)
                if not image.path.startswith(".", found.end(1)) or pattern != _ENDINGS:
                    augmented.add(source)
        copied = [copies for source, copies in sources.items() if source in augmented and _are_several(copies, given)]
        count = sum(map(len, copied))
        if count < max(_FEWEST, _LEAST_SHARE * len(images)) or len(copied) < _FEWEST_SOURCES:
            continue
        example = min(image.path for copies in copied for image in copies)
        advice = (
            "in two splits and more: the test images may be no new ones; put the copies of one into one split"
            if given
            else "and a test image may be a training image, turned or zoomed; keep them together by --group-by "
            + shlex.quote(pattern)
        )
        return [
            f"{count} of {len(images)} images, such as {example!r}, have the names of {len(copied)} sources and their "
            f"augmented copies, {advice}"
        ]
    return []


def _are_several(copies: list[ListedImage], given: bool) -> bool:
    """Whether images of one source are more than one, or, where splits are given, in more than one."""
    return len({image.splits if given else image.path for image in copies}) > 1
