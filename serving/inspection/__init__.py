"""Finding cracks in whole photographs: tiles with overlap, a heat map and measures for each photograph."""

# Side of a tile in the photograph's pixels: the size of the images of the concrete crack data set.
TILE = 227
# Share of a tile that its neighbour covers at least.
OVERLAP = 0.5
