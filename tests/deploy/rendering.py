"""Renders the chart with Helm's own library; runs in its environment and prints JSON."""

from __future__ import annotations

import json
import sys

import helm_python as helm  # type: ignore[import-not-found]
import yaml


def main() -> None:
    """`rendering.py CHART lint` or `rendering.py CHART render VALUES`."""
    chart, what = sys.argv[1:3]
    if what == "lint":
        print(json.dumps(helm.lint(chart)))
        return
    with helm.Chart.load(chart) as loaded:
        files = loaded.render(json.loads(sys.argv[3]), name="pw", namespace="patchwright")
    objects = [
        found
        for name, text in files.items()
        if not name.endswith(".txt")
        for found in yaml.safe_load_all(text)
        if found
    ]
    notes = next(text for name, text in files.items() if name.endswith("NOTES.txt"))
    print(json.dumps({"objects": objects, "notes": notes}))


main()
