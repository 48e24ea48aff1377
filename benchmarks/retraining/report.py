"""The check's figures: scores with intervals, effects of training, costs."""

from collections.abc import Callable
from typing import Any

from benchmarks.retraining import library
from benchmarks.retraining.datamodel import datamodeling_scores, effects
from benchmarks.retraining.joined import OURS, with_audit
from benchmarks.retraining.judgement import best, effect_table, judged
from benchmarks.retraining.methods import Answers
from benchmarks.retraining.study import Study

RIVAL = "bm25"
JUDGED = ("test", "generated")


def report(
    study: Study, answers: Answers, tell: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Chooses every method's setting on val and the tuning LMs, then judges on the others.

    Args:
        tell: receives what stands in the details, not in the result.
    """
    plan, answers = study.plan, with_audit(study, answers)
    if (why := library.missing()) is not None:
        tell({"left_out": {"bergson": why}})
    chosen = settings(study, answers)
    tell({"settings": chosen})
    scores = {method: answers.candidates[method][name] for method, name in chosen.items()}
    lms = range(plan.tuning, plan.tuning + plan.judging)
    for kind in JUDGED:
        part, places = study.retraining(lms, [kind]), study.places([kind])
        means = {m: datamodeling_scores(part, s[places]).mean() for m, s in scores.items()}
        tell({"queries": kind, "n": len(places), "lds": {m: round(v, 4) for m, v in means.items()}})
        tell({"effects": effect_table(effects(part, study.reading.names), study.reading.names)})
    found, places = study.retraining(lms, JUDGED), study.places(JUDGED)
    pairs = [(OURS, RIVAL), ("shares", RIVAL), (OURS, "shares")]
    pairs += [(OURS, method) for method in ("trackstar", "bergson") if method in scores]
    lds, differences = judged(found, {m: s[places] for m, s in scores.items()}, pairs)
    tell({"differences": {f"{a} - {b}": s.to_list() for (a, b), s in differences.items()}})
    tell({"seconds_once": {what: round(s, 3) for what, s in answers.once.items()}})
    tell({"audit": dict(zip(("gap", "p_holm"), answers.presence.round(4).tolist()))})
    cost = answers.per_query
    return {
        "lms": plan.judging,
        "queries": len(places),
        "lds": {method: score.to_list() for method, score in lds.items()},
        "shares_x_audit_minus_bm25": differences[OURS, RIVAL].to_list(),
        "seconds_per_query": {m: float(f"{s:.3g}") for m, s in cost.items()},
        "cost_vs_gradient": round(cost[OURS] / cost["gradient"], 4),
        "cost_vs_gradient_without_index": float(
            f"{cost[OURS] / cost['gradient_without_index']:.2g}"
        ),
    }


def settings(study: Study, answers: Answers) -> dict[str, str]:
    """Method -> the setting that is best on val queries, by the LMs that do not judge."""
    found, val = study.retraining(range(study.plan.tuning), ["val"]), study.places(["val"])
    return {
        method: best(found, {name: scores[val] for name, scores in candidates.items()})
        for method, candidates in answers.candidates.items()
    }
