"""The tables of the documentation that follow from the code: keys, figures, error codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from edge_agent.config.reference import entries
from edge_agent.model.tenders import TenderMeans

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"[a-z][a-z0-9_]*")
CHINESE = re.compile(r"[\u4e00-\u9fff]")
MEANS = get_args(TenderMeans)
"""Their names stand in a table like that of errors."""


def config_rows() -> list[str]:
    """Return a row for each key of the configuration."""
    return [
        f"| `{entry.key}` | {entry.takes} | {_default(entry.default)} | {entry.text} |"
        for entry in entries()
    ]


def _default(default: str | None) -> str:
    if default is None:
        return "required"
    return default if default in {"none", "as its keys"} else f"`{default}`"


def error_texts() -> dict[str, list[tuple[str, str]]]:
    """Return the Chinese and English texts of every code in the sources, by code."""
    found: dict[str, list[tuple[str, str]]] = {}
    for package in ("edge_agent", "drivers"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for code, zh, en in _problems(ast.parse(path.read_text(encoding="utf-8"))):
                if (zh, en) not in found.setdefault(code, []):
                    found[code].append((zh, en))
    return found


def _problems(tree: ast.AST) -> Iterator[tuple[str, str, str]]:
    """Yield code and texts wherever they stand together: in a call, or in a table by code."""
    for node in ast.walk(tree):
        rows: list[list[ast.expr]] = []
        if isinstance(node, ast.Call):
            rows = [node.args[-3:]]
        elif isinstance(node, ast.Dict):
            rows = [
                [key, *value.elts]
                for key, value in zip(node.keys, node.values, strict=True)
                if key is not None and isinstance(value, ast.Tuple)
            ]
        for row in rows:
            texts = [part.value for part in row if isinstance(part, ast.Constant)]
            words = [text for text in texts if isinstance(text, str)]
            if (
                len(words) == len(row) == 3
                and CODE.fullmatch(words[0])
                and CHINESE.search(words[1])
                and words[0] not in MEANS
            ):
                yield words[0], words[1], words[2]


def error_rows() -> list[str]:
    """Return a row for each code."""
    return [f"| `{code}` | {zh} | {en} |" for code, [(zh, en), *_] in sorted(error_texts().items())]


def metric_rows() -> list[str]:
    """Return a row for each figure, from the calls that make it."""
    files = ("edge_agent/api/metrics.py", "edge_agent/observe/metrics.py")
    trees = [ast.parse((ROOT / name).read_text(encoding="utf-8")) for name in files]
    return sorted(
        _metric_row(node)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and node.args and _metric_name(node.args[0])
    )


def _metric_name(argument: ast.expr) -> bool:
    return (
        isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and argument.value.startswith("edge_")
    )


def _metric_row(call: ast.Call) -> str:
    kinds = {"CounterMetricFamily": "counter", "GaugeMetricFamily": "gauge"}
    kind = kinds.get(ast.unparse(call.func), "histogram")
    name, text = ast.literal_eval(call.args[0]), ast.literal_eval(call.args[1])
    given = {word.arg: word.value for word in call.keywords}
    labels: list[str] = []
    if "labels" in given:
        labels = ast.literal_eval(given["labels"])
    elif "label" in given and ast.literal_eval(given["label"]):
        labels = [ast.literal_eval(given["label"])]
    suffix = "_total" if kind == "counter" else ""
    shown = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name}{suffix}` | {kind} | {shown} | {text} |"
