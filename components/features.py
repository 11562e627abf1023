"""Names of the features of one stored image, declared once for ingest, training, evaluation and serving."""

# The image file's bytes, in a format that TensorFlow decodes to the same pixels everywhere.
ENCODED = "image/encoded"
# Format of `image/encoded`: "jpeg" or "png".
FORMAT = "image/format"
# Size of the image file as it was found; FORMAT and ENCODED may differ from it.
BYTES = "image/bytes"
# Pixels.
HEIGHT = "image/height"
WIDTH = "image/width"
# Path below the data folder, as the file system's bytes.
FILENAME = "image/filename"
# The class folder's name, and its position among the sorted class names.
CLASS_TEXT = "image/class/text"
CLASS_LABEL = "image/class/label"
# Of the grey levels (ITU-R 601 luma): mean and standard deviation, 0 to 255; variance of the Laplacian, grey levels
# squared; entropy of the histogram, bits. Defined in `components.quality`.
BRIGHTNESS = "image/quality/brightness"
CONTRAST = "image/quality/contrast"
SHARPNESS = "image/quality/sharpness"
ENTROPY = "image/quality/entropy"
# What copies of the picture are found by: see `components.copies.descriptor`.
DESCRIPTOR = "image/copies/descriptor"
# Images of one group always stay in one split: copies of one picture, named by the SHA-256 of the pixels of one.
GROUP = "image/group"

TRAIN_SPLIT = "train"
EVAL_SPLIT = "eval"
TEST_SPLIT = "test"
SPLITS = (TRAIN_SPLIT, EVAL_SPLIT, TEST_SPLIT)
