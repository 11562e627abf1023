"""The work of DataPage, which draws TFDV's statistics itself: Facets Overview loads its code from the network."""

import os

import apache_beam as beam
from tfx import types
from tfx.components.statistics_gen import stats_artifact_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.data_page.artifact import PAGE_FILE
from components.data_page.page import render_page
from components.data_page.qualities import MOST_IMAGES, compare_classes, to_rows
from components.data_page.samples import (
    SHOWN_FEATURES,
    measure_images,
    pick_samples,
    read_picks,
    read_samples,
    read_thumbnails,
    show_images,
)
from components.data_page.sizes import count_sizes, find_scale
from components.data_page.statistics import StatisticsBySplit, read_statistics
from components.shared.beam_results import read_rows, write_rows
from components.shared.example_features import check_features
from components.shared.json_value import write_json
from components.shared.parameters import Artifacts, Properties
from crackgate.contracts.account import Account
from crackgate.contracts.label_conflict import LabelConflict


class DataPageExecutor(base_beam_executor.BaseBeamExecutor):
    """Writes `data.html`, what tells classes apart, and the images' scale."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: Properties) -> None:  # noqa: N802
        """Picks the images to show, reads them again for thumbnails, and renders the page."""
        self._log_startup(input_dict, output_dict, exec_properties)
        examples = artifact_utils.get_single_instance(input_dict["examples"])
        check_features(examples, SHOWN_FEATURES)
        results = self._get_tmp_dir()
        folders = {
            split: artifact_utils.get_split_uri([examples], split)
            for split in artifact_utils.decode_split_names(examples.split_names)
        }
        account = Account.model_validate(artifact_utils.get_single_instance(input_dict["account"]).read())
        share = min(1.0, MOST_IMAGES / max(1, account.ingested))
        with self._make_beam_pipeline() as pipeline:
            images = measure_images(pipeline, folders)
            pick_samples(images, results)
            qualities = images | "Qualities" >> beam.FlatMap(to_rows, share)
            write_rows({"qualities": qualities, "sizes": count_sizes(images)}, results)
        picks = read_picks(results)
        qualities = compare_classes(read_rows(results, "qualities"))
        scale = find_scale(read_rows(results, "sizes"))
        # The second read is for these few alone: in the search, images of 50 MB each would fill a worker.
        with self._make_beam_pipeline() as pipeline:
            show_images(pipeline, folders, picks, account.overlapping, results)
        page = render_page(
            account=account,
            statistics=_read_all(artifact_utils.get_single_instance(input_dict["statistics"])),
            qualities=qualities,
            scale=scale,
            conflicts=_conflicts(artifact_utils.get_single_instance(input_dict["conflicts"])),
            samples=read_samples(picks, account.overlapping, results),
            thumbnails=read_thumbnails(results),
        )
        with fileio.open(os.path.join(artifact_utils.get_single_uri(output_dict["page"]), PAGE_FILE), "wb") as file:
            file.write(page.encode())
        separations = [separation.model_dump() for separation in qualities.separations]
        write_json(artifact_utils.get_single_instance(output_dict["separations"]), separations)
        write_json(artifact_utils.get_single_instance(output_dict["scale"]), scale.model_dump())


def _conflicts(artifact: types.Artifact) -> list[LabelConflict]:
    return list(map(LabelConflict.model_validate, artifact.read()))


def _read_all(artifact: types.Artifact) -> StatisticsBySplit:
    return {
        split: read_statistics(stats_artifact_utils.load_statistics(artifact, split).proto())
        for split in artifact_utils.decode_split_names(artifact.split_names)
    }
