"""The checks and requirements as test cases, in the format that JUnit made common and CI systems read."""

from xml.etree import ElementTree

from crackgate.contracts.evaluation import Evaluation, Outcome
from crackgate.contracts.serving_findings import ServingFindings
from crackgate.contracts.verdict import Verdict
from crackgate.gate.wording import say_required, say_requirement, say_subject
from crackgate.pages.shown_text import show
from crackgate.report.content import Check, CheckOutcome, Report


def render_gates(report: Report) -> str:
    """Renders four suites: the data's checks, the gate's requirements, the serving check, and the run itself.

    A requirement without enough images counts as skipped. Only an exit code other than 0 has a failure or an error.
    """
    suites = ElementTree.Element("testsuites", name=f"crackgate {report.run.run_id}")
    data = _suite(suites, "data", report)
    for check in report.checks:
        _add_check(data, check)
    _add_gate(_suite(suites, "gate", report), report.run.evaluation)
    _add_serving(_suite(suites, "serving", report), report.run.serving)
    _add_run(_suite(suites, "run", report), report)
    for suite in suites:
        cases = list(suite)
        suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.2f}")
        suite.set("tests", str(len(cases)))
        for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(parent: ElementTree.Element, name: str, report: Report) -> ElementTree.Element:
    # Without its offset from UTC, which the format does not know.
    timestamp = report.run.started[:19]
    return ElementTree.SubElement(parent, "testsuite", name=name, timestamp=timestamp)


def _add_check(suite: ElementTree.Element, check: Check) -> None:
    case = _case(suite, "data", f"{check.component}: {check.expectation}")
    if check.outcome in (CheckOutcome.FAILED, CheckOutcome.ERROR):
        _say(case, "failure" if check.outcome == CheckOutcome.FAILED else "error", check.findings)
    elif check.outcome == CheckOutcome.SKIPPED:
        _say(case, "skipped", ["the run ended before"])


def _add_gate(suite: ElementTree.Element, evaluation: Evaluation | None) -> None:
    for requirement in evaluation.requirements if evaluation else []:
        case = _case(suite, "gate", f"{say_subject(requirement)} {say_required(requirement)}")
        if requirement.outcome == Outcome.FAILED:
            _say(case, "failure", [say_requirement(requirement)])
        elif requirement.outcome == Outcome.WARNED:
            _say(case, "skipped", [f"too few images to decide on: {say_requirement(requirement)}"])
    if evaluation is None:
        _say(_case(suite, "gate", "requirements"), "skipped", ["the run ended before"])


def _add_serving(suite: ElementTree.Element, found: ServingFindings | None) -> None:
    for check in found.checks if found else []:
        case = _case(suite, "serving", check.name)
        if check.outcome != "passed":
            _say(case, "failure" if check.outcome == "failed" else "skipped", [check.detail])
    if found is None:
        _say(_case(suite, "serving", "checks"), "skipped", ["the run ended before"])


def _add_run(suite: ElementTree.Element, report: Report) -> None:
    case = _case(suite, "run", "verdict", report.run.seconds)
    if report.run.verdict == Verdict.FAILED:
        _say(case, "error", report.explanation)
    elif report.run.exit_code:
        _say(case, "failure", report.explanation)


def _case(suite: ElementTree.Element, group: str, name: str, seconds: float = 0) -> ElementTree.Element:
    return ElementTree.SubElement(
        suite, "testcase", classname=f"crackgate.{group}", name=show(name), time=f"{seconds:.2f}"
    )


# XML cannot hold most control characters: `show` writes them out.
def _say(case: ElementTree.Element, tag: str, sentences: list[str]) -> None:
    said = ElementTree.SubElement(case, tag, message=show(sentences[0]) if sentences else "", type=tag)
    said.text = "\n".join(map(show, sentences))
