"""Names of the features of one stored image, declared once for ingest, training, evaluation and serving."""

import hashlib
from pathlib import Path

# The image file's bytes, in a format that TensorFlow decodes to the same pixels everywhere.
ENCODED = "image/encoded"
# The error for a row that is none, in the graph and in `crackgate serve`.
NOT_AN_EXAMPLE = f"not a tf.train.Example with the bytes of one image in {ENCODED}"
# Format of `image/encoded`: "jpeg" or "png".
FORMAT = "image/format"
# Size of the image file as it was found; FORMAT and ENCODED may differ from it.
BYTES = "image/bytes"
# Format of that file, such as "tiff", and the maker and model of its camera, "" if EXIF names none.
FILE_FORMAT = "image/file_format"
CAMERA = "image/camera"
# Pixels.
HEIGHT = "image/height"
WIDTH = "image/width"
# Path below the data folder, as the file system's bytes.
FILENAME = "image/filename"
# The class folder's name, and its position among the sorted class names.
CLASS_TEXT = "image/class/text"
CLASS_LABEL = "image/class/label"
# Folder of the surface, site or the like that holds the class folders; absent where there is none.
PART = "image/part"
# Statistics of the grey levels, defined in `crackgate.images.quality`: mean and standard deviation, 0 to 255; variance
# of the Laplacian, grey levels squared; entropy of the histogram, bits.
BRIGHTNESS = "image/quality/brightness"
CONTRAST = "image/quality/contrast"
SHARPNESS = "image/quality/sharpness"
ENTROPY = "image/quality/entropy"
# Descriptor that finds copies of the picture: see `crackgate.images.copies.descriptor`.
DESCRIPTOR = "image/copies/descriptor"
# Images of one group always stay in one split: copies of one picture, named by the SHA-256 of the pixels of one.
GROUP = "image/group"

# Scores that a training gives its reference images, float32 (classes,).
REFERENCE_SCORES = "reference/scores"
# Their unfamiliarity, float32 (1,); (0,) where the training cannot tell.
REFERENCE_UNFAMILIARITY = "reference/unfamiliarity"

TRAIN_SPLIT = "train"
EVAL_SPLIT = "eval"
TEST_SPLIT = "test"
SPLITS = (TRAIN_SPLIT, EVAL_SPLIT, TEST_SPLIT)

# Features that identify an image, and the file with their digests of the images that a model was trained on: sorted
# uint64, in NumPy's format. TensorFlow Serving ignores files in `assets.extra/`.
IDENTITIES = (GROUP, DESCRIPTOR)
TRAINING_DIGESTS_FILE = Path("assets.extra") / "training_digests.npy"


def digest(identity: bytes) -> int:
    """First 64 bits of the SHA-256 of one of `IDENTITIES`: even a million images match no other million by chance."""
    return int.from_bytes(hashlib.sha256(identity).digest()[:8], "big")
