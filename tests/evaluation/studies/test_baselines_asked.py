"""The baselines of a report are those that its own run asks for."""

import copy
import dataclasses

from copylens.evaluation import measure
from copylens.evaluation.studies.inputs import StudyInput


def test_whether_an_encoder_is_compared_with_is_for_the_evaluation_to_say(study: StudyInput):
    """Whatever the config said when the model was trained."""
    answers = study.answers
    lm = answers.scorer.config.probe.model

    def asked(encoder: str | None):
        settings = study.config.evaluation.model_copy(update={"encoder": encoder})
        return study.config.model_copy(update={"evaluation": settings})

    for trained_with in (None, lm):
        scorer = copy.copy(answers.scorer)
        scorer.config = asked(trained_with)
        same = dataclasses.replace(answers, scorer=scorer)
        assert "sentence_encoder" not in measure._baselines(same, asked(None))
    assert "sentence_encoder" in measure._baselines(same, asked(lm))
