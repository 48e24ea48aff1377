"""Chromium and a small service for the page's tests, a scripted scorer for those of generation."""

import logging

import pytest

from copylens.config.schema import ProbeConfig
from copylens.probe.probe import Probe
from tests.generation.live_samples import ScriptedScorer
from tests.serve.page.browser import FLAGS, BrowserMonitor, chromium
from tests.serve.page.page_app import Behaviour, build
from tests.serve.server import serving


# Not for the whole session: as long as it is open, nothing else in this thread may run a loop.
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        # Every launch has a profile of its own, gone when the browser closes.
        started = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def service():
    app, behaviour = build()
    with serving(app) as address:
        yield address, behaviour


@pytest.fixture
def behaviour(service):
    """What the service does next; as new for every test."""
    current = service[1]
    vars(current).update(vars(Behaviour()))
    yield current
    vars(current).update(vars(Behaviour()))


@pytest.fixture
def visit(browser, service, behaviour):
    """Returns a function that opens the page; afterwards, nothing may have gone wrong.

    Its `monitors` know what each visit's browser complained of.
    """
    monitors, contexts = [], []

    def open_page(width=1180, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(15_000)
        monitors.append(BrowserMonitor(context))
        page = context.new_page()
        page.goto(service[0], wait_until="networkidle")
        return page

    open_page.monitors = monitors
    yield open_page
    for context in contexts:
        context.close()
    for monitor in monitors:
        assert monitor.foreign == []
        assert monitor.complaints == []


@pytest.fixture(autouse=True)
def _service_log_propagates(monkeypatch):
    """Once Ray is imported, its loggers do not pass on what they say to pytest's."""
    for name in ("ray", "ray.serve"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)


@pytest.fixture
def scorer(lm_folder):
    return ScriptedScorer(
        Probe(ProbeConfig(dtype="float32", model=str(lm_folder("gpt_neox")), window=4))
    )
