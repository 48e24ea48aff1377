import pytest

from copylens.config import ProbeConfig
from copylens.probe.probe import Probe
from tests.live_samples import ScriptedScorer


@pytest.fixture
def scorer(lm_folder):
    return ScriptedScorer(Probe(ProbeConfig(model=str(lm_folder("gpt_neox")), window=4)))
