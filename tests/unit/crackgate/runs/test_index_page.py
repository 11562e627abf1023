"""The page of all runs, in a file and in a browser."""

import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from crackgate.contracts.evaluation import MetricValue
from crackgate.contracts.verdict import Verdict
from crackgate_cli.main import app
from tests.helpers.browser import open_browser
from tests.helpers.parsed_page import ParsedPage
from tests.helpers.recorded_runs import RecordedRuns

RUNS = ("20261122-160000", "20261122-160100", "20261122-160200", "20261122-160300")


def metrics(accuracy: float) -> list[MetricValue]:
    recall = MetricValue(metric="recall", label="Positive", value=None)
    return [MetricValue(metric="accuracy", value=accuracy, low=accuracy - 0.02, high=accuracy + 0.01), recall]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two releases on the same images, a refused run on others, and one that was stopped; some have reports."""
    recorded = RecordedRuns(tmp_path_factory.mktemp("w") / "work #1 <b>")
    first, second, refused, stopped = RUNS
    for minute, (run_id, fingerprint, version) in enumerate(((first, "f1", 7), (second, "f1", 8), (refused, "f2", 0))):
        recorded.begin(run_id)
        examples = recorded.ingest(run_id, fingerprint)
        recorded.judge(run_id, examples, recorded.train(run_id, examples), version=version)
        verdict = Verdict.RELEASED if version else Verdict.REFUSED
        recorded.summarize(
            run_id, verdict, f"train.views={minute + 1}", metrics=metrics(0.9 + minute / 100), minute=minute
        )
        (recorded.workspace.runs / run_id / "report.html").write_text(run_id)
    recorded.summarize(stopped, Verdict.DATA_REJECTED, minute=3)
    call(
        recorded.workspace.root,
        "note",
        second,
        "<i>wet</i>\x1b[2J",
        "--name",
        'rain "B" <img src=x>',
        "--tag",
        "Straße bei Nacht",
    )
    return recorded.workspace.root


def call(workspace: Path, *arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["runs", "--workspace", str(workspace), *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def write(workspace: Path, file: Path, *arguments: object) -> ParsedPage:
    assert call(workspace, "--html", file, *arguments).strip().endswith(file.name)
    return ParsedPage(file.read_text(encoding="utf-8"))


@pytest.mark.parametrize("place", ["index.html", "pages/a \u00e9 #/index.html"], ids=["workspace", "elsewhere"])
def test_links_lead_to_the_reports_from_wherever_the_page_lies(place: str, workspace: Path, tmp_path: Path) -> None:
    file = (workspace if place == "index.html" else tmp_path) / place
    file.parent.mkdir(parents=True, exist_ok=True)
    page = write(workspace, file)
    links = [unquote(str(link["href"])) for link in page.of("a") if not str(link["href"]).startswith("#")]
    assert all((file.parent / link).is_file() for link in links), "nothing that is gone is linked"
    reports = {(file.parent / link).read_text() for link in links if link.endswith("report.html")}
    assert reports == set(RUNS[:3])
    assert sum(link.endswith("summary.json") for link in links) == 4


def test_what_people_wrote_is_shown_as_text_and_found(workspace: Path, tmp_path: Path) -> None:
    page = write(workspace, tmp_path / "all.html")
    assert "<i>wet</i>" in page.text and 'rain "B" <img src=x>' in page.text and r"\x1b[2J" in page.text
    assert not [image for image in page.of("img") if image["src"] == "x"] and not page.of("i")
    assert [option["value"] for option in page.of("option")] == list("0123") * 2
    # Accuracy has a line of two releases, the recall that could not be computed has none.
    (drawing,) = page.of("img")
    assert drawing["alt"] == "accuracy by release. version 7: 0.9000; version 8: 0.9100."
    assert page.text.count("in production") >= 2
    few = write(workspace, tmp_path / "few.html", "--filter", "NACHT")
    assert len(few.of("option")) == 2 and "Two releases make a line" in few.text
    none = write(workspace, tmp_path / "none.html", "--filter", "nothing like it")
    assert not none.of("option")


def test_a_run_that_goes_on_has_no_colour_of_a_verdict(tmp_path: Path) -> None:
    recorded = RecordedRuns(tmp_path)
    recorded.begin(RUNS[0])
    with recorded.workspace.locked():
        running = write(tmp_path, tmp_path / "index.html").of("td")[0]
    cut_off = write(tmp_path, tmp_path / "index.html").of("td")[0]
    assert str(running["class"]).split() == ["text"] and "refused" in str(cut_off["class"])


def test_a_page_that_cannot_be_written_is_said(workspace: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "nowhere" / "index.html", tmp_path):
        assert "--html: cannot write" in call(workspace, "--html", file, code=2)
    for other, *run in (("--json",), ("show", "latest")):
        told = call(workspace, "--html", tmp_path / "index.html", other, *run, code=2)
        assert f"received --html and {other}: give one of the two" in told
    assert not (tmp_path / "index.html").exists()


def test_a_browser_filters_the_runs_and_puts_two_side_by_side(workspace: Path, tmp_path: Path) -> None:
    write(workspace, tmp_path / "index.html")
    with open_browser(tmp_path) as page:
        page.open((tmp_path / "index.html").as_uri())

        def choose(element: str, value: str, event: str) -> None:
            page.evaluate(f"{element}.value = {json.dumps(value)}; {element}.dispatchEvent(new Event({event!r}))")

        names = "[...document.querySelectorAll('#runs tr:not([hidden]) th')]"
        shown = f"{names}.map((cell) => cell.firstChild.textContent.trim()).join()"
        assert page.evaluate("count.value") == "4 of 4"
        choose("words", "Straße NACHT wet", "input")
        assert "rain" in page.evaluate(shown) and page.evaluate("count.value") == "1 of 4"
        choose("words", "data rejected", "input")
        assert page.evaluate(shown) == RUNS[3]
        choose("first", "3", "change")
        choose("second", "2", "change")
        said = page.evaluate("pair.innerText")
        assert "Both have the same test images" in said and "+0.0100" in said and "train.views" in said
        choose("second", "1", "change")
        said = page.evaluate("pair.innerText")
        assert "not known to be the same" in said and "difference\n" not in said and "+0.02" not in said
        for width in (1280, 390):
            page.look(width)
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert (page.console, page.asked) == ([], [])
