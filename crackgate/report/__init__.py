"""What a run leaves behind for people and for machines: report.html, report.json, gates.xml and the model card."""
