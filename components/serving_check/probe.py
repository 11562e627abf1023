"""Sends an exported model all requests of serving, as a program with nothing but TensorFlow.

    python -I probe.py [PACKAGE ...]

Standard input is the plan, JSON, described in `executor`; it names the file of the result, JSON as well. A failed check
is recorded, and the next one follows. A model that does not load, crashes or hangs leaves a partial result or none. The
PACKAGEs cannot be imported.
"""

import base64
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any


class _Refused:
    """Keeps the project's code out of this process, however it is installed."""

    def __init__(self, packages: tuple[str, ...]):
        self._packages = packages

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:  # noqa: ARG002
        if name.partition(".")[0] in self._packages:
            raise ImportError(f"the model needs {name}, the project's own code: a model server has none of it")


def main(*forbidden: str) -> None:
    """Runs all checks and writes the result after each, so that a crash shows its place."""
    sys.meta_path.insert(0, _Refused(forbidden))
    # Model servers lack Keras. TensorFlow takes None for a Keras that is not installed.
    sys.modules |= {"keras": None, "tf_keras": None}  # type: ignore[dict-item]
    # The imports and the model leave nothing to collect.
    gc.disable()
    # The import precedes the plan, since it takes seconds, and follows the ban, which binds TensorFlow too.
    # The import takes no device from the process that may still need it.
    import tensorflow  # noqa: F401

    given = sys.stdin.buffer.read()
    # The other process has ended, or has no model to check.
    if not given:
        return
    plan = json.loads(given)
    result_file = Path(plan["result"])
    # The model may write into a folder of its own.
    os.chdir(result_file.parent)
    Probe(plan, result_file).ask_everything()
    # Python's end would collect all the same, for most of a second.
    gc.freeze()


class Probe:
    """One model and its expected output."""

    def __init__(self, plan: dict[str, Any], result_file: Path):
        import numpy as np
        import tensorflow as tf

        self._np, self._tf, self._plan, self._result_file = np, tf, plan, result_file
        self._checks: list[dict[str, str]] = []
        self._metrics: dict[str, float] = {}
        self._outputs: dict[str, Any] = {}
        self._signatures: Any = None
        self._model: Any = None
        self._stored_answer: Future[dict[str, Any]]
        self._bytes_answer: Future[dict[str, Any]]
        self._examples = [tf.train.Example.FromString(record) for record in self._records(plan["reference"])]
        self._images = [example.features.feature[plan["image"]].bytes_list.value[0] for example in self._examples]
        self._scores = np.array(
            [example.features.feature[plan["scores"]].float_list.value for example in self._examples], np.float32
        )
        self._unfamiliarity: Any = None
        if plan["unfamiliarity"]:
            stored = [example.features.feature[plan["unfamiliarity"]].float_list.value for example in self._examples]
            self._unfamiliarity = np.array(stored, np.float32)[:, 0]

    def ask_everything(self) -> None:
        """Runs the checks so that a fault explains later ones; a model that does not load ends them."""
        if not self._check("it loads", self._load):
            return
        if not self._check("signatures", self._compare_signatures):
            return
        self._check("both signatures at once", self._ask_both)
        self._check("scores of stored examples", self._compare_stored)
        self._check("scores of image bytes", self._compare_bytes)
        self._check("one image at a time", self._compare_single)
        self._check("empty batch", self._ask_nothing)
        self._check("JPEG and PNG bytes", self._compare_formats)
        self._check("damaged images", self._ask_damaged)
        self._check("model version", self._compare_version)
        self._check("warm-up requests", self._replay_warmup)
        self._check("latency", self._measure)

    def _check(self, name: str, question: Callable[[], str]) -> bool:
        """Runs one check; the detail tells its result or its fault."""
        self._write(asking=name)
        try:
            outcome, detail = "passed", question()
        except AssertionError as wrong:
            outcome, detail = "failed", str(wrong)
        except Exception as error:
            traceback.print_exc()
            outcome, detail = "failed", f"{type(error).__name__}: {str(error).strip()[:500]}"
        self._checks.append({"name": name, "outcome": outcome, "detail": detail})
        self._write(asking="")
        return outcome == "passed"

    def _write(self, asking: str) -> None:
        self._metrics["peak_memory_mib"] = _peak_memory_mib()
        result = {
            "checks": self._checks,
            "metrics": self._metrics,
            "outputs": self._outputs,
            "asking": asking,
        }
        partial = self._result_file.with_suffix(".partial")
        partial.write_text(json.dumps(result), encoding="utf-8")
        partial.replace(self._result_file)

    def _load(self) -> str:
        started = time.perf_counter()
        self._model = self._tf.saved_model.load(self._plan["model"])
        self._signatures = self._model.signatures
        self._metrics["load_seconds"] = time.perf_counter() - started
        return f"in {self._metrics['load_seconds']:.1f} s"

    def _compare_signatures(self) -> str:
        found = sorted(self._signatures)
        wanted = sorted(self._plan["inputs"])
        assert found == wanted, f"there are {_names(found)}; there have to be {_names(wanted)}"
        for name, argument in self._plan["inputs"].items():
            _, arguments = self._signatures[name].structured_input_signature
            taken = {key: self._describe(spec) for key, spec in arguments.items()}
            assert taken == {argument: "string (N)"}, f"{name} takes {taken}; it has to take {argument}: string (N)"
            given = {key: self._describe(spec) for key, spec in self._signatures[name].structured_outputs.items()}
            wrong = [
                f"{key}: {given.get(key, 'nothing')} instead of {kind}"
                for key, kind in self._plan["outputs"].items()
                if given.get(key) != kind
            ]
            more = sorted(given.keys() - self._plan["outputs"].keys())
            assert not wrong and not more, f"{name} gives " + ", ".join(wrong + [f"also {key!r}" for key in more])
        return f"{' and '.join(wanted)} take and give what they should"

    def _describe(self, spec: Any) -> str:
        sides = ["N" if side is None else str(side) for side in spec.shape.as_list()]
        return f"{spec.dtype.name} ({', '.join(sides)})"

    def _ask_both(self) -> str:
        """Calls both signatures from two threads, as callers do; the first call takes longest."""
        with ThreadPoolExecutor(2) as callers:
            self._stored_answer = callers.submit(self._ask, "serving_default", self._stored(self._images))
            self._bytes_answer = callers.submit(self._ask, "predict_images", self._images)
        return f"{len(self._images)} images each"

    def _compare_stored(self) -> str:
        return self._compare(self._stored_answer.result())

    def _compare_bytes(self) -> str:
        answer = self._bytes_answer.result()
        with_gpu = self._tf.config.list_physical_devices("GPU")
        outputs = self._ask_cpu() if with_gpu else answer
        self._outputs = {name: outputs[name].tolist() for name in ("scores", "unfamiliarity") if name in outputs}
        return self._compare(answer)

    def _ask_cpu(self) -> dict[str, Any]:
        """The stored network runs on a CPU, and a GPU may round to fewer bits."""
        with self._tf.device("/CPU:0"):
            return self._ask("predict_images", self._images)

    def _compare_single(self) -> str:
        few = self._images[: self._plan["single"]]
        furthest = 0.0
        for name in self._plan["inputs"]:
            for row, image in enumerate(few):
                answer = self._ask(name, self._stored([image]) if name == "serving_default" else [image])
                furthest = max(furthest, self._distance(answer, slice(row, row + 1)))
        return f"{len(few)} images by both signatures, at most {furthest:.1g} from the recorded scores"

    def _ask_nothing(self) -> str:
        for name in self._plan["inputs"]:
            answer = self._ask(name, [])
            shape = answer["scores"].shape
            assert shape == (0, self._scores.shape[1]), f"{name} gives scores of shape {shape} for no image"
        return "answered with nothing"

    def _compare_formats(self) -> str:
        """Compares both formats: a PNG file holds the pixels of a stored image without loss."""
        tf = self._tf
        pixels = [
            tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE")
            if bool(tf.io.is_jpeg(image))
            else tf.io.decode_png(image, channels=3)
            for image in self._images[: self._plan["single"]]
        ]
        answer = self._ask("predict_images", [tf.io.encode_png(image).numpy() for image in pixels])
        furthest = self._distance(answer, slice(0, len(pixels)))
        jpeg = [tf.io.encode_jpeg(image, quality=95).numpy() for image in pixels]
        decoded = [tf.io.decode_jpeg(image, channels=3, dct_method="INTEGER_ACCURATE") for image in jpeg]
        as_png = self._ask("predict_images", [tf.io.encode_png(image).numpy() for image in decoded])
        as_jpeg = self._ask("predict_images", jpeg)
        apart = float(self._np.abs(as_jpeg["scores"] - as_png["scores"]).max())
        assert apart <= self._plan["tolerance"], f"the same pixels as JPEG and as PNG are scored {apart:.2g} apart"
        return f"PNG at most {furthest:.1g} from the recorded scores, JPEG {apart:.1g} from PNG"

    def _ask_damaged(self) -> str:
        np = self._np
        good = self._images[0]
        damaged = [b"", b"not an image", good[: len(good) // 2]]
        batch = [good, *damaged, self._images[-1]]
        for name in self._plan["inputs"]:
            stored = name == "serving_default"
            rows = [*self._stored(batch), b"\xff not an example"] if stored else batch
            failed = np.array([False, True, True, True, False] + [True] * stored)
            answer = self._ask(name, rows, errors=None)
            has_error = answer["error"] != b""
            assert (has_error == failed).all(), (
                f"of {len(rows)} rows, {name} gives errors for {np.flatnonzero(has_error).tolist()}; damaged are "
                f"{np.flatnonzero(failed).tolist()}"
            )
            assert not answer["scores"][failed].any(), f"{name} gives scores for images that it cannot decode"
            if self._unfamiliarity is not None:
                assert not answer["unfamiliarity"][failed].any(), f"{name} gives damaged images an unfamiliarity"
            if "is_positive" in answer:
                assert answer["is_positive"][failed].all(), f"{name} waves damaged images through"
            apart = float(np.abs(answer["scores"][[0, 4]] - self._scores[[0, -1]]).max())
            assert apart <= self._plan["tolerance"], f"beside damaged images, {name} scores good ones {apart:.2g} off"
        return "each fails its own row only"

    def _compare_version(self) -> str:
        written = (Path(self._plan["model"]) / self._plan["version_file"]).read_text(encoding="utf-8").strip()
        for name in self._plan["inputs"]:
            images = self._images[:2]
            answer = self._ask(name, self._stored(images) if name == "serving_default" else images)
            given = sorted({version.decode() for version in answer["model_version"]})
            assert given == [written], f"{name} gives {_names(given)}; {self._plan['version_file']} says {written!r}"
        return written

    def _replay_warmup(self) -> str:
        requests = self._plan["warmup"]
        assert requests, f"there are none in {self._plan['warmup_file']}: the first callers would wait"
        asked = {request["signature"] for request in requests}
        missing = sorted(self._plan["inputs"].keys() - asked)
        assert not missing, f"there are none for {_names(missing)}"
        for request in requests:
            argument = self._plan["inputs"].get(request["signature"])
            assert request["input"] == argument, f"one is for {request['signature']}, input {request['input']!r}"
            self._ask(request["signature"], [base64.b64decode(value) for value in request["values"]])
        return f"{len(requests)} answered"

    def _measure(self) -> str:
        """Milliseconds of one call of `predict_images`, with one image and with many."""
        np = self._np
        many = (self._images * -(-self._plan["many"] // len(self._images)))[: self._plan["many"]]
        for label, batch in (("one", self._images[:1]), ("many", many)):
            times: list[float] = []
            ends = time.perf_counter() + self._plan["measure_seconds"]
            while len(times) < self._plan["measured_calls"] and (len(times) < 3 or time.perf_counter() < ends):
                started = time.perf_counter()
                self._ask("predict_images", batch)
                times.append(1000 * (time.perf_counter() - started))
            for percentile in (50, 99):
                self._metrics[f"p{percentile}_ms_{label}"] = float(np.percentile(times, percentile))
        return (
            f"one image p50 {self._metrics['p50_ms_one']:.1f} ms, p99 {self._metrics['p99_ms_one']:.1f} ms; "
            f"{len(many)} images p50 {self._metrics['p50_ms_many']:.1f} ms, p99 {self._metrics['p99_ms_many']:.1f} ms"
        )

    def _compare(self, answer: dict[str, Any]) -> str:
        np, classes = self._np, self._plan["classes"]
        furthest = self._distance(answer, slice(None))
        unknown = sorted({label.decode() for label in answer["label"]} - set(classes))
        assert not unknown, f"labels {_names(unknown)}; classes are {_names(classes)}"
        labels = np.array([classes.index(label.decode()) for label in answer["label"]])
        own = answer["scores"][np.arange(len(labels)), labels]
        assert np.array_equal(own, answer["probability"]), "probability is not the label's score"
        if "is_positive" in answer:
            positive = np.isin(labels, [classes.index(name) for name in self._plan["positive_classes"]])
            assert (positive == answer["is_positive"]).all(), "is_positive and label contradict each other"
        return f"{len(labels)} images, at most {furthest:.1g} from the recorded scores"

    def _distance(self, answer: dict[str, Any], rows: slice) -> float:
        wanted = self._scores[rows]
        shape = answer["scores"].shape
        assert shape == wanted.shape, f"scores of shape {shape}; recorded are {wanted.shape}"
        distance = self._np.abs(answer["scores"] - wanted)
        furthest = float(distance.max())
        # `>` would be false for NaN.
        assert furthest <= self._plan["tolerance"], (
            f"scores are up to {furthest:.2g} from those recorded at training; allowed are {self._plan['tolerance']:g}"
        )
        if self._unfamiliarity is not None:
            self._compare_unfamiliarity(answer["unfamiliarity"], self._unfamiliarity[rows])
        return furthest

    def _compare_unfamiliarity(self, given: Any, recorded: Any) -> None:
        furthest = float((self._np.abs(given - recorded) / self._np.maximum(recorded, 1)).max())
        allowed = self._plan["unfamiliarity_tolerance"]
        assert furthest <= allowed, (
            f"unfamiliarity is up to {furthest:.2g} from what was recorded at training; allowed are {allowed:g}"
        )

    def _ask(self, name: str, rows: list[bytes], errors: bytes | None = b"") -> dict[str, Any]:
        """Calls one signature; every row's error must equal `errors`, if that is not None."""
        tf = self._tf
        answer = self._signatures[name](**{self._plan["inputs"][name]: tf.constant(rows, tf.string, (len(rows),))})
        given = {key: value.numpy() for key, value in answer.items()}
        short = {key: len(value) for key, value in given.items() if len(value) != len(rows)}
        assert not short, f"{name} gives other numbers of rows for {len(rows)} images: {short}"
        if errors is not None:
            said = sorted({error.decode() for error in given["error"] if error != errors})
            assert not said, f"{name} refuses good images: {_names(said)}"
        return given

    def _stored(self, images: list[bytes]) -> list[bytes]:
        tf = self._tf
        features = [
            tf.train.Features(
                feature={self._plan["image"]: tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))}
            )
            for image in images
        ]
        return [tf.train.Example(features=feature).SerializeToString() for feature in features]

    def _records(self, file: str) -> list[bytes]:
        return list(self._tf.data.TFRecordDataset([file], "GZIP").as_numpy_iterator())


def _names(values: list[str]) -> str:
    return ", ".join(map(repr, values)) or "none"


def _peak_memory_mib() -> float:
    """Most resident memory of this program: `getrusage` would count its parent's, too."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("/proc/self/status has no VmHWM: the peak memory is not known on this system")


if __name__ == "__main__":
    main(*sys.argv[1:])
