"""Classes that nobody means are refused, photographs never."""

import os
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageDraw

from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.config.data import DataOptions
from crackgate.contracts.errors import WrongQuestionError
from crackgate.data_set.data_set import find_data_set
from crackgate.data_set.plausibility import check_plausible, describe_lack
from crackgate.images.sample_data import draw_photograph
from pipeline.preconditions import resolve_data_set


def _write(folder: Path, **classes: int) -> Path:
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            (folder / name / f"{number}.jpg").write_bytes(b"picture")
    return folder


def _check(folder: Path, *classes: str) -> list[str]:
    return check_plausible(folder, find_data_set(folder, DataOptions(classes=classes)), bool(classes), 0.1)


def test_a_handful_beside_many_is_refused_until_somebody_names_it(tmp_path: Path) -> None:
    folder = _write(tmp_path, crack=120, sound=100, moss=4)
    with pytest.raises(WrongQuestionError) as refusal:
        _check(folder)
    assert "'moss' has 4 images, and the largest class has 120" in str(refusal.value)
    assert '--set \'data.classes=["crack", "sound"]\'' in str(refusal.value)
    assert _check(folder, "crack", "sound") == []
    assert _check(folder, "crack", "sound", "moss") == ["'moss' has 4 images, and the largest class has 120"]


def test_a_small_class_is_a_warning_and_few_images_alone_are_none(tmp_path: Path) -> None:
    assert _check(_write(tmp_path / "small", crack=11, sound=300)) == [
        "'crack' has 11 images, and the largest class has 300"
    ]
    assert _check(_write(tmp_path / "few", crack=3, sound=5)) == []


def test_a_class_whose_images_are_missing_is_named(tmp_path: Path) -> None:
    three = _write(tmp_path / "three", crack=30, spall=30, sound=0)
    assert _check(three) == [
        "the folder 'sound' holds no image, so the classes are 'crack', 'spall': bring its images, or remove it"
    ]
    assert _check(three, "crack", "spall") == []
    inner = _write(tmp_path / "inner", **{"D/CD": 30, "D/UD": 30, "W/CW": 0})
    assert "'CW' hold" in " ".join(_check(inner))
    one = _write(tmp_path / "one", Positive=30)
    # With other files than images a folder counts by its name alone.
    for name in ("Negative", "reports"):
        (one / name).mkdir()
        (one / name / "list.pdf").touch()
    (one / "empty" / "inner").mkdir(parents=True)
    lack = describe_lack(find_data_set(one, DataOptions()))
    assert "(30 files in all, documents ignored: 2); the folders 'Negative', 'empty' hold no image:" in lack
    # Folders of systems and of crackgate are no classes.
    usual = _write(tmp_path / "usual", crack=30, sound=30)
    for name in (".git", "__MACOSX", "@eaDir"):
        (usual / name).mkdir()
    assert _check(usual) == []


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("Crack", "crack", "sound"), "the classes 'Crack', 'crack' have the same name"),
        (("Fissuré", "Fissure\u0301", "sound"), "have the same name"),
        (("crack", "sound", "Unlabelled"), '--set \'data.classes=["crack", "sound"]\''),
        (("crack", "sound", "unknown"), '--set \'data.classes=["crack", "sound"]\''),
        (("crack", "Nicht zugeordnet"), "has the name of a heap"),
        (("crack", "sound", "to_check"), "'to_check' has the name of a heap"),
        (("Crack", "crack", "Sound"), '{"Crack" = ["Crack", "crack"], "Sound" = ["Sound"]}'),
        (("Positive", "Positive - Copy", "Negative"), "the folder 'Positive - Copy' has the name of a copy"),
        (("type", "type (1)"), '--set \'data.classes=["type", "type (1)"]\''),
        (
            ("crack", "crack copy", "crack copy copy", "sound"),
            "the folder 'crack copy', 'crack copy copy' has the name",
        ),
        (("crack", "crack (1)", "Crack (1)", "sound"), "have the same name"),
        (("crack", "crack (another copy)", "sound"), "has the name of a copy"),
        (("Riss", "ohne Riss", "ohne Riss - Kopie (2)"), "'ohne Riss - Kopie (2)' has the name of a copy"),
        (("100APPLE", "101APPLE"), "'100APPLE', '101APPLE' were named by a camera"),
        (("2023-05-01", "2023-05-02"), "were named by a camera, or after a day"),
    ],
)
def test_names_that_tell_no_classes_are_refused(tmp_path: Path, names: tuple[str, ...], said: str) -> None:
    with pytest.raises(WrongQuestionError) as refusal:
        _check(_write(tmp_path, **dict.fromkeys(names, 3)))
    assert said in str(refusal.value)


def test_a_class_of_the_rest_is_a_warning_until_somebody_names_it(tmp_path: Path) -> None:
    folder = _write(tmp_path, crack=3, sound=3, Other=3)
    (warning,) = _check(folder)
    assert "'Other' may hold images of the other classes" in warning
    assert _check(folder, "crack", "sound", "Other") == []


def test_what_a_folder_without_two_classes_lacks_is_said(tmp_path: Path) -> None:
    (tmp_path / "Positive.zip").write_bytes(b"PK")
    lack = describe_lack(find_data_set(tmp_path, DataOptions()))
    assert "no class folder with a file in it (0 files in all, archives ignored: 1): unpack the archives" in lack
    assert "--labels FILE" in lack
    _write(tmp_path, crack=2)
    assert "one class, 'crack' (2 files in all" in describe_lack(find_data_set(tmp_path, DataOptions()))
    _write(tmp_path, sound=2)
    assert describe_lack(find_data_set(tmp_path, DataOptions())) == ""


@pytest.mark.parametrize(
    "names", [("grade (1)", "grade (2)"), ("crack", "crack_2"), ("copy", "original"), ("type 1", "type 2")]
)
def test_numbers_in_names_make_no_copies(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert _check(_write(tmp_path, **dict.fromkeys(names, 3))) == []


def test_a_phone_s_folders_are_refused_with_its_sidecars_ignored(tmp_path: Path) -> None:
    for folder in ("100APPLE", "101APPLE"):
        for name in ("IMG_1.HEIC", "IMG_1.AAE", "IMG_1.MOV"):
            (tmp_path / "DCIM" / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / "DCIM" / folder / name).write_bytes(b"content")
    with pytest.raises(WrongQuestionError, match="named by a camera"):
        _check(tmp_path)


def test_many_images_in_no_class_are_refused(tmp_path: Path) -> None:
    _write(tmp_path, crack=5, sound=5)
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"picture")
    with pytest.raises(WrongQuestionError, match=r"no class folder holds 3 of 13 images, such as '0.jpg'"):
        _check(tmp_path)
    assert _check(tmp_path, "crack", "sound") == []


def _mask(number: int) -> Image.Image:
    mask = Image.new("L", (64, 64))
    ImageDraw.Draw(mask).line((0, number, 63, 40), fill=255, width=5)
    return mask


@pytest.mark.parametrize(("suffix", "options"), [("png", {}), ("bmp", {}), ("jpg", {"quality": 95})])
def test_masks_are_refused_whatever_their_folder_is_called(
    tmp_path: Path, suffix: str, options: dict[str, int]
) -> None:
    for name in ("pictures", "outlines"):
        (tmp_path / name).mkdir()
        for number in range(6):
            image = _mask(number) if name == "outlines" else draw_photograph(True, np.random.default_rng(number), 64)
            image.save(tmp_path / name / f"{number}.{suffix}", **options)
    with pytest.raises(WrongQuestionError, match=r"images of 'outlines' \(6 of 6\), such as 'outlines/"):
        _check(tmp_path)
    with pytest.raises(WrongQuestionError, match="are masks"):
        _check(tmp_path, "pictures", "outlines")


def test_masks_among_their_images_are_refused(tmp_path: Path) -> None:
    for name in ("crack", "sound"):
        (tmp_path / name).mkdir()
        for number in range(6):
            draw_photograph(True, np.random.default_rng(number), 64).save(tmp_path / name / f"{number}.jpg")
            _mask(number).save(tmp_path / name / f"{number}.png")
    with pytest.raises(WrongQuestionError, match=r"'crack/\d.png', are masks"):
        _check(tmp_path)


def test_masks_of_most_images_are_refused_and_a_few_flat_pictures_are_a_warning(tmp_path: Path) -> None:
    for name in ("crack", "sound"):
        (tmp_path / name / "site").mkdir(parents=True)
        for number in range(12):
            draw_photograph(True, np.random.default_rng(number), 64).save(tmp_path / name / f"{number}.jpg")
    _mask(3).save(tmp_path / "crack" / "logo.png")
    _mask(9).save(tmp_path / "crack" / "site" / "key.gif")
    said = "images of 'crack' (2 of 14), such as 'crack/logo.png', are drawn in flat tones"
    for classes in ((), ("crack", "sound")):
        (warning,) = _check(tmp_path, *classes)
        assert warning.startswith(said)
    for number in range(9):
        _mask(number).save(tmp_path / "sound" / "site" / f"{number}.png")
    with pytest.raises(WrongQuestionError) as refusal:
        _check(tmp_path, "crack", "sound")
    assert "images of 'sound' (9 of 21), such as 'sound/site/0.png', are masks" in str(refusal.value)
    assert "leave their folder out of data.classes, or leave their rows out of the table" in str(refusal.value)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bit_samples_are_judged_as_they_are(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(2)
    for name, low, high in (("bright", 300, 65535), ("thermal", 2000, 2400)):
        (tmp_path / name).mkdir()
        for number in range(4):
            samples = rng.integers(low, high, (64, 64), dtype=np.uint16)
            samples[:2, :9] = (20,), (90,)  # below 256, where Pillow clips
            Image.fromarray(samples).save(tmp_path / name / f"{number}.{suffix}")
    assert _check(tmp_path) == []
    (tmp_path / "outlines").mkdir()
    for number in range(4):
        drawn = np.asarray(_mask(number)).astype(np.uint16)
        Image.fromarray(drawn // 255 * (65535, 2)[number % 2]).save(tmp_path / "outlines" / f"{number}.{suffix}")
    with pytest.raises(WrongQuestionError, match="images of 'outlines'"):
        _check(tmp_path)


def test_dark_sixteen_bit_colours_are_left_to_ingest(tmp_path: Path) -> None:
    for name in ("crack", "sound"):
        (tmp_path / name).mkdir()
        for number in range(3):
            samples = np.random.default_rng(number).integers(0, 1024, (40, 80, 3), dtype=np.uint16)
            tifffile.imwrite(tmp_path / name / f"{number}.tif", samples, photometric="rgb")
    assert _check(tmp_path) == []


@pytest.mark.parametrize(
    "classes",
    [
        {"crack": 3, "sound": 3, "todo": 3},
        {"it's crack": 3, 'so"und': 3, "Fissuré \\ ok": 3, "old": 3},
        {"Crack": 3, "crack": 3, "it's sound": 3},
        {"crack": 120, "sound": 100, "moss": 4},
        {"crack": 120, "so und": 4},
    ],
)
def test_the_option_in_a_refusal_can_be_pasted_and_is_taken(tmp_path: Path, classes: dict[str, int]) -> None:
    _write(tmp_path, **classes)
    with pytest.raises(WrongQuestionError) as refusal:
        _check(tmp_path)
    options = str(refusal.value).split("--set ")[1:]
    assert options
    for option in options:
        setting = shlex.split(option.replace("; if", " ; if").replace(", or", " , or"))[0]
        chosen = load_config(None, [setting]).data
        found = find_data_set(tmp_path, chosen)
        assert len(found.classes) > 1
        check_plausible(tmp_path, found, True, 0.1)


def test_no_option_is_offered_that_would_be_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongQuestionError) as refusal:
        _check(_write(tmp_path / "case", crack=3, Crack=3))
    assert str(refusal.value).endswith("put their images together, or give them different names")
    with pytest.raises(
        WrongQuestionError, match="if it is no class, move it out of the data folder; if it is one, name"
    ):
        _check(_write(tmp_path / "heap", crack=3, unsorted=3))


def test_no_photograph_is_taken_for_a_mask(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    for name, level in (("white wall", 235), ("dark tunnel", 12)):
        (tmp_path / name).mkdir()
        for number in range(6):
            pixels = np.clip(rng.normal(level, 6, (64, 64)), 0, 255).astype(np.uint8)
            pixels[30:34] = 255 - level
            Image.fromarray(pixels).save(tmp_path / name / f"{number}.{('png', 'jpg')[number % 2]}")
    assert _check(tmp_path) == []


def test_pipes_and_damaged_files_are_left_to_ingest(tmp_path: Path) -> None:
    folder = _write(tmp_path, crack=1, sound=1)
    for number, name in enumerate(("crack", "sound")):
        (folder / name / "0.jpg").unlink()
        os.mkfifo(folder / name / "pipe.jpg")
        (folder / name / "dangling.jpg").symlink_to("nowhere")
        draw_photograph(True, np.random.default_rng(number), 64).save(folder / name / "whole.png")
        cut = (folder / name / "whole.png").read_bytes()[:-200]
        (folder / name / "cut.png").write_bytes(cut)
    assert _check(folder) == []


def test_ten_thousand_files_are_judged_within_two_seconds(tmp_path: Path) -> None:
    for name in ("crack", "sound"):
        (tmp_path / name).mkdir()
        draw_photograph(True, np.random.default_rng(1), 64).save(tmp_path / "photograph.jpg")
        for number in range(5000):
            (tmp_path / name / f"{number}.jpg").hardlink_to(tmp_path / "photograph.jpg")
        (tmp_path / "photograph.jpg").unlink()
    began = time.process_time()
    assert len(resolve_data_set(tmp_path, Config()).images) == 10_000
    assert time.process_time() - began < 2


def test_a_wrong_question_is_a_wrong_configuration(tmp_path: Path) -> None:
    _write(tmp_path, images=2, masks=2)
    with pytest.raises(ConfigError, match=f"^--data {str(tmp_path)!r}: the folder 'masks' holds masks"):
        resolve_data_set(tmp_path, Config())
    with pytest.raises(ConfigError, match="which is no folder"):
        resolve_data_set(tmp_path / "absent", Config())
    folder = _write(tmp_path / "alike", crack=11, sound=300)
    warned = resolve_data_set(folder, load_config(None, ['data.classes=["crack", "sound"]']))
    assert warned.notes == ["'crack' has 11 images, and the largest class has 300"]
