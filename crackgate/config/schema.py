"""The section `[schema]`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from crackgate.config.section import Section


class Bounds(Section):
    """Lowest and highest value that any image may have."""

    min: Annotated[float, Field(description="lowest allowed")]
    max: Annotated[float, Field(description="highest allowed")]

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min must not exceed max, received {self.min:g} and {self.max:g}")
        return self


class SchemaOptions(Section):
    """Expectations of the images; one image outside a range stops the run."""

    height: Annotated[Bounds, Field(description="height, pixels")] = Bounds(min=1, max=100_000)
    width: Annotated[Bounds, Field(description="width, pixels")] = Bounds(min=1, max=100_000)
    brightness: Annotated[Bounds, Field(description="mean grey level, 0 to 255")] = Bounds(min=0, max=255)
    contrast: Annotated[Bounds, Field(description="standard deviation of the grey levels, 0 to 128")] = Bounds(
        min=0, max=128
    )
    # The Laplacian lies between -1020 and 1020, so its variance is 1020 squared at most.
    sharpness: Annotated[Bounds, Field(description="variance of the Laplacian; blurred is low")] = Bounds(
        min=0, max=1_040_400
    )
    entropy: Annotated[
        Bounds, Field(description="entropy of the grey levels, bits; 0 is a blank picture, 8 the most")
    ] = Bounds(min=0, max=8)
    bytes: Annotated[Bounds, Field(description="size of the file, bytes")] = Bounds(min=1, max=1_000_000_000)
    min_images_per_split: Annotated[
        int, Field(ge=1, le=1_000_000_000, description="fewest images in train, eval and test")
    ] = 10
