"""The driver that keeps TFX's cache from repeating a refusal that was the machine's fault."""

from tfx.dsl.components.base import base_driver as component_driver
from tfx.orchestration import metadata
from tfx.orchestration.portable import base_driver, data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils, standard_artifacts

# The blessing's property for a lack of time or memory only: the model's id in ML Metadata.
MEASURE_AGAIN = "measure_again"


class ServingCheckDriver(component_driver.BaseDriver, base_driver.BaseDriver):
    """Makes the latest such refusal of the model a parameter, and so a part of the cache's key.

    The next run then measures again and caches its outcome under the new key. Other outcomes are looked up as usual.
    """

    def __init__(self, metadata_handle: metadata.Metadata):
        """Initializes both bases, as TFX's own drivers do: notebooks need one, by this name, the launcher the other."""
        component_driver.BaseDriver.__init__(self, metadata_handle)
        base_driver.BaseDriver.__init__(self, metadata_handle)

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
