"""The check's figures: scores with intervals, effects of training, costs."""

from collections.abc import Callable
from typing import Any

from benchmarks.retraining.joined import OURS, with_audit
from benchmarks.retraining.judgement import best, effect_table, judged
from benchmarks.retraining.methods import Answers
from benchmarks.retraining.study import Study
from copylens.evaluation.datamodel import effects

RIVAL = "bm25"
JUDGED = ("test", "generated")


def report(study: Study, answers: Answers, tell: Callable[[dict[str, Any]], None]) -> Any:
    """Chooses every method's setting on val and the tuning LMs, then judges on the others.

    Args:
        tell: receives what stands in the details, not in the result.
    """
    plan = study.plan
    answers = with_audit(study, answers)
    tuning = study.retraining(range(plan.tuning), ["val"])
    lms = range(plan.tuning, plan.tuning + plan.judging)
    val = study.places(["val"])
    chosen = {
        method: best(tuning, {name: scores[val] for name, scores in candidates.items()})
        for method, candidates in answers.candidates.items()
    }
    tell({"settings": chosen})
    scores = {method: answers.candidates[method][name] for method, name in chosen.items()}
    pairs = [(OURS, RIVAL), (OURS, "shares"), ("shares", RIVAL)]

    for kinds in (["test"], ["generated"], list(JUDGED)):
        places = study.places(kinds)
        found = study.retraining(lms, kinds)
        lds, differences = judged(found, {m: s[places] for m, s in scores.items()}, pairs)
        tell({"queries": kinds, "n": len(places), "lds": {m: s.to_list() for m, s in lds.items()}})
    tell({"effects": effect_table(effects(found, study.reading.names), study.reading.names)})
    tell({"seconds_once": {what: round(s, 3) for what, s in answers.once.items()}})
    per_query = answers.per_query
    return {
        "lms": plan.judging,
        "queries": len(places),
        "lds": {method: score.to_list() for method, score in lds.items()},
        "shares_x_audit_minus_bm25": differences[OURS, RIVAL].to_list(),
        "seconds_per_query": {m: round(s, 6) for m, s in per_query.items()},
        "cost_vs_gradient": round(per_query[OURS] / per_query["gradient"], 4),
    }
