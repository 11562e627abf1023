"""The images' qualities by class, and those that tell a class apart by themselves."""

import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.tree import DecisionTreeClassifier

from components.data_page.samples import SampledImage
from components.data_page.statistics import FeatureStatistics, StatisticsBySplit
from crackgate.contracts import stored_example
from crackgate.contracts.separation import Separation

# Images that are compared at most; more would tell the same.
MOST_IMAGES = 20_000
# Cracks themselves raise contrast and entropy, so these are no sign of another camera.
_TELLING = {
    stored_example.WIDTH: "width",
    stored_example.HEIGHT: "height",
    stored_example.BYTES: "size of the file",
    stored_example.BRIGHTNESS: "brightness",
    stored_example.SHARPNESS: "sharpness",
}
_TELLING_NAMES = {
    stored_example.FILE_FORMAT: "file format",
    stored_example.CAMERA: "camera (EXIF)",
}
# On 1,000 photographs of the concrete crack data the most telling of these, sharpness, has 0.93.
_TELLING_AUC = 0.95
_FOLDS = 5
_BUCKETS = 10

# Class, group, and values and names by feature.
Row = tuple[str, str, dict[str, float], dict[str, str]]


@dataclass(frozen=True)
class Qualities:
    """Findings about the images' qualities.

    Attributes:
        by_class: Statistics of each feature, by class.
        separations: Qualities that tell a class apart, the most telling first.
    """

    by_class: StatisticsBySplit
    separations: list[Separation]


def to_rows(measured: tuple[bytes, SampledImage], share: float) -> Iterator[Row]:
    """The qualities of an image with its group, if it is among the `share` of images, 0 to 1, that are compared."""
    group, image = measured
    if zlib.crc32(image.path) < share * 2**32:
        values = {
            stored_example.BRIGHTNESS: image.brightness,
            stored_example.CONTRAST: image.contrast,
            stored_example.SHARPNESS: image.sharpness,
            stored_example.ENTROPY: image.entropy,
            stored_example.BYTES: image.file_bytes,
            stored_example.WIDTH: image.width,
            stored_example.HEIGHT: image.height,
        }
        names = {stored_example.FILE_FORMAT: image.file_format, stored_example.CAMERA: image.camera}
        yield image.class_name, group.hex(), values, names


def compare_classes(rows: list[Row]) -> Qualities:
    """Compares the classes by the qualities of their images, in any order; always alike."""
    rows = sorted(rows, key=lambda row: (row[0], row[1], sorted(row[2].items()), sorted(row[3].items())))
    by_class: dict[str, list[dict[str, float]]] = defaultdict(list)
    for class_name, _, values, _ in rows:
        by_class[class_name].append(values)
    statistics = {
        class_name: {feature: _describe(np.array([values[feature] for values in images])) for feature in images[0]}
        for class_name, images in by_class.items()
    }
    return Qualities(statistics, _find_separations(rows, list(by_class)))


def _describe(values: np.ndarray) -> FeatureStatistics:
    heights, edges = np.histogram(values, _BUCKETS)
    return FeatureStatistics(
        count=len(values),
        missing=0,
        mean=float(values.mean()),
        std=float(values.std()),
        min=float(values.min()),
        median=float(np.median(values)),
        max=float(values.max()),
        zeros=int((values == 0).sum()),
        edges=tuple(edges.tolist()),
        heights=tuple(heights.astype(float).tolist()),
    )


def _find_separations(rows: list[Row], classes: list[str]) -> list[Separation]:
    groups = np.array([row[1] for row in rows])
    values = {feature: np.array([[row[2][feature]] for row in rows]) for feature in _TELLING}
    names = {feature: np.array([[row[3][feature]] for row in rows]) for feature in _TELLING_NAMES}
    telling = {feature: column for feature, column in (values | names).items() if len(np.unique(column)) > 1}
    found = []
    # One of two classes tells the other.
    for class_name in classes if len(classes) > 2 else classes[-1:]:
        labels = np.array([row[0] == class_name for row in rows])
        # Each fold needs images of both sides.
        if min(len(set(groups[labels])), len(set(groups[~labels]))) < _FOLDS:
            continue
        for feature, column in telling.items():
            auc = _auc(column, labels, groups)
            if auc >= _TELLING_AUC:
                quality = (_TELLING | _TELLING_NAMES)[feature]
                found.append(Separation(quality=quality, class_name=class_name, auc=auc))
    return sorted(found, key=lambda separation: -separation.auc)


def _auc(values: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> float:
    """Cross-validated, since a tree finds some rule in any values; copies stay in one fold."""
    tree: BaseEstimator = DecisionTreeClassifier(max_leaf_nodes=4, min_samples_leaf=5, random_state=0)
    if values.dtype.kind == "U":
        # Names have no order: each gets the share of the class among its images, of other folds within the fit.
        tree = make_pipeline(TargetEncoder(target_type="binary", random_state=0), tree)
    folds = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=0)
    scores = cross_val_predict(tree, values, labels, groups=groups, cv=folds, method="predict_proba")
    return float(roc_auc_score(labels, scores[:, 1]))
