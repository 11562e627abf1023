"""`crackgate predict --beam`: the same rows from a Beam pipeline. Imports Beam."""

import os
from pathlib import Path

from crackgate.config.beam import BeamOptions
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.releases import UntrustedVersionError
from crackgate.releases.signatures import PublicKey
from crackgate.runs.log_file import silence_output
from crackgate.storage.location import is_url
from crackgate_cli.options import EXIT_FAILED, console_on_a_copy_of, fail, note
from pipeline.beam_profiles import beam_pipeline_args, check_cluster
from pipeline.interruption import Interruption, interruptible
from serving.batch.counts import PredictionCounts
from serving.batch.formats import Format


def predict_on_beam(
    model: Path,
    images: list[str],
    output: Path,
    kind: Format,
    engine: EngineChoice,
    options: BeamOptions,
    public_key: PublicKey | None,
    version: int | None,
) -> PredictionCounts:
    """Runs the pipeline; paths are made absolute, for the workers may have another working directory.

    Ends the command where a worker finds another version than the one that was checked. Raises ConfigError if the Beam
    cluster does not answer; see `predict_with_beam`, too.
    """
    arguments = [image if is_url(image) else os.path.abspath(image) for image in images]
    folders = [model.resolve(), output.resolve(), *(path for path in map(Path, arguments) if path.exists())]
    for warning in check_cluster(options, folders):
        note(warning)
    interruption = Interruption()
    try:
        # An interruption, too, leaves nothing of Beam's behind.
        with (
            console_on_a_copy_of(2).status("scoring with Beam ..."),
            silence_output(),
            interruptible() as interruption,
        ):
            from serving.batch.beam_pipeline import predict_with_beam

            beam_args = beam_pipeline_args(options)
            return predict_with_beam(
                model.resolve(), arguments, output.resolve(), kind, engine, beam_args, public_key, version
            )
    except UntrustedVersionError as error:
        fail(str(error), EXIT_FAILED)
    except BaseException:
        # Beam makes other errors of it.
        if interruption.received:
            fail(f"interrupted: the rows in {str(output)!r} are not whole; run again with an empty folder", EXIT_FAILED)
        raise
