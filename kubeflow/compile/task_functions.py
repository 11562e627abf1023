"""The three kinds of tasks as KFP's lightweight components: only the functions' source enters pipeline.yaml."""

from kfp import dsl


def node(
    summary: dsl.Output[dsl.Markdown],
    node: str,
    ir: str,
    sources: str,
    run_id: str,
    workspace: str,
    data: str,
    serving: str,
) -> None:
    """Runs one TFX node."""
    import logging

    # kfp's executor would print the hundreds of log lines of TFX's imports.
    logging.getLogger().setLevel(logging.WARNING)
    from kubeflow.task.imports import import_launcher

    import_launcher(node)
    from kubeflow.task.node import run_and_describe
    from kubeflow.task.parameters import RunParameters

    text = run_and_describe(node, ir, sources, run_id, RunParameters(workspace, data, serving))
    with open(summary.path, "w", encoding="utf-8") as file:
        file.write(text)


def verdict(
    summary: dsl.Output[dsl.Markdown], definition: str, run_id: str, workspace: str, data: str, serving: str
) -> None:
    """Fails the run when nothing was released."""
    import logging

    # kfp's executor would print the hundreds of log lines of TFX's imports.
    logging.getLogger().setLevel(logging.WARNING)
    from kubeflow.task.imports import import_launcher

    import_launcher("Verdict")
    from kubeflow.task.parameters import RunParameters
    from kubeflow.task.verdict import give_verdict

    text = give_verdict(definition, run_id, RunParameters(workspace, data, serving))
    with open(summary.path, "w", encoding="utf-8") as file:
        file.write(text)


def report(
    summary: dsl.Output[dsl.Markdown],
    metrics: dsl.Output[dsl.Metrics],
    page: dsl.Output[dsl.HTML],
    status: dsl.PipelineTaskFinalStatus,
    definition: str,
    run_id: str,
    workspace: str,
    data: str,
    serving: str,
) -> None:
    """Always runs: writes the report, and fails when the run broke down or its verdict is in doubt."""
    import logging

    # kfp's executor would print the hundreds of log lines of TFX's imports.
    logging.getLogger().setLevel(logging.WARNING)
    from kubeflow.task.imports import import_launcher

    import_launcher("Report")
    from kubeflow.task.parameters import RunParameters
    from kubeflow.task.verdict import publish_report

    run = RunParameters(workspace, data, serving)
    values = publish_report(definition, run_id, run, status.state, summary.path, page.path)
    for name, value in values.items():
        metrics.log_metric(name, value)
