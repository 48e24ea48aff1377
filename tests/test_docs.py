"""The documents point at files that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("k8s/*.md")])
LINK = re.compile(r"""\]\(([^)#\s]+)[^)]*\)|src="([^"]+)\"""")
MODULE = re.compile(r"`((?:copylens|ray_jobs|serve|tests|benchmarks|configs|docs)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    found = [match[0] or match[1] for match in LINK.findall(page.read_text())]
    local = [target for target in found if "://" not in target]
    assert [target for target in local if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("name", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_every_module_that_is_named_exists(name):
    named = MODULE.findall((ROOT / name).read_text())
    assert len(named) > 3
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_document_is_in_the_table_of_contents():
    contents = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"]({name})" not in contents} == set()
