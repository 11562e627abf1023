"""Names of the backbones, apart from their builders: a check of the configuration needs no TensorFlow."""

from difflib import get_close_matches

from crackgate.own_code import check_form, is_own

EFFICIENTNET_LITE0 = "efficientnet-lite0"
EFFICIENTNET_LITES = (EFFICIENTNET_LITE0, "efficientnet-lite1", "efficientnet-lite2")
# keras.applications by what their input expects. These normalise 0 to 255 themselves.
NORMALISED_INSIDE = (
    *(f"ConvNeXt{size}" for size in ("Tiny", "Small", "Base", "Large", "XLarge")),
    *(f"EfficientNetB{size}" for size in range(8)),
    *(f"EfficientNetV2{size}" for size in ("B0", "B1", "B2", "B3", "S", "M", "L")),
    "MobileNetV3Large",
    "MobileNetV3Small",
)
# -1 to 1.
SYMMETRIC = (
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet50V2",
    "ResNet101V2",
    "ResNet152V2",
    "Xception",
)
# Mean 0 and deviation 1 over ImageNet.
STANDARDISED = ("DenseNet121", "DenseNet169", "DenseNet201")
# Blue, green, red, each less its mean over ImageNet, as Caffe had them.
CENTRED_BGR = ("ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19")
BACKBONES = (*EFFICIENTNET_LITES, *NORMALISED_INSIDE, *SYMMETRIC, *STANDARDISED, *CENTRED_BGR)


def check_backbone_name(name: str) -> None:
    """Raises ValueError unless it is one of `BACKBONES`, or has the form of a function's name."""
    if is_own(name):
        check_form(name)
        return
    if name in BACKBONES:
        return
    names = {each.lower(): each for each in BACKBONES}
    close = [names[match] for match in get_close_matches(name.lower(), names, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise ValueError(f"{hint}allowed are {', '.join(BACKBONES)}, or package.module:function for a model of your own")
