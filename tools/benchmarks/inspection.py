"""Seconds per 12-megapixel photograph of `crackgate inspect`, strips against tiles, in one run.

The photographs are put together from real ones of cracked and of sound concrete. A round times both ways in turn, so
that whatever else the machine does meets both. Printed are the best round, the steps, and how far the measures agree.
"""

import argparse
import io
import os
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
from serving.inspection.inspector import Inspector, Method
from serving.inspection.measures import is_positive, measure
from serving.inspection.photograph import read_photograph, scale
from serving.inspection.tile_scores import ByStrips, ByTiles, TileScorer

PHOTOGRAPHS = Path(
    os.environ.get("CRACKGATE_PHOTOGRAPHS", Path(__file__).resolve().parents[3] / "shared" / "data" / "concrete")
)

_SIDE, _WIDTH, _HEIGHT = 227, 4032, 3024
_OVERLAP = 0.5


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder of a released version")
    parser.add_argument("--data", type=Path, default=PHOTOGRAPHS, help="has Positive/ and Negative/")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    model = load_released_model(arguments.model)
    assert model.threshold is not None, "a model without a positive class finds nothing"
    with TemporaryDirectory() as folder:
        for name, share in (("sound", 0.0), ("cracked", 0.3)):
            file = Path(folder) / f"{name}.jpg"
            file.write_bytes(_photograph(arguments.data, share))
            pixels, reading = _timed(partial(read_photograph, file))
            grid = lay_grid(_WIDTH, _HEIGHT, _SIDE, model.image_size, _OVERLAP)
            scaled, scaling = _timed(partial(scale, pixels, grid))
            print(f"{name}: {grid.shape[0]} x {grid.shape[1]} tiles, read {reading:.2f} s, scaled {scaling:.2f} s")
            ways: dict[str, TileScorer] = {"tiles": ByTiles(model), "strips": ByStrips(model)}
            scores = {way: scorer.score(scaled, grid) for way, scorer in ways.items()}
            best = dict.fromkeys(ways, np.inf)
            for _ in range(arguments.rounds):
                for way, scorer in ways.items():
                    _, seconds = _timed(partial(scorer.score, scaled, grid))
                    best[way] = min(best[way], seconds)
            for way, found in scores.items():
                measures = measure(found, model.threshold, grid)
                print(
                    f"  {way:6}  {best[way]:6.2f} s  {grid.shape[0] * grid.shape[1] / best[way]:5.0f} tiles/s  "
                    f"area {measures.cracked_share:.4f}  run {measures.longest_run_px:.0f} px  "
                    f"{measures.regions} regions"
                )
            alike = [is_positive(found, model.threshold) for found in scores.values()]
            off = np.abs(scores["tiles"] - scores["strips"]).mean()
            print(f"  labels agree on {(alike[0] == alike[1]).mean():.2%}, scores differ by {off:.4f} on average")
        for method in Method:
            inspector = Inspector(model, _SIDE, _OVERLAP, method)
            files = [Path(folder) / "cracked.jpg"] * (arguments.rounds + 1)
            output = Path(folder) / method
            output.mkdir()
            began = time.monotonic()
            rounds: list[float] = []
            for _ in inspector.inspect(files, output):
                rounds.append(time.monotonic() - began)
                began = time.monotonic()
            memory = psutil.Process().memory_info().rss / 2**20
            print(f"whole photograph, {method}: {min(rounds[1:]):.2f} s, process {memory:.0f} MiB")


def _photograph(data: Path, cracked_share: float) -> bytes:
    random = np.random.default_rng(0)
    kinds = {name: sorted((data / name).iterdir()) for name in ("Positive", "Negative")}
    picture = Image.new("RGB", (_WIDTH, _HEIGHT))
    for top in range(0, _HEIGHT, _SIDE):
        for left in range(0, _WIDTH, _SIDE):
            files = kinds["Positive" if random.random() < cracked_share else "Negative"]
            picture.paste(Image.open(files[random.integers(len(files))]), (left, top))
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=90)
    return encoded.getvalue()


def _timed(act: Callable[[], Any]) -> tuple[Any, float]:
    began = time.monotonic()
    result = act()
    return result, time.monotonic() - began


if __name__ == "__main__":
    main()
