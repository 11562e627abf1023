"""ImageExampleGen and StatisticsGen, launched by TFX as `pipeline.run` does it."""

from pathlib import Path

from ml_metadata import MetadataStore
from tfx import v1 as tfx

from components.curated_schema.component import CuratedSchema
from components.image_example_gen.component import ImageExampleGen
from crackgate.config.beam import BeamOptions
from crackgate.config.data import DataOptions
from crackgate.config.schema import SchemaOptions
from crackgate.data_set.data_set import find_data_set
from crackgate.storage.cache import listed_once
from pipeline.beam_profiles import beam_pipeline_args
from pipeline.definition import expected_statistics

COMPONENTS = {"ingest": "ImageExampleGen", "statistics": "StatisticsGen"}


@listed_once()
def run_data_pipeline(step: str, data: Path, output: Path, options: BeamOptions) -> float:
    """Runs the pipeline up to a step, one of `COMPONENTS`, and returns the step's own seconds.

    Earlier steps come from the cache; `output` receives artifacts and metadata.
    """
    classes = find_data_set(data, DataOptions()).classes
    example_gen = ImageExampleGen(data, classes, DataOptions(max_imbalance=1))
    components = [example_gen]
    if step == "statistics":
        schema = CuratedSchema(classes, SchemaOptions())
        components += [schema, expected_statistics(example_gen, schema)]
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(output / "metadata.sqlite"))
    tfx.orchestration.LocalDagRunner().run(
        tfx.dsl.Pipeline(
            pipeline_name="benchmark",
            pipeline_root=str(output / "pipeline"),
            components=components,
            enable_cache=True,
            metadata_connection_config=connection,
            beam_pipeline_args=beam_pipeline_args(options),
        )
    )
    store = MetadataStore(connection)
    node = store.get_context_by_type_and_name("node", f"benchmark.{COMPONENTS[step]}")
    (execution,) = store.get_executions_by_context(node.id)
    return float(execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000
