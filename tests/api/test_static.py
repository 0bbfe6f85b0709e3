"""The files of the screen: all there, all our own, nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

STATIC = Path(__file__).parents[2] / "edge_agent" / "api" / "static"
FILES = sorted(path.name for path in STATIC.iterdir())
KINDS = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml", "html": "text/html"}
PAGE = (STATIC / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", FILES)
async def test_every_file_is_served_as_what_it_is(stranger: httpx.AsyncClient, name: str) -> None:
    answer = await stranger.get(f"/static/{name}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].split(";")[0] == KINDS[name.rsplit(".", 1)[1]]
    again = await stranger.get(f"/static/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize("name", FILES)
def test_no_file_names_another_place(name: str) -> None:
    text = (STATIC / name).read_text(encoding="utf-8")
    places = set(re.findall(r"(?:https?:)?//[a-z][\w.-]*\.[a-z]+", text))
    assert places <= {"http://www.w3.org"}, "only XML's namespaces are written as addresses"


def test_the_page_holds_no_script_and_no_style_of_its_own() -> None:
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", PAGE) == []


def test_the_page_asks_for_every_module_at_once() -> None:
    """Else a browser finds them one behind the other, import by import."""
    named = set(re.findall(r'(?:href|src)="/static/([\w.]+\.js)"', PAGE))
    assert named == {name for name in FILES if name.endswith(".js")}


def test_every_icon_that_is_drawn_stands_in_the_page() -> None:
    drawn: set[str] = set()
    for name in FILES:
        if name.endswith(".js"):
            text = (STATIC / name).read_text(encoding="utf-8")
            drawn |= set(re.findall(r'icon\("([\w-]+)"\)', text))
            drawn |= set(re.findall(r'icon: "([\w-]+)"', text))
    there = set(re.findall(r'<symbol id="icon-([\w-]+)"', PAGE))
    assert drawn <= there


def test_every_word_that_is_said_is_known_in_both_languages() -> None:
    words = (STATIC / "words.js").read_text(encoding="utf-8")
    table = words[words.index("const WORDS = {") : words.index("\n};")]
    known = set(re.findall(r"^  (\w+): \[", table, flags=re.MULTILINE))
    said: set[str] = set()
    for name in FILES:
        if name.endswith(".js"):
            text = (STATIC / name).read_text(encoding="utf-8")
            said |= set(re.findall(r'\b(?:t|label|pair)\("(\w+)"\)', text))
    assert said <= known
    everything = "".join((STATIC / name).read_text("utf-8") for name in FILES if name != "words.js")
    unsaid = {word for word in known if not re.search(rf'["`]{word}["`]|{word}: {{', everything)}
    made_up = re.findall(r"\bt\(`(\w*)\$\{[^}]*\}(\w*)`\)", everything)
    assert made_up
    assert {
        word
        for word in unsaid
        if not any(word.startswith(first) and word.endswith(last) for first, last in made_up)
    } == set()
    for entry in re.findall(r'\["([^"]+)",\s*"([^"]+)"', table):
        assert re.search("[\u4e00-\u9fff]", entry[0]), entry
        assert entry[1].isascii(), entry
