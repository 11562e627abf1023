"""Names of the features of one stored image, declared once for ingest, training, evaluation and serving."""

# The image file's bytes, in a format that TensorFlow decodes to the same pixels everywhere.
ENCODED = "image/encoded"
# Format of `image/encoded`: "jpeg" or "png".
FORMAT = "image/format"
# Pixels.
HEIGHT = "image/height"
WIDTH = "image/width"
# Path below the data folder, as the file system's bytes.
FILENAME = "image/filename"
# The class folder's name, and its position among the sorted class names.
CLASS_TEXT = "image/class/text"
CLASS_LABEL = "image/class/label"
# Mean and standard deviation of the grey levels (ITU-R 601 luma), 0 to 255.
BRIGHTNESS = "image/quality/brightness"
CONTRAST = "image/quality/contrast"
# Images of one group always stay in one split: the SHA-256 of the decoded pixels.
GROUP = "image/group"

TRAIN_SPLIT = "train"
EVAL_SPLIT = "eval"
TEST_SPLIT = "test"
SPLITS = (TRAIN_SPLIT, EVAL_SPLIT, TEST_SPLIT)
