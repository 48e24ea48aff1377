"""A detector that is fitted once."""

import pytest

from copylens.detector.detector import Detector
from copylens.fit.detector import fit_detector
from tests.detector.detector_samples import attributor, held_out


@pytest.fixture(scope="package")
def detector() -> Detector:
    return fit_detector(attributor(), None, held_out())
