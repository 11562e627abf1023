"""The configuration: defaults, a file, options over it, and one clear line for every mistake."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.config.configuration import Config, ConfigError, load_config
from crackgate.config.data import SplitRatios
from crackgate.config.schema import Bounds


def _toml(folder: Path, text: str) -> Path:
    file = folder / "crackgate.toml"
    file.write_text(text, encoding="utf-8")
    return file


def _complaint(file: Path | None, *assignments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file, list(assignments))
    message = str(caught.value)
    assert message.isprintable(), "one line that fits a terminal"
    return message


def test_without_file_and_options_the_defaults_hold() -> None:
    config = load_config()
    assert config == Config()
    assert (config.data.split.train, config.data.split.eval, config.data.split.test) == (70, 15, 15)
    assert config.data.classes == ()
    assert config.data_schema.brightness == Bounds(min=0, max=255)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(_toml(tmp_path, "")) == Config()


def test_the_file_sets_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    config = load_config(
        _toml(
            tmp_path,
            """
            data.classes = ["Sound", "Crack"]
            [data.split]
            train = 80
            [schema.height]
            min = 64
            max = 4000
            [train]
            backbone = "MobileNetV2"
            [gate]
            min_recall = 1
            """,
        )
    )
    assert config.data.classes == ("Sound", "Crack")
    assert config.data.split == SplitRatios(train=80, eval=15, test=15)
    assert config.data_schema.height == Bounds(min=64, max=4000)
    assert config.train.backbone == "MobileNetV2"
    assert config.gate.min_recall == 1
    defaults = Config()
    assert (config.data_schema.width, config.beam) == (defaults.data_schema.width, defaults.beam)


def test_options_win_over_the_file_and_the_last_one_over_the_others(tmp_path: Path) -> None:
    file = _toml(tmp_path, "[gate]\nmin_accuracy = 0.5\nmin_auc = 0.6\n")
    config = load_config(file, ["gate.min_accuracy=0.7", "gate.min_accuracy = 0.8"])
    assert (config.gate.min_accuracy, config.gate.min_auc) == (0.8, 0.6)


@pytest.mark.parametrize("name", ["height", "width", "brightness", "contrast", "sharpness", "entropy", "bytes"])
def test_every_range_of_the_schema_can_be_set(name: str) -> None:
    schema = load_config(None, [f"schema.{name}.min=2", f"schema.{name}.max=3.5"]).data_schema
    assert getattr(schema, name) == Bounds(min=2, max=3.5)
    assert schema == Config().data_schema.model_copy(update={name: Bounds(min=2, max=3.5)})


@pytest.mark.parametrize("side", ["min", "max"])
def test_one_bound_can_be_set_alone(side: str) -> None:
    brightness = load_config(None, [f"schema.brightness.{side}=20"]).data_schema.brightness
    assert brightness == Bounds(**{"min": 0, "max": 255, side: 20})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("none", "none"),
        ('"none"', "none"),
        ("a=b", "a=b"),
        ("", ""),
        ("with # sign", "with # sign"),
    ],
)
def test_a_text_needs_no_quotes(text: str, value: str) -> None:
    assert load_config(None, [f"train.weights={text}"]).train.weights == value


def test_a_table_in_a_bucket_is_known_by_the_scheme_in_small_letters() -> None:
    assert load_config(None, ["data.labels=S3://a/B.csv"]).data.labels == "s3://a/B.csv"


def test_classes_are_given_as_a_list() -> None:
    assert load_config(None, ['data.classes=["b", "a", "c"]']).data.classes == ("b", "a", "c")


def test_classes_are_given_as_a_table_with_their_folders() -> None:
    data = load_config(None, ['data.classes={crack = ["CW", "CD"], sound = ["UD"]}']).data
    assert data.class_of_folder == {"CW": "crack", "CD": "crack", "UD": "sound"}
    assert type(data).model_validate_json(data.model_dump_json()) == data
    assert load_config(None, ["data.classes.b=['x']", "data.classes.a=['y']"]).data.class_of_folder == {
        "x": "b",
        "y": "a",
    }


@pytest.mark.parametrize(
    ("assignment", "field", "received", "allowed"),
    [
        # No such field or section.
        ("nope.x=1", "nope", "", "data, schema, drift, train, tune, gate, serving_check, beam, release, kubeflow"),
        ("data.clases=[]", "data.clases", "", "classes, split, min_side"),
        ("data.split.val=1", "data.split.val", "", "train, eval, test"),
        ("schema.height.low=1", "schema.height.low", "", "min, max"),
        ("gate.slices.drak=1", "gate.slices.drak", "", "dark, bright, blurred, low_contrast"),
        ("data_schema.height.min=1", "data_schema", "", "schema"),
        # Of the wrong type.
        ("gate.min_accuracy=high", "gate.min_accuracy", "'high'", "number"),
        ("data.split.train=1.5", "data.split.train", "1.5", "integer"),
        ("train.backbone=[1]", "train.backbone", "[1]", "string"),
        ('data.labels="http://a/b.csv"', "data.labels", "'http://a/b.csv'", "s3://BUCKET/PREFIX"),
        ('data.labels="s3:/a/b.csv"', "data.labels", "'s3:/a/b.csv'", "is a slash missing?"),
        ("data.classes=Crack", "data.classes", "'Crack'", 'a list, for example ["Negative", "Positive"]'),
        ('data.classes=["a", 2]', "data.classes.1", "2", "string"),
        ("data.split=70", "data.split", "70", "section"),
        # Out of range.
        ("gate.min_accuracy=1.01", "gate.min_accuracy", "1.01", "less than or equal to 1"),
        ("gate.min_accuracy=-0.1", "gate.min_accuracy", "-0.1", "greater than or equal to 0"),
        ("gate.min_accuracy=nan", "gate.min_accuracy", "nan", "finite"),
        ("schema.sharpness.max=clear", "schema.sharpness.max", "'clear'", "number"),
        ("schema.entropy.min=9", "schema.entropy", "9", "min must not exceed max"),
        ("schema.bytes.max=0", "schema.bytes", "0", "min must not exceed max"),
        ("schema.contrast.max=inf", "schema.contrast.max", "inf", "finite"),
        ("data.split.test=0", "data.split.test", "0", "greater than or equal to 1"),
        ("data.max_pixels=178956971", "data.max_pixels", "178956971", "less than or equal to 178956970"),
        ("data.max_rejected_share=5", "data.max_rejected_share", "5", "less than or equal to 1"),
        ("beam.parallelism=-1", "beam.parallelism", "-1", "greater than or equal to 0"),
        ('beam.profile="spark"', "beam.profile", "'spark'", "'auto', 'local' or 'flink'"),
        ('beam.job_endpoint="localhost"', "beam.job_endpoint", "'localhost'", "HOST:PORT"),
        ('beam.job_endpoint="http://localhost:8099"', "beam.job_endpoint", "'http://localhost:8099'", "HOST:PORT"),
        ('beam.worker_pool="localhost:65536"', "beam.worker_pool", "'localhost:65536'", "1 to 65535"),
        ('beam.args=["--runner=DataflowRunner"]', "beam.args.0", "'--runner=DataflowRunner'", "beam.profile"),
        ('beam.args=["--parallelism=4", "x"]', "beam.args.1", "'x'", "--name=value"),
        ('beam.component_args={Trainer = ["--x"]}', "beam.component_args", "Trainer", "allowed are ImageExampleGen"),
        ("train.backbone=resnet", "train.backbone", "'resnet'", "MobileNetV2"),
        ("train.image_size=31", "train.image_size", "31", "greater than or equal to 32"),
        ("gate.positive_recall_by=guess", "gate.positive_recall_by", "'guess'", "lower bound"),
        ("gate.confidence=1", "gate.confidence", "1", "less than 1"),
        # Contradictory.
        ("schema.width.min=200000", "schema.width", "200000", "min must not exceed max"),
        ('data.classes=["a"]', "data.classes", "['a']", "two or more different names"),
        ('data.classes=["a", "b", "a"]', "data.classes", "['a', 'b', 'a']", "two or more different names"),
        ("data.classes={a = ['x']}", "data.classes", "{'a': ['x']}", "two or more different names"),
        ("data.classes={a = ['x'], b = ['x']}", "data.classes", "{'a': ['x'], ", "two or more different names"),
        ("data.classes={a = ['x'], b = []}", "data.classes", "{'a': ['x'], ", "at least one folder"),
        ("data.classes={a = 1, b = ['x']}", "data.classes.a", "1", 'a list, for example ["Negative", "Positive"]'),
        ('data.classes=["a", "b/c"]', "data.classes", "['a', 'b/c']", "names of folders"),
    ],
)
def test_a_bad_field_is_named_with_the_value_received_and_what_is_allowed(
    tmp_path: Path, assignment: str, field: str, received: str, allowed: str
) -> None:
    message = _complaint(None, assignment)
    assert message.startswith(f"{field}: received ") if received else message.startswith(f"{field} is not a field; ")
    assert received in message
    assert allowed in message
    # The same mistake in a file reads the same; the names in these cases are all bare TOML keys.
    key, _, value = assignment.partition("=")
    if received not in ("'high'", "'clear'", "'Crack'", "'resnet'", "'guess'"):
        assert _complaint(_toml(tmp_path, f"{key} = {value}")) == message


def test_a_field_of_a_list_that_does_not_exist_is_named_too() -> None:
    message = _complaint(None, 'gate.require=[{metric="accuracy", min=0.9, lable="a"}]')
    assert message.startswith("gate.require.0.lable is not a field; gate.require.0 has metric, label, slice")


def test_every_mistake_is_reported_at_once() -> None:
    message = _complaint(None, "gate.min_auc=2", "beam.parallelism=-1", "data.nope=1")
    assert all(field in message for field in ("gate.min_auc", "beam.parallelism", "data.nope"))


def test_a_field_with_a_line_break_in_its_name_still_gives_one_line(tmp_path: Path) -> None:
    assert r"'a\nb' is not a field" in _complaint(_toml(tmp_path, '[data]\n"a\\nb" = 1\n'))


@pytest.mark.parametrize("assignment", ["", "=", "gate", "gate.min_auc", "min_auc=0.9", ".=1", "gate.=1", ".min_auc=1"])
def test_an_option_that_assigns_nothing_is_shown_what_it_takes(assignment: str) -> None:
    message = _complaint(None, assignment)
    assert "--set takes section.field=value, for example gate.min_accuracy=0.95" in message
    assert repr(assignment) in message


@pytest.mark.parametrize("place", ["signing_key", "release={signing_key", "release.keep.key", "release.keep"])
def test_a_private_key_in_the_wrong_place_is_not_shown(place: str) -> None:
    told = _complaint(None, "release.keep=1", f"{place}=-----BEGIN PRIVATE KEY-----MC4CAQ")
    assert "a private key" in told and "MC4CAQ" not in told


def test_an_option_that_no_summary_could_hold_is_refused() -> None:
    # A file's name of other bytes than UTF-8 reaches Python so.
    assert "no UTF-8" in _complaint(None, "train.weights=a\udcff.h5")


def test_an_option_below_a_value_is_refused(tmp_path: Path) -> None:
    message = _complaint(_toml(tmp_path, "[data]\nsplit = 3\n"), "data.split.train=1")
    assert "'data.split.train=1'" in message
    assert "'split' is a value, not a section" in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    message = _complaint(tmp_path / "absent.toml")
    assert repr(str(tmp_path / "absent.toml")) in message
    assert "No such file" in message


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    assert "Is a directory" in _complaint(tmp_path)


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (b"[gate\n", "line 1"),
        (b"[gate]\nmin_auc = \n", "line 2"),
        (b"[gate]\n[gate]\n", "line 2"),
        (b"a = '\xff'", "utf-8"),
        (b"a = " + b"[" * 5000, "recursion"),
        (b"a = " + b"9" * 5000, "4300 digits"),
    ],
    ids=["open bracket", "no value", "section twice", "not UTF-8", "nested too deep", "number too long"],
)
def test_a_file_that_is_no_toml_is_named_with_the_place(tmp_path: Path, content: bytes, detail: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_bytes(content)
    message = _complaint(file)
    assert message.startswith(f"{str(file)!r} is not valid TOML: ")
    assert detail in message


def test_a_byte_order_mark_is_no_part_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "windows.toml"
    file.write_bytes(b"\xef\xbb\xbf[data]\r\nmin_side = 40\r\n")
    assert load_config(file).data.min_side == 40


def test_a_value_of_several_lines_sets_nothing_else() -> None:
    assert "min_side" in _complaint(None, "data.min_side=40\nmax_bytes = 1")


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 1000)] * 3))
def test_any_valid_split_comes_back_from_options(ratios: tuple[int, int, int]) -> None:
    train, evaluation, test = ratios
    assignments = [f"data.split.train={train}", f"data.split.eval={evaluation}", f"data.split.test={test}"]
    assert load_config(None, assignments).data.split == SplitRatios(train=train, eval=evaluation, test=test)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_any_share_comes_back_exactly(share: float) -> None:
    assert load_config(None, [f"gate.max_accuracy_drop={share!r}"]).gate.max_accuracy_drop == share


_FIELDS = ["train.backbone", "train.weights", "gate.min_auc", "data.classes", "data.split", "schema.height", "data"]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.builds("{}={}".format, st.sampled_from(_FIELDS), st.text())))
def test_no_option_whatever_ends_in_anything_but_a_configuration_or_one_line(assignment: str) -> None:
    try:
        load_config(None, [assignment])
    except ConfigError as error:
        assert "\n" not in str(error)


@settings(max_examples=200, deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_bounds_are_accepted_exactly_when_in_order(low: float, high: float) -> None:
    assignments = [f"schema.contrast.min={low!r}", f"schema.contrast.max={high!r}"]
    if low <= high:
        assert load_config(None, assignments).data_schema.contrast == Bounds(min=low, max=high)
    else:
        message = _complaint(None, *assignments)
        assert "min must not exceed max" in message
        assert message.startswith("schema.contrast: received ")


def test_a_loaded_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_config().data.min_side = 1  # type: ignore[misc]
