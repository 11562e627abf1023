"""The report of a run: report.html, report.json, gates.xml and the model card."""
