"""Finding cracks in whole photographs: tiles with overlap, a heat map and measures for each photograph."""
