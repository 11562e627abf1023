"""Settings of the service, checked. Without heavy imports, so that errors are instant."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path

from crackgate.contracts.engine_choice import EngineChoice
from crackgate.releases.records import State
from crackgate.releases.signatures import PublicKey


class SettingsError(ValueError):
    """The service cannot start like this."""


@dataclass(frozen=True)
class Limits:
    """Limits of requests; the defaults suit a laptop.

    Attributes:
        request_bytes: Size of one request's body; `buffered_bytes` bounds all bodies that are held at one time.
        queued_images: Images that may wait, with `queued_pixels` in all; more are refused.
        batch_images: Images that are scored together, with `batch_pixels` in all, or one image.
        large_pixels: Images of so many pixels or more wait in a queue of their own, so that others don't wait for them.
        batch_wait: Seconds that a batch waits for requests that are being read.
        receive_seconds: Time for a client to send its request.
        answer_seconds: Time for an answer, once the request is there.
    """

    request_bytes: int = 32 * 2**20
    buffered_bytes: int = 48 * 2**20
    queued_images: int = 256
    queued_pixels: int = 2_000_000_000
    batch_images: int = 32
    batch_pixels: int = 50_000_000
    large_pixels: int = 4_000_000
    batch_wait: float = 0.003
    receive_seconds: float = 20
    answer_seconds: float = 30
    connections: int = 512


@dataclass(frozen=True)
class ServiceSettings:
    """The service's settings.

    Attributes:
        folder: Serving directory, whose newest version answers; or, with `is_one_version`, the folder of one version.
        state: The newest version in this state answers, released or staged.
        public_key: Must have signed the version that answers; see `crackgate.releases.verify`.
        port: Port of HTTP; 0 takes any free one, as for gRPC, where None means no gRPC.
        name: Name of the model, in the paths.
        token: Clients have to send it; None lets everybody in.
        engine: Computes the scores.
        poll_seconds: Time between two looks at the serving directory.
    """

    folder: Path
    is_one_version: bool = False
    state: State = State.RELEASED
    public_key: PublicKey | None = None
    host: str = "127.0.0.1"
    port: int = 8501
    grpc_port: int | None = None
    name: str = "crackgate"
    token: bytes | None = field(default=None, repr=False)
    engine: EngineChoice = EngineChoice.FASTEST
    poll_seconds: float = 1
    limits: Limits = Limits()


def check_exposure(host: str, token: bytes | None, without_token: bool) -> None:
    """Raises SettingsError where others than this machine's users could ask without a token, unless `without_token`."""
    if token is not None or without_token or is_loopback(host):
        return
    raise SettingsError(
        f"--host {host} opens the service to everybody who can reach this machine, and no token keeps them out: they "
        "could keep it busy and learn what the model lets through. Give --token-file or --token-env, or, where "
        "something in front of it checks who asks, say --without-token"
    )


def check_name(name: str) -> None:
    """Raises SettingsError for a model's name that TensorFlow Serving's paths cannot hold."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise SettingsError(f"--name: received {name!r}; allowed are letters, digits, '_', '-' and '.'")


def read_token(file: Path | None, variable: str | None, environment: dict[str, str]) -> bytes | None:
    """The token that clients have to send; None when neither a file nor a variable is given.

    Args:
        file: Holds it; white space around it does not count.
        variable: Name of the variable in `environment` that holds it.

    Raises:
        SettingsError: Both are given, there is no such file or variable, or the token is none.
    """
    if file is None and variable is None:
        return None
    if file is not None and variable is not None:
        raise SettingsError("received --token-file and --token-env: give one of them")
    if file is not None:
        source = f"the file {str(file)!r}"
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"--token-file: cannot read {source}: {error}") from None
    else:
        source = f"the environment variable {variable!r}"
        token = environment.get(variable or "", "").strip()
    if not re.fullmatch(r"[A-Za-z0-9._~+/-]{16,}=*", token):
        raise SettingsError(
            f"{source} holds no token: at least 16 letters, digits and '-._~+/' are needed (RFC 6750), {len(token)} "
            "characters were found; make one with 'openssl rand -hex 32'"
        )
    return token.encode()


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, for itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost" or host.lower().endswith(".localhost")
