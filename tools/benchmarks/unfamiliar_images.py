"""How well a release tells other surfaces from photographs like those that it was trained on, and never saw.

For each other folder: the share beyond the limit, and the area under the ROC curve of `unfamiliarity`, of single images
and of its mean over sets of 50.

    python -m tools.benchmarks.unfamiliar_images --model serving/VERSION --photographs UNSEEN --others DECKS BRICK
"""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from sklearn.metrics import roc_auc_score

from crackgate.model.released_model import ReleasedModel, load_released_model
from serving.batch.inputs import find_images
from tools.benchmarks.measurement import Table
from tools.benchmarks.photographs import argument_parser

_SET, _SETS = 50, 200


def main() -> None:
    """Prints a row for the photographs like those of training, and one for each other folder."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a released version")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="folders of other photographs")
    parser.add_argument("--count", type=int, default=1000, help="photographs drawn from each folder")
    arguments = parser.parse_args()
    model = load_released_model(arguments.model)
    if model.familiarity is None:
        parser.error(f"--model: {arguments.model} does not know its training images: train and release anew")
    alike = _unfamiliarity(model, arguments.photographs, arguments.count)
    table = Table("folder <40 | images >6 | beyond >8.4f | AUC >8.4f | sets >8.4f")
    table.add(arguments.photographs.name, len(alike), (alike > 1).mean(), np.nan, np.nan)
    for folder in arguments.others:
        others = _unfamiliarity(model, folder, arguments.count)
        sets = _area(_means(alike), _means(others))
        table.add(folder.name, len(others), (others > 1).mean(), _area(alike, others), sets)


def _unfamiliarity(model: ReleasedModel, folder: Path, count: int) -> np.ndarray:
    files = list(find_images([str(folder)]))
    drawn = [files[at] for at in np.random.default_rng(0).permutation(len(files))[:count]]
    found = [row.answer.unfamiliarity for row in model.predict(drawn) if not row.answer.error]
    if not found:
        raise SystemExit(f"error: {folder} has no photograph that the model scores")
    return np.array(found)


def _means(values: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([rng.choice(values, _SET, replace=len(values) < _SET).mean() for _ in range(_SETS)])


def _area(alike: np.ndarray, others: np.ndarray) -> float:
    truth = np.r_[np.zeros(len(alike)), np.ones(len(others))]
    return float(roc_auc_score(truth, np.concatenate([alike, others])))


if __name__ == "__main__":
    main()
