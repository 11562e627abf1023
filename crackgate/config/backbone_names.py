"""Names of the backbones, apart from their builders: a check of the configuration needs no TensorFlow."""

EFFICIENTNET_LITE0 = "efficientnet-lite0"
EFFICIENTNET_LITES = (EFFICIENTNET_LITE0, "efficientnet-lite1", "efficientnet-lite2")
# keras.applications whose models contain their own normalisation.
NORMALISED_INSIDE = (
    "ConvNeXtTiny",
    "ConvNeXtSmall",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "MobileNetV3Large",
    "MobileNetV3Small",
)
# keras.applications that expect -1 to 1.
SYMMETRIC = ("MobileNet", "MobileNetV2", "ResNet50V2", "Xception")
BACKBONES = (*EFFICIENTNET_LITES, *NORMALISED_INSIDE, *SYMMETRIC)
