"""The page's list of registered sub-datasets, and the LM that it names."""

import pytest

from tests.serve.page.page_app import AUDITED, RIGHTS, TRAINED

pytestmark = pytest.mark.slow


def test_the_lm_is_named_with_its_licence(visit):
    page = visit()
    page.locator("#registry summary").click()
    told = page.locator("#registry-lm")
    told.wait_for()
    assert told.inner_text() == "Read with the LM pythia-70m · licence Apache-2.0 · layers 2 of 6"


def test_what_an_audit_found_stands_under_its_sub_dataset(visit):
    page = visit()
    page.locator("#registry summary").click()
    entries = {
        item.locator(".name").inner_text(): item for item in page.locator("#registry-list li").all()
    }
    assert set(entries) == set(RIGHTS)
    for name, item in entries.items():
        said = [line for line in AUDITED if line in item.inner_text()]
        assert said == (AUDITED if name == TRAINED[0] else [])
