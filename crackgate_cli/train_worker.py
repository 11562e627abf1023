"""`crackgate train-worker`: one of several machines that train a model together."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from crackgate.config.configuration import ConfigError, load_config
from crackgate_cli.options import EXIT_USAGE, ConfigOption, SetOption, fail


def train_worker(
    examples: Annotated[Path, typer.Option(help="Folder that ImageExampleGen wrote, with Split-train and Split-eval.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the model, on storage that all workers share.")
    ],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Train one model on several machines. Start one worker on each, with a TF_CONFIG that names them all.

    The configuration has to name data.classes.
    """
    from trainer.worker import train_worker as train

    # A job that starts a worker again after the first one has finished would wait for it for ever.
    if output.exists():
        print(f"{output} is there, nothing to train: remove it to train anew")
        return
    # A job's log is all that there is to see of it.
    logging.basicConfig(format="%(message)s")
    logging.getLogger("crackgate").setLevel(logging.INFO)
    try:
        wrote = train(examples.resolve(), output.resolve(), load_config(config, assignments))
    except ConfigError as error:
        fail(str(error), EXIT_USAGE)
    print(f"model in {output}" if wrote else "done; the first worker writes the model")
