"""The one definition of the pipeline, run locally and elsewhere."""

import hashlib
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tensorflow_data_validation as tfdv
from ml_metadata.proto import metadata_store_pb2
from tfx.components import Evaluator, ExampleValidator, StatisticsGen, Trainer, Tuner
from tfx.dsl.components.common.resolver import Resolver
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.trainer_pb2 import EvalArgs, TrainArgs
from tfx.types import standard_artifacts
from tfx.types.channel import Channel

from components.curated_schema.component import CuratedSchema
from components.data_gate.component import DataGate
from components.data_page.component import DataPage
from components.drift_check.component import DriftCheck
from components.image_example_gen.component import ImageExampleGen
from components.leak_check.component import LeakCheck
from components.release_pusher.component import ReleasePusher
from components.resolvers.baseline import ModelInProductionStrategy
from components.resolvers.statistics import ReleasedStatisticsStrategy
from components.serving_check.component import ServingCheck
from components.shared.parameters import CODE_DIGEST
from crackgate.config.configuration import Config
from crackgate.contracts.stored_example import (
    EVAL_SPLIT,
    TEST_SPLIT,
    TRAIN_SPLIT,
)
from crackgate.model.positive_classes import resolve_positive_classes
from crackgate.own_code import digest_own
from crackgate.source_digest import code_digest
from crackgate.storage.location import Location
from pipeline.beam_profiles import add_component_args, beam_pipeline_args
from pipeline.eval_config import EXTRACTION_MODULE, build_eval_config

RUN_FN = "trainer.run_fn.run_fn"
TUNER_FN = "trainer.tuner.tuner_fn"
# Below the pipeline's root, as if the Resolver had made them.
BASELINE_FOLDER = Path("BaselineResolver") / "model"


def create_pipeline(
    data: Location,
    classes: list[str],
    config: Config,
    pipeline_root: Path,
    serving_dir: Path,
    trainer_work_dir: Path,
    metadata: metadata_store_pb2.ConnectionConfig,
    enable_cache: bool = True,
) -> Pipeline:
    """Builds the pipeline.

    1. ImageExampleGen reads the images, refuses bad files, groups copies, and splits the groups into train, eval, test.
    2. CuratedSchema, StatisticsGen and ExampleValidator check the images, and DataPage shows them.
    3. DataGate stops the run for their findings, and where the test split is too small for the gate; DriftCheck for
       drift since the last released run, LeakCheck for copies in two splits.
    4. Tuner, if asked for, searches options. Trainer fits the head and top blocks, and chooses the best on eval.
    5. A Resolver finds the model in production; the Evaluator judges the new one on test, through its served signature.
    6. ServingCheck sends the exported model serving's requests, in a process that has only TensorFlow.
    7. Pusher releases a model that both bless into the serving directory.

    All paths are absolute; `data` may be a URL, too. `serving_dir` receives `<version>/`; `trainer_work_dir` keeps
    checkpoints between attempts.
    `classes` are the class folders in label order, and replace `config.data.classes`. With `enable_cache`, a component
    may take over the outputs of an earlier, identical execution.
    """
    positive_classes = list(resolve_positive_classes(config.train.positive_classes, classes).names)
    example_gen = ImageExampleGen(data, classes, config.data)
    schema = CuratedSchema(classes, config.data_schema)
    statistics_gen = expected_statistics(example_gen, schema)
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema.outputs["schema"]
    )
    data_page = DataPage(
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        account=example_gen.outputs["account"],
        conflicts=example_gen.outputs["conflicts"],
    )
    data_gate = DataGate(
        examples=example_gen.outputs["examples"],
        account=example_gen.outputs["account"],
        anomalies=example_validator.outputs["anomalies"],
        scale=data_page.outputs["scale"],
        classes=classes,
        positive_classes=positive_classes,
        options=config.gate,
    )
    released = {"serving_dir": str(serving_dir), "classes": classes, "public_key": config.release.public_key}
    released_statistics = Resolver(
        strategy_class=ReleasedStatisticsStrategy,
        config=released,
        statistics=Channel(type=standard_artifacts.ExampleStatistics),
    ).with_id("ReleasedStatisticsResolver")
    drift_check = DriftCheck(
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        released_statistics=released_statistics.outputs["statistics"],
        options=config.drift,
    )
    leak_check = LeakCheck(examples=example_gen.outputs["examples"], copies=config.data.copies)
    training = _training(classes, config, trainer_work_dir)
    tuner = _tuner(example_gen, training, config.tune.trials) if config.tune.trials else None
    trainer = _trainer(example_gen, training, tuner)
    # A stopped run still shows the data page.
    for gate in (drift_check, leak_check):
        gate.add_upstream_node(data_page)
    (tuner or trainer).add_upstream_nodes([data_gate, drift_check, leak_check])
    baseline_resolver = Resolver(
        strategy_class=ModelInProductionStrategy,
        config={**released, "copies": str(pipeline_root / BASELINE_FOLDER)},
        model=Channel(type=standard_artifacts.Model),
        candidate=trainer.outputs["model"],
    ).with_id("BaselineResolver")
    evaluator = Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline_resolver.outputs["model"],
        eval_config=build_eval_config(classes, positive_classes, config.gate),
        example_splits=[TEST_SPLIT],
        module_path=EXTRACTION_MODULE,
    )
    serving_check = ServingCheck(
        model=trainer.outputs["model"],
        model_run=trainer.outputs["model_run"],
        model_blessing=evaluator.outputs["blessing"],
        classes=classes,
        positive_classes=positive_classes,
        options=config.serving_check,
    )
    pusher = ReleasePusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        infra_blessing=serving_check.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        examples=example_gen.outputs["examples"],
        statistics=statistics_gen.outputs["statistics"],
        serving_dir=serving_dir,
        options=config.release,
        config_digest=config.digest_of_model(),
    ).with_id("Pusher")
    components = [
        example_gen,
        schema,
        statistics_gen,
        example_validator,
        data_page,
        data_gate,
        released_statistics,
        drift_check,
        leak_check,
        *([tuner] if tuner else []),
        trainer,
        baseline_resolver,
        evaluator,
        serving_check,
        pusher,
    ]
    add_component_args(components, config.beam)
    return Pipeline(
        pipeline_name=pipeline_name(classes),
        pipeline_root=str(pipeline_root),
        components=components,
        enable_cache=enable_cache,
        metadata_connection_config=metadata,
        beam_pipeline_args=beam_pipeline_args(config.beam),
    )


def pipeline_name(classes: list[str]) -> str:
    """Returns one name for each list of classes, since only models with the same classes are comparable."""
    return f"crackgate-{hashlib.sha256(repr(classes).encode()).hexdigest()[:8]}"


def expected_statistics(example_gen: ImageExampleGen, schema: CuratedSchema) -> StatisticsGen:
    """Builds StatisticsGen for the schema's features only; it does not decode the image bytes."""
    return StatisticsGen(
        examples=example_gen.outputs["examples"],
        schema=schema.outputs["schema"],
        stats_options=tfdv.StatsOptions(experimental_filter_read_paths=True),
    )


def _training(classes: list[str], config: Config, work_dir: Path) -> dict[str, Any]:
    """Returns all that decides the result of the Trainer and of the Tuner's trials, besides the images."""
    return {
        "classes": classes,
        "options": config.train.model_dump(),
        CODE_DIGEST: code_digest(RUN_FN),
        "own_code": digest_own(config.train.own_functions()),
        # Serving takes the images that ingest takes, and no others.
        "limits": asdict(config.data.limits),
        "weights_digest": _file_digest(Path(config.train.weights)),
        # The folder is constant in a workspace, so TFX's cache key is, too.
        "work_dir": str(work_dir),
    }


def _tuner(example_gen: ImageExampleGen, training: dict[str, Any], trials: int) -> Tuner:
    return Tuner(
        tuner_fn=TUNER_FN,
        examples=example_gen.outputs["examples"],
        train_args=TrainArgs(splits=[TRAIN_SPLIT]),
        eval_args=EvalArgs(splits=[EVAL_SPLIT]),
        custom_config={**training, CODE_DIGEST: code_digest(TUNER_FN), "trials": trials},
    )


def _trainer(example_gen: ImageExampleGen, training: dict[str, Any], tuner: Tuner | None) -> Trainer:
    return Trainer(
        run_fn=RUN_FN,
        examples=example_gen.outputs["examples"],
        hyperparameters=tuner.outputs["best_hyperparameters"] if tuner else None,
        train_args=TrainArgs(splits=[TRAIN_SPLIT]),
        eval_args=EvalArgs(splits=[EVAL_SPLIT]),
        custom_config=training,
    )


def _file_digest(file: Path) -> str | None:
    """Returns the SHA-256 of the weights, so a changed file changes the cache key; None if no file has that name."""
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
