"""The photographs for the benchmarks: a folder with one sub-folder per class."""

import argparse
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from tools.benchmarks.measurement import PROJECT

PHOTOGRAPHS = Path(os.environ.get("CRACKGATE_PHOTOGRAPHS", PROJECT.parent / "shared" / "data" / "concrete"))


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """Returns a parser that shows a module's docstring, with the option `--photographs`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, default=PHOTOGRAPHS, help="a folder with one sub-folder per class")
    return parser


def find_photographs(folder: Path, least: int = 1) -> list[Path]:
    """Returns the JPEG files of all classes, sorted; raises SystemExit for fewer than `least`."""
    files = sorted(folder.glob("*/*.jpg"))
    if len(files) < least:
        raise SystemExit(
            f"error: --photographs: found {len(files)} JPEG files in sub-folders of {folder}, {least} or more are "
            "needed: give a folder with one sub-folder per class"
        )
    return files


def gather(files: list[Path], count: int, folder: Path) -> None:
    """Puts `count` photographs, drawn evenly, into `folder`; noisy copies stand in for missing ones."""
    order = np.random.default_rng(0).permutation(len(files))
    for number in range(count):
        file = files[order[number % len(files)]]
        target = folder / file.parent.name / f"{number}{file.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if number < len(files):
            shutil.copy(file, target)
            continue
        with Image.open(file) as photograph:
            pixels = np.asarray(photograph.convert("RGB"), np.int16)
        noise = np.random.default_rng(number).integers(-4, 5, pixels.shape, np.int16)
        Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(target, quality=90)
