"""The type of the artifact that holds a page."""

from tfx.types.artifact import Artifact


class HtmlPage(Artifact):
    """A folder with one HTML file in it that needs no other.

    Each of TFX's own folder types promises readers other content: even ExampleValidationMetrics, whose name comes
    closest, holds the serialized metrics of TFX's DistributionValidator.
    """

    TYPE_NAME = "HtmlPage"
