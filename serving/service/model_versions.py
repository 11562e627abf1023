"""The version that answers: the newest of the serving directory, loaded beside the one in production."""

import asyncio
import functools
import logging
import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crackgate.contracts.card import read_card
from crackgate.contracts.engine_choice import EngineChoice
from crackgate.contracts.model_files import MANIFEST_FILE
from crackgate.import_lock import import_alone
from crackgate.model.saved_graph import read_saved_model
from crackgate.releases import State, UntrustedVersionError, check_trusted, held, verify, versions_newest_first
from crackgate.releases.signatures import PublicKey
from serving.service.errors import Code, ServiceError, invalid, shortened
from serving.service.metrics import Metrics

if TYPE_CHECKING:
    from crackgate.model.released_model import ReleasedModel

log = logging.getLogger("crackgate.service")

# Seconds until a refused version, or a serving directory that cannot be read, is looked at again.
_FIRST_WAIT, _LONGEST_WAIT = 30.0, 600.0


class RefusedVersionError(Exception):
    """A version that must not answer; the message says why."""


@dataclass(frozen=True)
class ServedVersion:
    """A version that answers.

    Attributes:
        number: As TensorFlow Serving gives it.
        hold: Keeps its folder from being removed.
    """

    number: int
    model: "ReleasedModel"
    hold: ExitStack

    @functools.cached_property
    def signature_defs(self) -> Any:
        """TensorFlow's protos of the signatures, by name; TensorFlow is imported for them."""
        import_alone("tensorflow")
        return read_saved_model(self.model.place).meta_graphs[0].signature_def


@dataclass(frozen=True)
class VersionStatus:
    """A version's state in TensorFlow Serving's words, and why it was refused, if it was."""

    number: int
    state: str
    error: str = ""


@dataclass(frozen=True)
class Source:
    """A serving directory, whose newest version in a state should answer, or the folder of one version.

    `public_key` must have signed it; see `verify`.
    """

    folder: Path
    is_one_version: bool
    public_key: PublicKey | None = None
    state: State = State.RELEASED

    @property
    def label(self) -> str:
        """The version label, as TensorFlow Serving calls an alias, of the version that answers; "" for one version."""
        if self.is_one_version:
            return ""
        return "staged" if self.state == State.STAGED else "production"

    def newest(self) -> tuple[Path | None, "VersionStatus | None"]:
        """The folder of the version that should answer, and the newest incomplete one above it, if there are any."""
        if self.is_one_version:
            return self.folder, None
        over = None
        for version in versions_newest_first(self.folder, self.state):
            if version.manifest:
                return version.folder, over
            over = over or VersionStatus(version.number, "END", version.problem)
        return None, over

    def check(self, folder: Path) -> None:
        """Raises RefusedVersionError when the folder is not, byte by byte, what was released and signed."""
        try:
            if self._is_unreleased(folder):
                check_trusted(folder, self.public_key)
            elif problems := verify(folder, self.public_key).problems:
                raise RefusedVersionError("; ".join(problems))
        except UntrustedVersionError as error:
            raise RefusedVersionError(str(error)) from None

    def hold(self, folder: Path) -> AbstractContextManager[object]:
        """Keeps the folder from being removed."""
        return nullcontext() if self._is_unreleased(folder) else held(folder)

    def _is_unreleased(self, folder: Path) -> bool:
        return self.is_one_version and not (folder / MANIFEST_FILE).exists()


class ModelVersions:
    """Looks for new versions, and holds the one that answers; a request keeps the version that it began with.

    Attributes:
        served: The version that answers; None while the first one is being loaded.
        loading: The number of the version that is being loaded.
        refused: The version that should answer and does not.
        passed_over: The newest version that is above the one that should answer, and incomplete.
    """

    def __init__(self, source: Source, engine: EngineChoice, poll_seconds: float, metrics: Metrics):
        self._source, self._engine = source, engine
        self._poll_seconds, self._metrics = poll_seconds, metrics
        self.served: ServedVersion | None = None
        self.loading: int | None = None
        self._replaced: dict[int, VersionStatus] = {}
        self.refused: VersionStatus | None = None
        self.passed_over: VersionStatus | None = None
        # The refused folder is looked at again when it has changed, and from time to time: rights may have, too.
        self._refused_mark: object = None
        self._again_at, self._wait = 0.0, _FIRST_WAIT

    def get(self, number: int | None = None, label: str | None = None) -> ServedVersion:
        """The version that answers, which a client may ask for by its number or label.

        Raises:
            ServiceError: There is none yet (UNAVAILABLE), another one answers (NOT_FOUND), or it has no such label
                (INVALID_ARGUMENT).
        """
        if label is not None and label != self._source.label:
            has = f"it answers for {self._source.label!r}" if self._source.label else "a single version has none"
            raise invalid(
                f"version label: received {shortened(label)!r}, which this service does not know: {has}. "
                "'crackgate serve' answers for 'production', 'crackgate serve --model staged' for 'staged'"
            )
        if self.served is None:
            reason = f": version {self.refused.number} was refused: {self.refused.error}" if self.refused else ""
            raise ServiceError(Code.UNAVAILABLE, f"no version is ready to answer yet{reason}; see /readyz", 1)
        if number is not None and number != self.served.number:
            raise ServiceError(
                Code.NOT_FOUND, f"version {number} is not served, version {self.served.number} is: ask for that one"
            )
        return self.served

    def statuses(self) -> list[VersionStatus]:
        """The state of every version that was met, the newest first."""
        known = dict(self._replaced)
        if self.refused is not None:
            known[self.refused.number] = self.refused
        if self.loading is not None:
            known[self.loading] = VersionStatus(self.loading, "LOADING")
        if self.served is not None:
            known[self.served.number] = VersionStatus(self.served.number, "AVAILABLE")
        return [known[number] for number in sorted(known, reverse=True)]

    async def run(self) -> None:
        """Looks for a new version again and again, until it is cancelled."""
        failures = 0
        while True:
            wait = self._poll_seconds
            try:
                await self._look()
                failures = 0
            # Nothing ends the watch: whatever is there may be repaired.
            except Exception as error:
                failures += 1
                wait = min(self._poll_seconds * 2**failures, _LONGEST_WAIT)
                log.warning("cannot look for new versions, again in %.0f s: %r", wait, error)
            await asyncio.sleep(wait)

    async def _look(self) -> None:
        folder, over = await asyncio.to_thread(self._source.newest)
        self._pass_over(over)
        if folder is None:
            self._accept()
            # The one in production stays until another one takes over. One that was staged is so no more.
            if self._source.state == State.STAGED and self.served is not None:
                log.info("version %d is no longer staged, and answers no more", self.served.number)
                self._change_over(None)
            return
        number = _number(folder)
        if self.served is not None and self.served.model.folder == folder:
            self._accept()
            return
        mark = await asyncio.to_thread(_mark, folder)
        known = self.refused is not None and self.refused.number == number and mark == self._refused_mark
        if known and time.monotonic() < self._again_at:
            return
        self.loading = number
        log.info("loading version %d from %s", number, folder)
        started = time.perf_counter()
        try:
            loaded = await asyncio.to_thread(self._load, folder, number)
        # The version in production goes on, whatever is wrong with this one.
        except Exception as error:
            self._refuse(number, mark, str(error) or type(error).__name__, known)
            return
        finally:
            self.loading = None
        self._change_over(loaded)
        self._replaced.pop(number, None)
        self._accept()
        self._metrics.loads.labels("loaded").inc()
        log.info(
            "version %d answers, through %s, after %.1f s", number, loaded.model.engine, time.perf_counter() - started
        )

    def _change_over(self, to: ServedVersion | None) -> None:
        """Lets another version answer, or none; requests under way keep the one that they began with."""
        before, self.served = self.served, to
        if before is not None:
            self._replaced[before.number] = VersionStatus(before.number, "END")
            before.hold.close()
        self._metrics.version.set(0 if to is None else to.number)

    def _load(self, folder: Path, number: int) -> ServedVersion:
        with ExitStack() as hold:
            hold.enter_context(self._source.hold(folder))
            self._source.check(folder)
            # Here: the service listens, and says that it is not ready, before that. TensorFlow does not come with it,
            # so that it waits for no other import of TensorFlow.
            from crackgate.model.released_model import load_released_model

            model = load_released_model(folder, self._engine)
            if said := read_card(folder).scale_note:
                log.warning("version %d: %s", number, said)
            return ServedVersion(number, model, hold.pop_all())

    def _accept(self) -> None:
        self.refused = None
        self._metrics.refused_version.set(0)

    def _pass_over(self, over: VersionStatus | None) -> None:
        if over is not None and over != self.passed_over:
            log.warning("version %d is passed over: %s", over.number, over.error)
        self.passed_over = over
        self._metrics.passed_over_version.set(0 if over is None else over.number)

    def _refuse(self, number: int, mark: object, reason: str, again: bool) -> None:
        said = self.refused is not None and self.refused.error == reason
        self.refused, self._refused_mark = VersionStatus(number, "END", reason), mark
        self._wait = min(2 * self._wait, _LONGEST_WAIT) if again else _FIRST_WAIT
        self._again_at = time.monotonic() + self._wait
        if again and said:
            return
        self._metrics.loads.labels("refused").inc()
        self._metrics.refused_version.set(number)
        goes_on = "none answers" if self.served is None else f"version {self.served.number} goes on"
        log.error("version %d is refused, and %s: %s", number, goes_on, reason)


def _number(folder: Path) -> int:
    # TensorFlow Serving knows numbers only; a model that was never released has none.
    return int(folder.name) if folder.name.isdecimal() else 0


def _mark(folder: Path) -> object:
    """Changes when a file or folder of a version does."""
    marks = []
    for path in (folder, *sorted(folder.rglob("*"))):
        try:
            status = path.lstat()
            marks.append((path, status.st_ino, status.st_mode, status.st_mtime_ns, status.st_size))
        except OSError:
            marks.append((path, 0, 0, 0, 0))
    return marks
