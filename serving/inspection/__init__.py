"""Finding cracks in whole photographs: tiles with overlap, a heat map, boxes and measures for each photograph."""
