"""The configuration as commented TOML: what is written is read back, and everything in the documentation is valid."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crackgate.config.configuration import Config, load_config
from crackgate.config.document import say_value, write_document
from crackgate.config.reference import read_sections

PROJECT = Path(__file__).resolve().parents[4]
DOCUMENTED = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]


def _written(folder: Path, config: Config) -> Path:
    file = folder / "crackgate.toml"
    file.write_text(write_document(config, "A test."), encoding="utf-8")
    return file


def test_the_written_defaults_are_the_defaults(tmp_path: Path) -> None:
    assert load_config(_written(tmp_path, Config())) == Config()


@pytest.mark.parametrize(
    "assignment",
    [
        'data.classes=["Sound", "Crack \\"wide\\""]',
        "data.classes={Cracked = ['CD', 'C W'], 'no # crack' = ['UD']}",
        "data.group_by=(site \\d+)\\n\t\x7f é",
        "schema.sharpness={min = 0.1, max = 1e6}",
        'gate.require=[{metric = "recall", label = "Crack", min = 0.95}, {metric = "accuracy", max = 1}]',
        "serving_check.score_tolerance=1e-7",
        'beam.component_args={Evaluator = ["--parallelism=8"]}',
        'kubeflow.nodes.Trainer={cpu = "8", tolerations = [{key = "gpu", operator = "Exists"}]}',
        'kubeflow.volumes=[{claim = "a", mount = "/a"}]',
        "release.allow_other_classes=true",
    ],
)
def test_a_written_configuration_is_read_back_as_it_was(tmp_path: Path, assignment: str) -> None:
    config = load_config(None, [assignment])
    assert config != Config()
    again = load_config(_written(tmp_path, config))
    assert again == config
    # Equal, too, in what nobody set: a task's own options override those of every task.
    assert again.kubeflow.of_node("Trainer") == config.kubeflow.of_node("Trainer")


@settings(deadline=None)
@given(
    st.recursive(
        st.text() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_every_value_is_read_back(value: object) -> None:
    assert tomllib.loads(f"value = {say_value(value)}") == {"value": value}


def test_every_field_says_what_it_means_what_is_allowed_and_its_default() -> None:
    fields = [field for section in read_sections(Config()) for field in section.fields]
    assert [field.name for field in fields if not field.description or not field.allowed] == []
    said = {field.name: field for field in fields}
    assert said["train.dropout"].allowed == "number, at least 0, below 1"
    assert said["data.min_side"].allowed == "whole number, 1 to 100,000" and said["data.min_side"].default == 32
    assert said["beam.profile"].allowed == '"auto", "local" or "flink"'
    assert any(part.startswith("judged_by: ") for part in said["gate.require"].parts)
    assert "gate.slices.dark" in said and "schema.brightness.min" in said and "data_schema" not in str(said)


@pytest.mark.parametrize("file", DOCUMENTED, ids=lambda file: file.name)
def test_every_configuration_in_the_documentation_is_valid(file: Path, tmp_path: Path) -> None:
    for number, block in enumerate(re.findall(r"^( *)```toml\n(.*?)^\1```", file.read_text(), re.M | re.S)):
        example = tmp_path / f"{number}.toml"
        example.write_text(block[1])
        assert load_config(example) != Config()
