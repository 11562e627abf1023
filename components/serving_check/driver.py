"""Keeps TFX's cache from repeating a refusal that was the machine's fault."""

from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils, standard_artifacts

# The blessing's property with the id in ML Metadata of the model, where only time or memory was lacking.
MEASURE_AGAIN = "measure_again"


class ServingCheckDriver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Makes the latest such refusal of the model a parameter, and so a part of the cache's key.

    After it, the next run measures anew, and what comes of that is cached under the new key. A model that was never
    refused so, or for a fault of its own, is looked up as always.
    """

    def __init__(self, connection: metadata.Metadata):
        """Components demand one of the two, the launcher runs the other; TFX's own drivers do the same."""
        component_driver.BaseDriver.__init__(self, connection)
        base_driver.BaseDriver.__init__(self, connection)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Returns the parameter `refusal`: an id in ML Metadata, 0 for none."""
        model = artifact_utils.get_single_instance(execution_info.input_dict["model"])
        with self._mlmd_connection as handle:
            blessings = handle.store.get_artifacts_by_type(standard_artifacts.InfraBlessing.TYPE_NAME)
        refusals = [
            blessing.id for blessing in blessings if blessing.custom_properties[MEASURE_AGAIN].int_value == model.id
        ]
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["refusal"].int_value = max(refusals, default=0)
        return output
