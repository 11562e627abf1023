"""Share of copies that copy detection finds among photographs, and its seconds and memory.

Prints the share for each way to make a copy, and for each way to photograph a place again. Prints for each overlay how
many pairs of different photographs are taken for copies. Then prints groups, seconds and memory for the photographs,
and for --count images. Random crops stand in for missing photographs.

    python -m tools.benchmarks.copies --photographs FOLDER --count 40000
"""

import functools
import io
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, combinations
from pathlib import Path

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions
from PIL import Image, ImageEnhance, ImageOps

from crackgate.images.copies.descriptor import (
    COPY_THRESHOLD,
    DESCRIPTOR_BYTES,
    describe,
    is_blank,
    share_a_band,
    similarities,
    similarity,
    stack,
)
from crackgate.images.copies.groups import Centres, GroupCopies
from crackgate.images.copies.outline import BYTES as OUTLINE_BYTES
from crackgate.images.copies.overlap import overlap
from crackgate.images.copies.partitions import count_partitions, pack, to_bytes
from crackgate.images.copies.places import place_codes
from crackgate.images.copies.search import COPIES, FindPairs, Pairs
from tools.benchmarks.measurement import Table
from tools.benchmarks.overlays import OVERLAYS
from tools.benchmarks.photographs import argument_parser, find_photographs

COPIED = 300
# 90,100 pairs.
OVERLAID = 425
_BATCH = 256

Change = Callable[[Image.Image], Image.Image]


def main() -> None:
    """Prints the tables."""
    parser = argument_parser(__doc__)
    parser.add_argument("--count", type=int, default=40_000, help="images in the largest measurement")
    arguments = parser.parse_args()
    files = find_photographs(arguments.photographs)
    print_recall(files)
    print_overlaps(files)
    print_overlays(files)
    print_scale(files, arguments.count)


def print_recall(files: list[Path]) -> None:
    """Prints one row per way to make a copy; a found copy shares a band with its original and passes comparison."""
    chosen = [files[at] for at in np.random.default_rng(0).permutation(len(files))[:COPIED]]
    print(f"Similarities of copies to their originals; images from {COPY_THRESHOLD} on are copies")
    table = Table("copy <44 | found >7.1% | lowest >7.3f | 1 in 20 >7.3f")
    for name, change in _CHANGES.items():
        similarities, found = [], 0
        for file in chosen:
            with Image.open(file) as photograph:
                original = photograph.convert("RGB")
            one, other = (_describe(image) for image in (original, change(original)))
            similarities.append(similarity(one, other))
            found += similarities[-1] >= COPY_THRESHOLD and share_a_band(one, other)
        table.add(name, found / len(chosen), *np.quantile(similarities, (0, 0.05)))


def print_overlaps(files: list[Path]) -> None:
    """Prints one row per way to photograph a place again, and one for pairs of photographs that are no copies."""
    chosen = [files[at] for at in np.random.default_rng(2).permutation(len(files))[:COPIED]]
    photographs = [Image.open(file).convert("L") for file in chosen]
    print()
    table = Table("photographed again <34 | pairs >7 | same place >10.1% | share a spot >12.1%")
    for name, (side, first, second, turned) in _AGAIN.items():
        pairs = [
            (_part(photograph, side, first), _part(photograph, side, second, turned)) for photograph in photographs
        ]
        _add_overlaps(table, name, [pair for pair in pairs if not any(map(is_blank, pair))])
    described = [image for image in map(_describe, photographs) if not is_blank(image)]
    no_copies = _all_similarities(described) < COPY_THRESHOLD
    others = [pair for pair, kept in zip(combinations(described, 2), no_copies, strict=True) if kept]
    _add_overlaps(table, "another photograph", others)


def _add_overlaps(table: Table, name: str, pairs: list[tuple[bytes, bytes]]) -> None:
    pictures, rows = stack(list(chain.from_iterable(pairs))), np.arange(2 * len(pairs)).reshape(-1, 2).T
    found = sum(int(overlap(pictures, *rows[:, at : at + _BATCH]).sum()) for at in range(0, len(pairs), _BATCH))
    codes = place_codes(pictures[:, OUTLINE_BYTES:])
    shared = sum(bool(np.isin(codes[one], codes[other]).any()) for one, other in rows.T)
    table.add(name, len(pairs), found / len(pairs), shared / len(pairs))


def _part(photograph: Image.Image, side: float, place: tuple[float, float], turned: float = 0) -> bytes:
    """A square part, by shares of the photograph, which is turned before."""
    turning = photograph.rotate(turned, Image.Resampling.BICUBIC) if turned else photograph
    width, height = photograph.size
    left, top, size = round(place[0] * width), round(place[1] * height), round(side * min(width, height))
    return describe(np.asarray(turning.crop((left, top, left + size, top + size))))


def print_overlays(files: list[Path]) -> None:
    """Prints one row per overlay: false pairs among photographs that all have it, and copies found among them all."""
    chosen = [files[at] for at in np.random.default_rng(1).permutation(len(files))[:OVERLAID]]
    photographs = [Image.open(file).convert("RGB") for file in chosen]
    copied = _all_similarities([_describe(photograph) for photograph in photographs]) >= COPY_THRESHOLD
    change = _in_turn(_transposed(_TURNS.FLIP_LEFT_RIGHT), _jpeg(70))
    print()
    table = Table("overlay <29 | pairs >7 | false >6 | highest >7.3f | found >7.1%")
    for name, overlay in OVERLAYS.items():
        overlaid = [overlay(photograph, number) for number, photograph in enumerate(photographs)]
        described = [_describe(image) for image in overlaid]
        found = _all_similarities(described)[~copied]
        copies = [_describe(change(image)) for image in overlaid]
        keyed = [(b"%d" % number, image) for number, image in enumerate(described + copies)]
        _, groups = group(keyed)
        joined = sum(groups[b"%d" % number] == groups[b"%d" % (number + len(chosen))] for number in range(len(chosen)))
        table.add(name, len(found), int((found >= COPY_THRESHOLD).sum()), found.max(), joined / len(chosen))


def _all_similarities(described: list[bytes]) -> np.ndarray:
    """Similarities of all pairs; -1 with blank images, which are never compared."""
    rows = stack([image if not is_blank(image) else bytes(DESCRIPTOR_BYTES) for image in described])
    ones, others = np.triu_indices(len(rows), 1)
    starts = range(0, len(ones), _BATCH)
    found = [similarities(rows[ones[at : at + _BATCH]], rows[others[at : at + _BATCH]]) for at in starts]
    textured = rows.any(axis=1)
    return np.where(textured[ones] & textured[others], np.concatenate(found), -1)


def print_scale(files: list[Path], count: int) -> None:
    """Prints one row for the photographs, one for `count` images."""
    print()
    table = Table(
        "images >8 | describe s >10.1f | group s >8.1f | peak MB >8.0f | pairs >7 | groups >7 | largest >7 "
        "| have a copy <11"
    )
    for wanted in sorted({len(files), count}):
        began = time.perf_counter()
        described = list(_described(files, wanted))
        described_at = time.perf_counter()
        pairs, groups = group(described)
        grouped_at = time.perf_counter()
        sizes = Counter(groups.values())
        shares = _shares_with_a_copy(groups, sizes)
        table.add(
            wanted,
            described_at - began,
            grouped_at - described_at,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            pairs,
            len(sizes),
            max(sizes.values()),
            ", ".join(f"{share:.1%} of {label}" for label, share in shares.items()),
        )


def group(described: list[tuple[bytes, bytes]]) -> tuple[int, dict[bytes, bytes]]:
    """Returns the number of pairs, and the group of each key, found by one worker in this process."""
    options = PipelineOptions([], runner="FnApiRunner", direct_running_mode="in_memory", direct_num_workers=1)
    partitions = count_partitions(len(described))
    parts = [described[start : start + _BATCH] for start in range(0, len(described), _BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        with beam.Pipeline(options=options) as pipeline:
            batches = [pack([image for _, image in part], [key for key, _ in part]) for part in parts]
            copies = pipeline | beam.Create(batches) | FindPairs(partitions, folder, COPIES)
            counts = copies[COPIES.name] | "Similar" >> beam.Map(_count), copies["same"] | "Same" >> beam.Map(len)
            _ = counts | beam.Flatten() | beam.Map(str) | "WriteCount" >> beam.io.WriteToText(f"{folder}/pairs")
            centres = copies[COPIES.name] | GroupCopies(partitions, folder)
            _ = centres | beam.FlatMapTuple(_lines) | "WriteGroups" >> beam.io.WriteToText(f"{folder}/centres")
        count = sum(int(line) for path in Path(folder).glob("pairs*") for line in path.read_text().split())
        lines = [line for path in Path(folder).glob("centres*") for line in path.read_text().splitlines()]
    centre_of = dict(line.split() for line in lines)
    pictures = {key: to_bytes(pack([image], [key]).digests)[0].hex() for key, image in described}
    return count, {key: bytes.fromhex(centre_of.get(picture, picture)) for key, picture in pictures.items()}


def _count(pairs: Pairs) -> int:
    return len(pairs.first)


def _lines(_number: int, centres_of: Centres) -> list[str]:
    pictures, centres, _ = map(to_bytes, centres_of)
    return [f"{picture.hex()} {centre.hex()}" for picture, centre in zip(pictures, centres, strict=True)]


def _described(files: list[Path], count: int) -> Iterator[tuple[bytes, bytes]]:
    rng = np.random.default_rng(0)
    for number in range(count):
        file = files[number % len(files)]
        with Image.open(file) as photograph:
            image = photograph.convert("RGB")
        if number >= len(files):
            image = _random_crop(image, rng)
        yield f"{file.parent.name}/{number:08d}".encode(), _describe(image)


def _random_crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    size = np.array(image.size)
    cropped = (size * rng.uniform(0.5, 0.8)).astype(int)
    left, top = rng.integers(0, size - cropped + 1)
    return image.crop((left, top, left + cropped[0], top + cropped[1]))


def _describe(image: Image.Image) -> bytes:
    return describe(np.asarray(image.convert("L")))


def _shares_with_a_copy(groups: dict[bytes, bytes], sizes: Counter[bytes]) -> dict[str, float]:
    images = Counter(key.partition(b"/")[0] for key in groups)
    copied = Counter(key.partition(b"/")[0] for key, group_id in groups.items() if sizes[group_id] > 1)
    return {label.decode(): copied[label] / images[label] for label in sorted(images)}


def _jpeg(quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer).convert("RGB")

    return change


def _resized(factor: float, resampling: Image.Resampling = Image.Resampling.BICUBIC) -> Change:
    return lambda image: image.resize((round(image.width * factor), round(image.height * factor)), resampling)


def _brightness(factor: float) -> Change:
    return lambda image: ImageEnhance.Brightness(image).enhance(factor)


def _contrast(factor: float) -> Change:
    return lambda image: ImageEnhance.Contrast(image).enhance(factor)


def _gamma(exponent: float) -> Change:
    curve = [round(255 * (value / 255) ** exponent) for value in range(256)]
    return lambda image: image.point(curve * 3)


def _transposed(method: Image.Transpose) -> Change:
    return lambda image: image.transpose(method)


def _in_turn(*changes: Change) -> Change:
    return lambda image: functools.reduce(lambda changed, change: change(changed), changes, image)


_TURNS = Image.Transpose
# Shares of the side: of the part, and its place at first and again; and degrees.
_AGAIN = {
    "moved by 2 %": (0.8, (0.1, 0.1), (0.116, 0.112), 0.0),
    "moved by 2 %, turned by 1 degree": (0.8, (0.1, 0.1), (0.116, 0.112), 1.0),
    "moved by 10 %": (0.8, (0.1, 0.1), (0.18, 0.14), 0.0),
    "moved by 10 %, turned by 1 degree": (0.8, (0.1, 0.1), (0.18, 0.14), 1.0),
    "half of it": (0.66, (0.0, 0.1), (0.33, 0.1), 0.0),
}
_CHANGES: dict[str, Change] = {
    "the same pixels": lambda image: image,
    "JPEG 90": _jpeg(90),
    "JPEG 70": _jpeg(70),
    "JPEG 50": _jpeg(50),
    "JPEG 30": _jpeg(30),
    "JPEG 10": _jpeg(10),
    "half size": _resized(0.5),
    "half size, nearest pixel": _resized(0.5, Image.Resampling.NEAREST),
    "third of the size": _resized(1 / 3),
    "double size": _resized(2),
    "darker by 30%": _brightness(0.7),
    "darker by 50%": _brightness(0.5),
    "brighter by 15%": _brightness(1.15),
    "brighter by 20%": _brightness(1.2),
    "brighter by 30%": _brightness(1.3),
    "brighter by 50%": _brightness(1.5),
    "contrast -40%": _contrast(0.6),
    "contrast +40%": _contrast(1.4),
    "gamma 0.7": _gamma(0.7),
    "gamma 1.4": _gamma(1.4),
    "grayscale": ImageOps.grayscale,
    "histogram equalised": ImageOps.equalize,
    "without a border of 2%": lambda image: ImageOps.crop(image, round(image.width * 0.02)),
    **{method.name.lower().replace("_", " "): _transposed(method) for method in _TURNS},
    "turned by 90, JPEG 50": _in_turn(_transposed(_TURNS.ROTATE_90), _jpeg(50)),
    "transposed, darker by 20%, JPEG 70": _in_turn(_transposed(_TURNS.TRANSPOSE), _brightness(0.8), _jpeg(70)),
    "mirrored, half size, JPEG 50": _in_turn(_transposed(_TURNS.FLIP_LEFT_RIGHT), _resized(0.5), _jpeg(50)),
    "turned by 270, gamma 0.7, 1.5x, JPEG 60": _in_turn(
        _transposed(_TURNS.ROTATE_270), _gamma(0.7), _resized(1.5), _jpeg(60)
    ),
}


if __name__ == "__main__":
    main()
