"""What the export wrote beside a released model. Without heavy imports, so that a wrong folder is refused at once."""

import json
from pathlib import Path
from typing import Any

from crackgate.contracts.model_files import CARD_FILE


class NotAReleaseError(ValueError):
    """A folder that holds no released model."""


def read_card(folder: Path) -> dict[str, Any]:
    """What the export wrote beside the model: `classes`, `image_size` and, where known, the decision and calibration.

    Args:
        folder: Of one version.

    Raises:
        NotAReleaseError: There is no such file, or it says too little.
    """
    try:
        card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotAReleaseError(
            f"{str(folder)!r} is no version that crackgate released: {CARD_FILE} cannot be read: {error}"
        ) from error
    if not isinstance(card, dict) or not {"classes", "image_size"} <= card.keys():
        raise NotAReleaseError(
            f"{str(folder)!r} is no version that crackgate released: {CARD_FILE} has to name 'classes' and 'image_size'"
        )
    return card
