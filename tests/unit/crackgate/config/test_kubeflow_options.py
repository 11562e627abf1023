"""The configuration of tasks on Kubernetes: a wrong value is refused by its node, the value and what is allowed."""

import pytest

from crackgate.config.configuration import ConfigError, load_config


def options(*assignments: str):
    return load_config(None, list(assignments)).kubeflow


def test_a_nodes_own_options_go_before_those_of_all_nodes() -> None:
    found = options('kubeflow.node.cpu="4"', 'kubeflow.node.memory="6Gi"', 'kubeflow.nodes.Trainer.memory="16Gi"')
    trainer, other = found.of_node("Trainer"), found.of_node("Pusher")
    assert (trainer.cpu, trainer.memory) == ("4", "16Gi")
    assert (other.cpu, other.memory) == ("4", "6Gi")


def test_an_option_set_back_to_its_default_for_one_node_counts() -> None:
    assert options("kubeflow.node.retries=5", "kubeflow.nodes.Trainer.retries=2").of_node("Trainer").retries == 2


@pytest.mark.parametrize(
    ("field", "value", "allowed"),
    [
        ("cpu", '"two"', "a number of cores"),
        ("cpu", '"0"', "a number of cores"),
        ("cpu", '"0m"', "a number of cores"),
        ("memory", '"8 GB"', "an amount of memory"),
        ("memory", '""', "an amount of memory"),
        ("shared_memory", '"much"', "an amount of memory"),
        ("accelerator", '"gpu"', "full name"),
        ("accelerators", "0", "greater than or equal to 1"),
        ("timeout", "-1", "greater than or equal to 0"),
        ("retries", "101", "less than or equal to 100"),
        ("retry_delay", "3601", "less than or equal to 3600"),
        ("retry_factor", "0", "greater than or equal to 1"),
        ("retry_factor", "1.5", "integer"),
        ("image", '"My Image"', "with its registry"),
        ("node_selector", '{ "a b" = "c" }', "no label"),
    ],
)
def test_a_wrong_value_is_refused_by_node_value_and_what_is_allowed(field: str, value: str, allowed: str) -> None:
    with pytest.raises(ConfigError) as refused:
        options(f"kubeflow.nodes.Trainer.{field}={value}")
    message = str(refused.value)
    assert message.startswith(f"kubeflow.nodes.Trainer.{field}: received ") and allowed in message, message
    assert value.strip('"') in message or value[0] == "{", message


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ('kubeflow.image_pull_secrets=["My Registry"]', "'My Registry' is no name of a Secret"),
        ("kubeflow.nodes.Trainer.cpus=2", "kubeflow.nodes.Trainer has cpu, memory"),
        ('kubeflow.nodes.Trainer.tolerations=[{key="gpu", effects="x"}]', "has key, operator, value, effect"),
        ('kubeflow.nodes.Trainer.tolerations=[{value="gpu"}]', "operator must be 'Exists'"),
        ('kubeflow.nodes.Trainer.tolerations=[{operator="Exists", value="gpu"}]', "takes none"),
        ('kubeflow.workspace="shared"', "an absolute path"),
        ('kubeflow.data="/a\\"b"', "an absolute path"),
        ('kubeflow.mlmd_secret="My_Secret"', "name of a Secret"),
        ('kubeflow.mlmd_secret=""', "name of a Secret"),
        ('kubeflow.signing_secret="of.signing"', "name of a Secret"),
        ('kubeflow.data="/data/$(MLMD_PASSWORD)"', "an absolute path"),
        ('kubeflow.data="/data/{{workflow.name}}"', "an absolute path"),
        ('kubeflow.volumes=[{claim="A", mount="/a"}]', "name of a claim"),
        ('kubeflow.volumes=[{claim="a.b", mount="/a"}]', "name of a claim"),
        ('kubeflow.volumes=[{claim="a", mount="a"}]', "an absolute path"),
        ('kubeflow.volumes=[{claim="a", mount="/a"}, {claim="b", mount="/a/"}]', "mounted twice"),
    ],
)
def test_what_cannot_be_is_said(assignment: str, said: str) -> None:
    with pytest.raises(ConfigError, match="kubeflow") as refused:
        options(assignment)
    assert said in str(refused.value)
