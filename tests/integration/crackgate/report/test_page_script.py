"""What the script of report.html does, in a real browser under the page's own policy."""

from collections.abc import Iterator

import pytest

from crackgate.contracts.doubtful_label import DoubtfulLabel, DoubtfulLabels
from crackgate.report.page import render_page
from tests.helpers.browser import Page, open_browser
from tests.helpers.filled_summary import POSITIVE, fill_summary
from tests.helpers.made_report import LINKS, PICTURES, make_notable_images, make_report


@pytest.fixture(scope="module")
def browsed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A browser with the page of a model that misclassified some images and doubts some labels."""
    folder = tmp_path_factory.mktemp("browsed")
    summary = fill_summary()
    summary.doubtful_labels = DoubtfulLabels(
        judged=60,
        found=[
            DoubtfulLabel(path=path, split=split, label=POSITIVE, likely="Negative", score=score)
            for path, split, score in (("Positive/a.jpg", "test", 0.8765), ("Positive/z10.jpg", "train", 0.99))
        ],
    )
    images = make_notable_images()
    (wrong,) = images.by_class[POSITIVE]
    sure = wrong.model_copy(update={"path": "Positive/z9.jpg", "label": POSITIVE, "unfamiliarity": 12.5})
    barely = wrong.model_copy(update={"path": "Positive/b.jpg", "label": POSITIVE, "unfamiliarity": 3.0})
    images.listed = {"misclassified": [wrong], "least certain": [barely], "unfamiliar": [sure, barely]}
    report = make_report(summary, images, drawn=True)
    (folder / "report.html").write_text(
        render_page(report, dict.fromkeys(("Positive/a.jpg", "Positive/z10.jpg"), PICTURES), LINKS),
        encoding="utf-8",
    )
    with open_browser(folder) as page:
        page.open((folder / "report.html").as_uri())
        yield page


def _press(page: Page, *keys: str) -> None:
    for key in keys:
        code = {"ArrowRight": 39, "ArrowLeft": 37, "Home": 36, "End": 35}[key]
        for kind in ("keyDown", "keyUp"):
            page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)


def test_the_slider_moves_the_confusion_matrix_by_keyboard(browsed: Page) -> None:
    read = "[...document.querySelectorAll('.threshold td')].map(cell => cell.firstChild.textContent)"
    assert browsed.evaluate(read) == ["25", "5", "3", "27"], "it begins with the model's own decisions"
    browsed.evaluate("document.querySelector('.threshold input').focus()")
    _press(browsed, "ArrowRight")
    assert browsed.evaluate(read) == ["15", "15", "5", "25"]
    said = browsed.evaluate("document.querySelector('.threshold output').textContent")
    assert said.startswith(f"At 0.5000: precision {25 / 40:.4f}, recall {25 / 30:.4f}, F1 {50 / 70:.4f}, ")
    assert said.endswith(f"false positive rate 0.5000, accuracy {40 / 60:.4f}.")
    assert browsed.evaluate("document.querySelector('.threshold input').getAttribute('aria-valuetext')") == "0.5000"
    _press(browsed, "Home")
    assert browsed.evaluate(read) == ["0", "30", "0", "30"]
    _press(browsed, "End")
    assert browsed.evaluate(read) == ["30", "0", "10", "20"]
    browsed.evaluate("document.querySelector('.threshold button').click()")
    assert browsed.evaluate(read) == ["25", "5", "3", "27"]
    assert browsed.evaluate("document.querySelector('.threshold input').labels[0].textContent").startswith(
        "Threshold on the score of Positive"
    )
    assert (browsed.console, browsed.asked) == ([], [])


def test_the_list_of_images_is_sorted_and_filtered(browsed: Page) -> None:
    read = "[...document.querySelectorAll('.sortable tbody tr')].filter(row => !row.hidden).map(row => "
    paths = f"{read}row.cells[0].textContent)"
    first = ["Positive/a.jpg", "Positive/b.jpg", "Positive/z9.jpg", "Positive/z10.jpg"]
    assert browsed.evaluate(paths) == first
    assert browsed.evaluate(f"{read}row.cells[1].textContent)") == [
        "misclassified, label in doubt",
        "least certain, unfamiliar",
        "unfamiliar",
        "label in doubt",
    ]

    def sort(column: int) -> list[str]:
        browsed.evaluate(f"document.querySelectorAll('.sortable th button')[{column}].click()")
        found: list[str] = browsed.evaluate(paths)
        return found

    assert sort(5) == [first[1], first[2], first[0], first[3]], "numbers by size, dashes last"
    assert sort(5) == [first[2], first[1], first[0], first[3]]
    assert sort(0) == first, "z9 before z10"
    assert browsed.evaluate("[...document.querySelectorAll('[aria-sort]')].map(cell => cell.ariaSort)") == ["ascending"]
    change = "(control => (control.value = '{}', control.dispatchEvent(new Event('input'))))"
    for selector, value, expected in (
        ("select", "unfamiliar", [first[1], first[2]]),
        ("input", "Z9", [first[2]]),
        ("select", "", [first[2]]),
        ("input", "", first),
    ):
        browsed.evaluate(f"{change.format(value)}(document.querySelector('form {selector}'))")
        assert browsed.evaluate(paths) == expected
        said = browsed.evaluate("document.querySelector('form output').textContent")
        assert said == f"{len(expected)} of 4 images"
    for link in browsed.evaluate("[...document.querySelectorAll('.sortable a')].map(link => link.hash)"):
        assert browsed.evaluate(f"document.querySelectorAll('{link}').length") == 1


def test_without_scripts_there_are_no_controls_and_the_list_is_whole(browsed: Page) -> None:
    address = browsed.evaluate("location.href")
    browsed.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browsed.call("Page.navigate", url=address)
        shown = "[...document.querySelectorAll('{}')].map(part => part.offsetHeight > 0)"
        browsed.wait_for("document.readyState === 'complete'")
        assert browsed.evaluate(shown.format(".threshold, form")) == [False, False]
        assert browsed.evaluate(shown.format("noscript, .sortable tr")) == [True] * 6
    finally:
        browsed.call("Emulation.setScriptExecutionDisabled", value=False)
