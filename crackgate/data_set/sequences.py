"""Names that tell of a sequence: frames of a video, or shots that a camera numbered."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable

from crackgate.data_set.data_set import ListedImage

# Words of programs that cut videos up, and of cameras. Bare numbers are usual in data sets, and tell nothing.
_NUMBERED = re.compile(
    r"(?i)(.*?(?:^|[^a-z])(?:frames?|vid|video|mvi|clip|still|seq|burst|img|dsc|dscn|dscf|dji|gopr|pxl))[ _-]?(\d+)$"
)
_LEAST_SHARE = 0.5
# Fewer are no sequence.
_FEWEST = 20
# It takes hundreds of names that end in a number together, and any other name by itself.
_PATTERN = r"^(.*?)\d{0,2}\.[^.]*$"


def describe_sequences(images: Iterable[ListedImage]) -> list[str]:
    """A hint where half of the images of the classes or more have a neighbour with the next number; else nothing."""
    numbers: dict[str, dict[int, str]] = defaultdict(dict)
    count = 0
    for image in images:
        if image.class_name:
            count += 1
            folder, name = os.path.split(image.path)
            if found := _NUMBERED.match(os.path.splitext(name)[0]):
                numbers[os.path.join(folder, found[1])][int(found[2])] = image.path
    followed = [path for of_name in numbers.values() for number, path in of_name.items() if number + 1 in of_name]
    if len(followed) < max(_FEWEST, _LEAST_SHARE * count):
        return []
    return [
        f"{len(followed)} of {count} images, such as {min(followed)!r}, are numbered one after the other, as frames of "
        "a video or shots of one walk are: if neighbours show the same place, the test images are no new ones; keep "
        f"them together with --group-by, for example --group-by '{_PATTERN}' for hundreds of neighbours"
    ]
