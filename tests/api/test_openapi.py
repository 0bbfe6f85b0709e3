"""The API's description is committed, and its page names everything."""

from __future__ import annotations

import json
import re
from pathlib import Path

from edge_agent.api import problems
from edge_agent.api.openapi import openapi_text

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_committed_description_is_the_present_one() -> None:
    committed = (DOCS / "openapi.json").read_text(encoding="utf-8")
    assert committed == openapi_text(), (
        "the API changed: python -m edge_agent.api.openapi > docs/openapi.json"
    )


def test_every_route_stands_in_the_page() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(GET|POST|PUT|DELETE) (/[^`?\s]*)", page))
    paths = json.loads(openapi_text())["paths"]
    routes = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert told == routes


def test_every_problem_of_the_api_stands_in_the_page() -> None:
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    missing = [one.problem.code for one in problems.OWN if f"`{one.problem.code}`" not in page]
    assert not missing


def test_every_refusal_of_the_api_is_listed() -> None:
    refusals = [value for value in vars(problems).values() if isinstance(value, problems.Refusal)]
    assert sorted(one.problem.code for one in refusals) == sorted(
        one.problem.code for one in problems.OWN
    )
    for one in problems.OWN:
        assert re.search("[\u4e00-\u9fff]", one.problem.text_zh)
        assert one.problem.text_en.isascii()


def test_every_route_tells_how_it_refuses() -> None:
    paths = json.loads(openapi_text())["paths"]
    for methods in paths.values():
        for route in methods.values():
            default = route["responses"]["default"]["content"]
            assert "application/problem+json" in default
