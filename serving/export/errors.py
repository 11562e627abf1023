"""Why there is no export. Without heavy imports."""


class ConversionError(Exception):
    """The form cannot express this network."""


class PhotographsError(ValueError):
    """There are too few usable photographs."""
