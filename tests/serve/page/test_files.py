"""The page's files: all there, all packaged, cached, and nothing else to be had."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import serve.page
from serve.page import FILES, page_file, router

FOLDER = Path(serve.page.__file__).parent


@pytest.fixture(scope="module")
def client():
    app = FastAPI()
    app.include_router(router())
    return TestClient(app)


def test_every_file_is_served_and_short():
    there = {path.name for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".py"}
    assert there == set(FILES)
    for name in FILES:
        content, media_type = page_file(name)
        assert content == (FOLDER / name).read_bytes()
        assert len(content.splitlines()) <= 300
        assert media_type.startswith(("text/", "image/"))


def test_every_suffix_is_packaged():
    pyproject = (FOLDER.parents[1] / "pyproject.toml").read_text()
    line = next(line for line in pyproject.splitlines() if line.startswith('"serve.page"'))
    assert {f".{suffix}" for suffix in re.findall(r"\*\.(\w+)", line)} == {
        Path(name).suffix for name in FILES
    }


@pytest.mark.parametrize("name", ["__init__.py", "../registry.py", "", "/etc/passwd", "a.js", "."])
def test_other_names_are_refused(name, client):
    with pytest.raises(FileNotFoundError):
        page_file(name)
    assert client.get(f"/page/{name.replace('/', '%2F')}").status_code == 404


def test_asked_again_it_is_not_sent_again(client):
    first = client.get("/")
    assert first.status_code == 200
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, f'W/{tag}, "other"'):
        again = client.get("/", headers={"if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get("/", headers={"if-none-match": '"other"'}).status_code == 200
    assert client.get("/page/app.js").headers["etag"] != tag


def test_the_page_runs_under_a_strict_policy(client):
    assert client.get("/").headers["content-security-policy"].startswith("default-src 'self'")
    html = page_file("index.html")[0].decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|//[a-z]", html)
    for name in FILES:
        text = page_file(name)[0].decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


def test_ids_that_scripts_ask_for_are_there_once():
    html = page_file("index.html")[0].decode()
    ids = re.findall(r'\sid="([\w-]+)"', html)
    assert len(ids) == len(set(ids))
    scripts = "".join(page_file(name)[0].decode() for name in FILES if name.endswith(".js"))
    assert set(re.findall(r'\$\("([\w-]+)"\)', scripts)) <= set(ids)
    asked = re.findall(r'(?:aria-(?:labelledby|describedby|controls)|for)="([\w-]+)"', html)
    assert set(asked) <= set(ids)
