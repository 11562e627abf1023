"""`crackgate predict --beam`: the same rows from a Beam pipeline. Imports TFX."""

import os
from pathlib import Path

from pipeline.command_line import console_on_a_copy_of
from pipeline.config import BeamOptions
from pipeline.run_log import output_turned_to
from serving.batch.formats import Format


def predict_on_beam(
    model: Path, images: list[str], output: Path, kind: Format, options: BeamOptions
) -> tuple[dict[str, int], int]:
    """Runs the pipeline; paths are made absolute, for the workers may have another working directory.

    Returns:
        Images per class, and how many could not be scored.
    """
    with (
        console_on_a_copy_of(2).status("scoring with Beam ..."),
        Path(os.devnull).open("w") as nowhere,
        output_turned_to(nowhere.fileno()),
    ):
        from pipeline.pipeline import beam_pipeline_args
        from serving.batch.beam_prediction import SUMMARY_FILE, predict_with_beam

        arguments = [os.path.abspath(image) for image in images]
        summary = predict_with_beam(model.resolve(), arguments, output.resolve(), kind, beam_pipeline_args(options))
    print(f"{summary['rows']} images, {summary['errors']} of them not scored: {output / SUMMARY_FILE}")
    return summary["labels"], summary["errors"]
