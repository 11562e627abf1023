"""Finding cracks in whole photographs: tiles with overlap, a heat map, boxes and figures for each photograph."""
