"""A model's identity: equal for two exports of the same weights, card and computation.

Two exports differ byte by byte: TensorFlow numbers functions anew, stores them in another order, and Keras numbers
layers by what the process built before. The identity looks at no name and no order of that kind.
"""

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from crackgate.contracts.model_files import CARD_FILE
from crackgate.model.saved_graph import called_functions, read_saved_model
from crackgate.releases.manifest import Manifest

log = logging.getLogger("crackgate")

# The scheme's number precedes the digest: identities of another scheme are computed anew, not compared.
SCHEME = "1"
# Attributes that name things, or say how and where to compute instead of what.
_WITHOUT_MEANING = {"shared_name", "container", "debug_name", "config", "config_proto", "executor_type"}
# A checkpoint's description of the objects that own the values.
_OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"


class IdentityError(Exception):
    """A model's files are missing, or are not such a model's."""


def identify(model: Path) -> str:
    """Identity of the SavedModel in a folder: the scheme's number, ":" and a SHA-256 in hexadecimal.

    It covers the values of the variables, the card's content, and what the graph and its functions compute: each node
    by its operation, its attributes and its inputs, as in a Merkle tree.

    Raises IdentityError.
    """
    # TensorFlow takes seconds to import, and only releases ask.
    from google.protobuf.message import DecodeError
    from tensorflow import errors

    try:
        parts = [*_variables(model), _card(model), *sorted(_computations(model))]
    except (OSError, ValueError, KeyError, CycleError, DecodeError, errors.OpError) as error:
        raise IdentityError(f"cannot tell the identity of the model in {str(model)!r}: {error}") from error
    return f"{SCHEME}:{_digest(*parts)}"


def recorded_identity(folder: Path, manifest: Manifest) -> str | None:
    """The identity that a version's manifest records, else that of its files; None if they do not tell it."""
    if manifest.identity and manifest.identity.startswith(f"{SCHEME}:"):
        return manifest.identity
    return find_identity(folder)


def find_identity(model: Path) -> str | None:
    """`identify`; None, and a warning in the log, if that fails."""
    try:
        return identify(model)
    except IdentityError as error:
        log.warning("only the same files count as the same model: %s", error)
        return None


def _digest(*parts: str | bytes) -> str:
    """SHA-256 over parts of any length; no two lists of parts read alike."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()


def _variables(model: Path) -> Iterable[str]:
    """The values of the variables, by their place in the model's list."""
    import numpy as np
    from tensorflow import train

    reader = train.load_checkpoint(str(model / "variables" / "variables"))
    for key in sorted(set(reader.get_variable_to_shape_map()) - {_OBJECT_GRAPH}):
        value = np.asarray(reader.get_tensor(key))
        # Arrays of objects hold strings.
        content = value.tobytes() if value.dtype != object else _digest(*value.ravel().tolist())
        yield _digest(key, str(value.dtype), str(value.shape), content)


def _card(model: Path) -> str:
    """The card's fields that say something; a later program may have added others, which are null."""
    file = model / CARD_FILE
    content = json.loads(file.read_bytes()) if file.is_file() else {}
    return json.dumps({name: value for name, value in content.items() if value is not None}, sort_keys=True)


def _computations(model: Path) -> Iterable[str]:
    """Digests of all nodes of the graph, and of all functions."""
    for graph in read_saved_model(model).meta_graphs:
        functions = _functions(graph.graph_def.library.function)
        yield from functions.values()
        yield from _nodes(graph.graph_def.node, {}, functions).values()


def _functions(definitions: Iterable[Any]) -> dict[str, str]:
    """Digests of functions, by their names in this export."""
    by_name = {function.signature.name: function for function in definitions}
    calls = {name: called_functions(function.node_def) & by_name.keys() for name, function in by_name.items()}
    done: dict[str, str] = {}
    for name in TopologicalSorter(calls).static_order():
        done[name] = _function(by_name[name], done)
    return done


def _function(function: Any, functions: Mapping[str, str]) -> str:
    arguments = {
        arg.name: _digest("argument", str(n), str(arg.type)) for n, arg in enumerate(function.signature.input_arg)
    }
    nodes = _nodes(function.node_def, arguments, functions)
    returned = [function.ret[output.name] for output in function.signature.output_arg]
    effects = sorted(nodes[name] for name in function.control_ret.values())
    return _digest("function", *arguments.values(), *(_input(each, nodes) for each in returned), "effects", *effects)


def _nodes(nodes: Iterable[Any], arguments: Mapping[str, str], functions: Mapping[str, str]) -> dict[str, str]:
    """Digests of nodes and `arguments`, by their names in this export."""
    by_name = {node.name: node for node in nodes}
    needs = {name: {_node(each) for each in node.input} - arguments.keys() for name, node in by_name.items()}
    done = dict(arguments)
    for name in TopologicalSorter(needs).static_order():
        node = by_name[name]
        data = [_input(each, done) for each in node.input if not each.startswith("^")]
        control = sorted(done[_node(each)] for each in node.input if each.startswith("^"))
        done[name] = _digest(node.op, *_attributes(node.attr, functions), "data", *data, "control", *control)
    return done


def _attributes(attributes: Mapping[str, Any], functions: Mapping[str, str]) -> Iterable[str]:
    for name in sorted(attributes):
        if not name.startswith("_") and name not in _WITHOUT_MEANING:
            yield name
            yield _value(attributes[name], functions)


def _value(value: Any, functions: Mapping[str, str]) -> str:
    called = [value.func] if value.HasField("func") else list(value.list.func)
    if not called:
        return _digest(value.SerializeToString(deterministic=True))
    return _digest(
        *(_digest(functions.get(each.name, each.name), *_attributes(each.attr, functions)) for each in called)
    )


def _node(reference: str) -> str:
    """The name in "name", "name:0", "name:output:0" or "^name"."""
    return reference.removeprefix("^").partition(":")[0]


def _input(reference: str, digests: Mapping[str, str]) -> str:
    """An output of a node: its digest, and which of its outputs."""
    name, _, output = reference.partition(":")
    return _digest(digests[name], output or "0")
