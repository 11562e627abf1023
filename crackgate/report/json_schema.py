"""The schema of `report.json`, printed when run as a module: the content of `docs/report.schema.json`."""

import json

from crackgate.report.content import Report


def report_schema() -> str:
    """The JSON Schema (draft 2020-12), a line feed at its end."""
    return json.dumps(Report.model_json_schema(mode="serialization"), indent=2) + "\n"


if __name__ == "__main__":
    print(report_schema(), end="")
