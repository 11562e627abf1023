"""A run on real photographs, where there are any."""

import json
import os
import random
from pathlib import Path

import pytest

from tests.helpers.command import PROJECT, crackgate, run_crackgate

PHOTOGRAPHS = Path(os.environ.get("CRACKGATE_PHOTOGRAPHS", PROJECT.parent / "shared" / "data" / "concrete"))
IMAGES_PER_CLASS = 250


@pytest.mark.skipif(
    not PHOTOGRAPHS.is_dir(),
    reason=f"no real photographs in {PHOTOGRAPHS}: set CRACKGATE_PHOTOGRAPHS to a folder with one sub-folder per class",
)
def test_a_model_of_real_photographs_is_right_about_photographs_it_has_not_seen(tmp_path: Path) -> None:
    data, unseen = tmp_path / "data", tmp_path / "unseen"
    for label in sorted(path for path in PHOTOGRAPHS.iterdir() if path.is_dir()):
        files = random.Random(0).sample(sorted(label.iterdir()), IMAGES_PER_CLASS + 20)
        for folder, chosen in ((data, files[:IMAGES_PER_CLASS]), (unseen, files[IMAGES_PER_CLASS:])):
            (folder / label.name).mkdir(parents=True)
            for file in chosen:
                (folder / label.name / file.name).symlink_to(file.resolve())
    run = run_crackgate(data, tmp_path / "workspace", "train.image_size=128", "gate.min_accuracy=0.97")
    assert run.exit_code == 0, run.output
    assert run.summary["images"]["ingested"] == 2 * IMAGES_PER_CLASS

    answers = crackgate("predict", unseen, "--workspace", tmp_path / "workspace", "--json")
    rows = json.loads(answers.stdout)
    right = [row["label"] == Path(row["image"]).parent.name for row in rows]
    assert len(right) == 40 and sum(right) >= 38
