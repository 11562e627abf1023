"""The work of ImageExampleGen: read, check, count and split the images, as a Beam pipeline.

The account that it writes beside the examples:

    {"found": 12, "ingested": 10, "groups": 9,
     "rejected": [{"path": "Positive/a.jpg", "class": "Positive", "reason": "truncated", "detail": "..."}, ...],
     "images": {"train": {"Negative": 4, "Positive": 3}, "eval": {...}, "test": {...}}}

found = ingested + rejected, always. `groups` counts distinct pictures.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf
from tfx import types
from tfx.components.example_gen.base_example_gen_executor import BaseExampleGenExecutor
from tfx.types import artifact_utils

from components import features
from components.errors import DataRejectedError
from components.image_folder import find_files
from components.images import CanonicalImage, ImageLimits, RejectedImageError, canonical_image

REJECTED_OUTPUT = "rejected"


class Executor(BaseExampleGenExecutor):
    """Writes the examples (see `component.ImageExampleGen`) and the account of every file found."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the Beam pipeline, then checks what came out.

        Raises:
            DataRejectedError: No images, fewer than two classes, a class missing from a split, too many rejected, or a
                class folder whose name is not UTF-8.
        """
        classes = json.loads(exec_properties["classes"])
        if misnamed := [os.fsencode(name) for name in classes if not _is_utf8(name)]:
            raise DataRejectedError([f"the name of class folder {name!r} is not UTF-8: rename it" for name in misnamed])
        self._tallies = Path(self._get_tmp_dir()) / "tallies"
        self._files = [os.fsencode(file.path) for file in find_files(Path(exec_properties["input_base"]))]
        super().Do(input_dict, output_dict, exec_properties)

        account = self._read_account(classes)
        artifact_utils.get_single_instance(output_dict["account"]).write(account)
        reasons = _find_faults(account, classes, exec_properties["max_rejected_share"])
        if reasons:
            raise DataRejectedError(reasons, account)

    def GetInputSourceToExamplePTransform(self) -> Any:  # noqa: N802
        """Returns the transform from the found files to `tf.train.Example`s."""

        @beam.ptransform_fn
        def images_to_examples(
            pipeline: beam.Pipeline,
            exec_properties: dict[str, Any],
            split_pattern: str,  # noqa: ARG001 - the folder is one input split
        ) -> beam.PCollection:
            outcomes = (
                pipeline
                | "Files" >> beam.Create(self._files)
                | "Spread" >> beam.Reshuffle()
                | "ReadImages"
                >> beam.ParDo(
                    ReadImage(
                        folder=exec_properties["input_base"],
                        classes=json.loads(exec_properties["classes"]),
                        limits=ImageLimits(
                            min_side=exec_properties["min_side"],
                            max_pixels=exec_properties["max_pixels"],
                            max_bytes=exec_properties["max_bytes"],
                        ),
                    )
                ).with_outputs(REJECTED_OUTPUT, main="examples")
            )
            self._write_tally(outcomes[REJECTED_OUTPUT], "rejected")
            groups = outcomes.examples | "Group" >> beam.Map(_bytes_feature, features.GROUP) | beam.Distinct()
            self._write_tally(groups | beam.combiners.Count.Globally(), "groups")
            return outcomes.examples

        return images_to_examples

    def GenerateExamplesByBeam(  # noqa: N802
        self, pipeline: beam.Pipeline, exec_properties: dict[str, Any]
    ) -> dict[str, beam.PCollection]:
        """Splits by hash of the group, as TFX does it, and counts the images of each class in each split."""
        splits: dict[str, beam.PCollection] = super().GenerateExamplesByBeam(pipeline, exec_properties)
        for name, examples in splits.items():
            classes = examples | f"Class[{name}]" >> beam.Map(_bytes_feature, features.CLASS_TEXT)
            counted = classes | f"Count[{name}]" >> beam.combiners.Count.PerElement()
            self._write_tally(counted | f"Decode[{name}]" >> beam.MapTuple(_decode_count), f"images-{name}")
        return splits

    def _write_tally(self, rows: beam.PCollection, name: str) -> None:
        _ = (
            rows
            | f"ToJson[{name}]" >> beam.Map(json.dumps)
            | f"WriteTally[{name}]"
            >> beam.io.WriteToText(str(self._tallies / name), num_shards=1, shard_name_template="")
        )

    def _read_tally(self, name: str) -> list[Any]:
        with beam.io.filesystems.FileSystems.open(str(self._tallies / name)) as lines:
            return [json.loads(line) for line in lines]

    def _read_account(self, classes: list[str]) -> dict[str, Any]:
        rejected = sorted(self._read_tally("rejected"), key=lambda row: row["path"])
        counts = {name: dict(self._read_tally(f"images-{name}")) for name in features.SPLITS}
        images = {name: {label: counts[name].get(label, 0) for label in classes} for name in features.SPLITS}
        ingested = sum(sum(split.values()) for split in images.values())
        if ingested + len(rejected) != len(self._files):
            raise RuntimeError(
                f"{len(self._files)} files were found, but {ingested} ingested and {len(rejected)} rejected: "
                "Beam lost or repeated some. Run again, and report this if it persists."
            )
        return {
            "found": len(self._files),
            "ingested": ingested,
            "groups": sum(self._read_tally("groups")),
            "rejected": rejected,
            "images": images,
        }


class ReadImage(beam.DoFn):
    """From a path below the folder (bytes) to a `tf.train.Example`, or to a row of the tagged output `rejected`."""

    def __init__(self, folder: str, classes: list[str], limits: ImageLimits):
        self._folder = folder
        self._labels = {name: label for label, name in enumerate(classes)}
        self._limits = limits

    def process(self, path: bytes) -> Iterator[Any]:
        """Never raises for what is in a file or wrong with it."""
        class_name = os.fsdecode(path).partition(os.sep)[0] if os.sep.encode() in path else ""
        try:
            if class_name not in self._labels:
                raise RejectedImageError("not in a class folder", f"the classes are {', '.join(self._labels)}")
            image = canonical_image(
                _read_file(os.path.join(os.fsencode(self._folder), path), self._limits), self._limits
            )
            yield _to_example(path, class_name, self._labels[class_name], image)
        except RejectedImageError as rejection:
            row = {
                "path": path.decode("utf-8", "backslashreplace"),
                "class": class_name.encode("utf-8", "backslashreplace").decode(),
                "reason": rejection.reason,
                "detail": rejection.detail,
            }
            yield beam.pvalue.TaggedOutput(REJECTED_OUTPUT, row)


def _read_file(path: bytes, limits: ImageLimits) -> bytes:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise RejectedImageError("unreadable", "a folder that cannot be listed")
        if not stat.S_ISREG(mode):
            raise RejectedImageError("unreadable", "not a regular file")
        with open(path, "rb") as file:
            # One byte more than allowed tells a file that is too large without reading all of it.
            return file.read(limits.max_bytes + 1)
    except OSError as error:
        raise RejectedImageError("unreadable", error.strerror or str(error)) from None


def _to_example(path: bytes, class_name: str, label: int, image: CanonicalImage) -> tf.train.Example:
    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def of_int(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    def of_float(value: float) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))

    feature = {
        features.ENCODED: of_bytes(image.encoded),
        features.FORMAT: of_bytes(image.format.encode()),
        features.HEIGHT: of_int(image.height),
        features.WIDTH: of_int(image.width),
        features.FILENAME: of_bytes(path),
        features.CLASS_TEXT: of_bytes(class_name.encode()),
        features.CLASS_LABEL: of_int(label),
        features.BRIGHTNESS: of_float(image.brightness),
        features.CONTRAST: of_float(image.contrast),
        features.GROUP: of_bytes(image.pixels_sha256.encode()),
    }
    return tf.train.Example(features=tf.train.Features(feature=feature))


def _is_utf8(name: str) -> bool:
    # Bytes that are none arrive as surrogates, which have no encoding.
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _bytes_feature(example: tf.train.Example, name: str) -> bytes:
    return example.features.feature[name].bytes_list.value[0]


def _decode_count(value: bytes, count: int) -> tuple[str, int]:
    return value.decode(), count


def _find_faults(account: dict[str, Any], classes: list[str], max_rejected_share: float) -> list[str]:
    """One sentence per reason why nothing good can come from these images."""
    found, rejected = account["found"], len(account["rejected"])
    first_rejections = "; ".join(f"{row['path']!r} ({row['reason']})" for row in account["rejected"][:3])
    if account["ingested"] == 0:
        return [f"no usable image among {found} files" + (f", for example {first_rejections}" if rejected else "")]
    faults = []
    if len(classes) < 2:
        faults.append(f"a classifier needs two classes or more, the only one is {classes[0]!r}: add a class folder")
    totals = {name: sum(split[name] for split in account["images"].values()) for name in classes}
    empty = [name for name, total in totals.items() if total == 0]
    if empty:
        faults.append(f"no usable image of class {', '.join(map(repr, empty))}: remove the folder or add images")
    if rejected > max_rejected_share * found:
        faults.append(
            f"{rejected} of {found} files were rejected ({rejected / found:.1%}), allowed are {max_rejected_share:.1%} "
            f"(data.max_rejected_share), for example {first_rejections}"
        )
    for split, counts in account["images"].items():
        missing = [name for name, count in counts.items() if count == 0 and totals[name] > 0]
        if missing:
            faults.append(
                f"split {split!r} has no image of class {', '.join(map(repr, missing))} "
                f"({account['ingested']} images are too few to split): add images or raise data.split.{split}"
            )
    return faults
