"""Functions of the user's own, which the configuration names as "package.module:function"."""

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from crackgate.source_digest import PACKAGES, own_digest

_FORM = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


class OwnCodeError(ValueError):
    """A function of the user's own, or the model that it returns, cannot be used; the message names the field."""


def is_own(name: str) -> bool:
    """Whether a name in the configuration is one of a function, and not of something that comes with crackgate."""
    return ":" in name


def check_form(name: str) -> None:
    """Raises ValueError unless a name has the form of a function's."""
    if not _FORM.fullmatch(name):
        raise ValueError("a function of your own is written package.module:function, for example my_models.small:build")


@contextmanager
def importable_here() -> Iterator[None]:
    """Modules in the current folder come first, as they do for a script in it."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


def call_own(field: str, name: str, **arguments: Any) -> Any:
    """Imports the function that a field of the configuration names, and calls it.

    The current folder is searched first, then Python's path. OwnCodeError says what is wrong with the function; an
    error of its own is its cause.
    """
    with importable_here():
        function = _import(field, name)
        try:
            return function(**arguments)
        except Exception as error:
            call = f"{name.partition(':')[2]}({', '.join(f'{key}={value!r}' for key, value in arguments.items())})"
            raise OwnCodeError(f"{field}: {call} of {name!r} raised {type(error).__name__}: {error}") from error


def import_own(field: str, name: str) -> None:
    """Imports the function's module, which registers its Keras layers; raises OwnCodeError as `call_own` does."""
    with importable_here():
        _import(field, name)


def digest_own(functions: dict[str, str]) -> list[str]:
    """Digests of the sources of functions, given by the field that names them; OwnCodeError where there are none."""
    digests = []
    for field, name in functions.items():
        try:
            digests.append(own_digest(name.partition(":")[0]))
        except ModuleNotFoundError as error:
            raise _missing(field, name, error) from error
        except SyntaxError as error:
            raise _broken(field, name, error) from error
    return digests


def _import(field: str, name: str) -> Callable[..., Any]:
    module_name, _, function_name = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _broken(field, name, error) from error
        raise _missing(field, name, error) from error
    except Exception as error:
        raise _broken(field, name, error) from error
    function = getattr(module, function_name, None)
    if callable(function):
        return function
    if function is not None:
        raise OwnCodeError(f"{field}: received {name!r}, which is no function but a {type(function).__name__}")
    names = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
    close = get_close_matches(function_name, names)
    hint = f": did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise OwnCodeError(f"{field}: received {name!r}, but {module.__file__} has no {function_name!r}{hint}")


def not_storable(field: str, name: str, error: Exception) -> OwnCodeError:
    """The error for a Keras model that cannot be made from its configuration, with what Keras says of it."""
    # Keras adds whole configurations before and after it.
    reason = str(error).rpartition("Exception encountered: ")[2].partition(" Full object config:")[0].rstrip(".")
    return OwnCodeError(
        f"{field}: the model of {name!r} cannot be stored and loaded: {reason}. Give each layer of your own get_config "
        "and @keras.saving.register_keras_serializable(), and use layers in place of Lambda"
    )


def _missing(field: str, name: str, error: ModuleNotFoundError) -> OwnCodeError:
    top = name.partition(".")[0]
    where = (
        f"crackgate's own package {top!r} has no such module: rename yours"
        if top in PACKAGES
        else f"there is no module {error.name!r} in the current folder ({os.getcwd()}), and it is not installed: start "
        "crackgate from the folder that holds it, or install its package"
    )
    return OwnCodeError(f"{field}: received {name!r}, but {where}")


def _broken(field: str, name: str, error: Exception) -> OwnCodeError:
    return OwnCodeError(
        f"{field}: the module of {name!r} cannot be imported, it raised {type(error).__name__}: {error}"
    )
