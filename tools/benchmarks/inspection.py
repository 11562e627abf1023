"""Seconds per 12-megapixel photograph of `crackgate inspect`, put together from photographs of concrete.

python -m tools.benchmarks.inspection --model workspace/serving/VERSION --photographs FOLDER
"""

import io
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
from PIL import Image

from crackgate.model.released_model import load_released_model
from serving.inspection.grid import lay_grid
from serving.inspection.inspector import Inspector
from serving.inspection.photograph import read_photograph, scale
from serving.inspection.tile_scores import score_tiles
from tools.benchmarks.photographs import argument_parser, find_photographs

_SIDE, _WIDTH, _HEIGHT = 227, 4032, 3024
_OVERLAP = 0.5


def main() -> None:
    """Runs the benchmark."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="folder of a released version")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each step")
    arguments = parser.parse_args()
    model = load_released_model(arguments.model)
    if model.threshold is None:
        parser.error(f"--model: {arguments.model} has no positive class: give a release that has one")
    files = find_photographs(arguments.photographs)
    with TemporaryDirectory() as folder:
        for name, share in (("sound", 0.0), ("cracked", 0.3)):
            file = Path(folder) / f"{name}.jpg"
            file.write_bytes(_photograph(files, share))
            photograph, reading = _timed(partial(read_photograph, file, model.limits))
            grid = lay_grid(_WIDTH, _HEIGHT, _SIDE, model.image_size, _OVERLAP)
            scaled, scaling = _timed(partial(scale, photograph.pixels, grid))
            rounds = [_timed(partial(score_tiles, model, scaled, grid))[1] for _ in range(arguments.rounds)]
            tiles, scoring = math.prod(grid.shape), statistics.median(rounds)
            print(
                f"{name}: read {reading:.2f} s, scaled {scaling:.2f} s, {tiles} tiles scored in {scoring:.2f} s "
                f"({tiles / scoring:.0f} tiles/s)"
            )
        inspected = Inspector(model, _SIDE, _OVERLAP).inspect([file] * (arguments.rounds + 1), Path(folder))
        whole = [_timed(partial(next, inspected))[1] for _ in range(arguments.rounds + 1)]
        memory = psutil.Process().memory_info().rss / 2**20
        print(f"whole photograph: {statistics.median(whole[1:]):.2f} s, process {memory:.0f} MiB")


def _photograph(files: list[Path], cracked_share: float) -> bytes:
    random = np.random.default_rng(0)
    classes = {name: [file for file in files if file.parent.name == name] for name in ("Positive", "Negative")}
    picture = Image.new("RGB", (_WIDTH, _HEIGHT))
    for top in range(0, _HEIGHT, _SIDE):
        for left in range(0, _WIDTH, _SIDE):
            tiles = classes["Positive" if random.random() < cracked_share else "Negative"]
            picture.paste(Image.open(tiles[random.integers(len(tiles))]), (left, top))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def _timed(act: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    result = act()
    return result, time.monotonic() - began


if __name__ == "__main__":
    main()
