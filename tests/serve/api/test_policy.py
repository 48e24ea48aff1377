"""Which rule decides, on hand-made shares; and a policy file that changes while it is in use."""

import logging
from dataclasses import replace

import pytest

from copylens.errors import ConfigError, CopyLensError
from copylens.generation.flags import flag_of
from serve.api.policy import ContentPolicy, blocking_policy, parse_policy
from serve.ops.reloaded import ReloadedFile
from tests.serve.fakes import RIGHTS, make_verdict

RULES = """
default: {action: flag, min_share: 0.3}
rules:
  - {name: own, sub_dataset: ships, action: allow}
  - {name: sea, holder: Sea Press, action: block, min_share: 0.5, min_p_value: 0.2}
  - {name: law, sub_dataset: law, action: flag, min_share: 0.1}
"""


def decide(p_value=0.5, **shares):
    ruling = parse_policy(RULES, "test").rule_on(make_verdict(p_value=p_value, **shares))
    return ruling.action, ruling.rule, ruling.sub_dataset, ruling.share


@pytest.mark.parametrize(
    ("shares", "p_value", "expected"),
    [
        ({"sea": 0.6}, 0.5, ("block", "sea", "sea", 0.6)),
        # Below its share or its p-value a rule says nothing, and the default does not step in.
        ({"sea": 0.49}, 0.5, ("allow", None, None, None)),
        ({"sea": 0.6}, 0.19, ("allow", None, None, None)),
        # `ships` belongs to `own`, so it adds nothing to its holder's rule.
        ({"sea": 0.4, "ships": 0.5}, 0.5, ("allow", "own", "ships", 0.5)),
        # The strictest wins, whatever its share.
        ({"law": 0.1, "ships": 0.8}, 0.5, ("flag", "law", "law", 0.1)),
        ({"law": 0.3, "sea": 0.5}, 0.5, ("block", "sea", "sea", 0.5)),
        # Of most of it nothing registered is found, surely or not: no rule applies.
        ({"law": 0.4}, 0.01, ("allow", None, None, None)),
        ({"law": 0.4}, 0.5, ("allow", None, None, None)),
        # A small p-value alone says nothing.
        ({"law": 0.9}, 0.01, ("flag", "law", "law", 0.9)),
    ],
)
def test_the_strictest_rule_that_applies_decides(shares, p_value, expected):
    assert decide(p_value, **shares) == expected


def test_a_holders_sub_datasets_weigh_together():
    policy = parse_policy(
        "rules: [{name: sea, holder: Sea Press, action: block, min_share: 0.5}]", "test"
    )
    ruling = policy.rule_on(make_verdict(sea=0.2, ships=0.4))
    assert (ruling.action, ruling.sub_dataset) == ("block", "ships")
    assert ruling.share == pytest.approx(0.6)


def test_the_default_flags_everything_registered():
    policy = ContentPolicy()
    for name in ("sea", "ships", "law"):
        ruling = policy.rule_on(make_verdict(**{name: 0.9}))
        assert (ruling.action, ruling.rule, ruling.sub_dataset) == ("flag", "default", name)
    assert policy.rule_on(make_verdict(p_value=0.01, sea=0.4)).action == "allow"


@pytest.mark.parametrize("decision", ["abstain", "unregistered"])
def test_where_nothing_is_named_nothing_is_flagged_or_blocked_whatever_the_shares(decision):
    verdict = replace(make_verdict(sea=0.7, law=0.2), decision=decision)
    for policy in (ContentPolicy(), parse_policy(RULES, "test")):
        ruling = policy.rule_on(verdict)
        assert (ruling.action, ruling.rule, ruling.sub_dataset) == ("allow", None, None)
    assert blocking_policy(parse_policy(RULES, "test"))(verdict, flag_of(verdict, 64)) is None


def test_what_is_registered_is_flagged_by_default_however_small_its_p_value():
    """A second level beside alpha would allow what the decision says draws on something."""
    verdict = replace(make_verdict(p_value=0.02, sea=0.9), decision="registered")
    assert ContentPolicy().rule_on(verdict).action == "flag"


def test_the_id_follows_the_content():
    one, same = parse_policy(RULES, "a"), parse_policy("# a remark\n" + RULES, "b")
    other = parse_policy(RULES.replace("0.3", "0.4"), "a")
    assert one.id == same.id != other.id
    assert one.rule_on(make_verdict(sea=0.9)).policy == one.id


def test_rules_that_name_nobody_are_told():
    policy = parse_policy(
        "rules:\n"
        "- {name: good, holder: Law Press, action: flag}\n"
        "- {name: typo, holder: Law Pres, action: block}\n"
        "- {name: gone, sub_dataset: plays, action: block}\n",
        "test",
    )
    assert policy.idle_rules(RIGHTS) == ["typo", "gone"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [{name: a, holder: x, action: forbid}]", "rules.0.action"),
        ("rules: [{name: a, action: block}]", "either a holder or a sub_dataset"),
        ("rules: [{name: a, holder: x, sub_dataset: y, action: block}]", "either a holder"),
        ("rules: [{name: a, holder: x, action: block, share: 1}]", "rules.0.share"),
        ("rules: [{name: a, holder: x, action: block, min_share: 2}]", "rules.0.min_share"),
        ("rules: [{name: default, holder: x, action: block}]", "'default' is taken twice"),
        ("rules: [", "no YAML"),
        ("", "must hold"),
        ("- a", "must hold"),
        ("defaults: {action: block}", "defaults"),
    ],
)
def test_a_wrong_policy_is_one_clear_line(text, says):
    with pytest.raises(ConfigError) as caught:
        parse_policy(text, "p.yaml")
    assert says in str(caught.value)
    assert "p.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_new_file_leaves_the_old_policy_and_is_told_once(tmp_path, caplog):
    path, now = tmp_path / "policy.yaml", [0.0]
    path.write_text(RULES)
    reloaded = ReloadedFile(str(path), parse_policy, clock=lambda: now[0])
    first = reloaded.current()
    path.write_text("rules: [{nam")
    assert reloaded.current() is first, "not looked at again within a second"
    with caplog.at_level(logging.ERROR, logger="ray.serve.copylens"):
        for _ in range(3):
            now[0] += 2
            assert reloaded.current() is first
    assert len(caplog.records) == 1
    assert str(path) in reloaded.problem
    path.unlink()
    now[0] += 2
    assert reloaded.current() is first
    path.write_text(RULES.replace("block", "allow"))
    now[0] += 2
    assert reloaded.current().id != first.id
    assert reloaded.problem is None


def test_without_a_first_good_file_there_is_nothing_to_keep(tmp_path):
    with pytest.raises(CopyLensError, match="cannot be read"):
        ReloadedFile(str(tmp_path / "none.yaml"), parse_policy)
    (tmp_path / "latin.yaml").write_bytes("# é".encode("latin-1"))
    with pytest.raises(CopyLensError, match="not UTF-8"):
        ReloadedFile(str(tmp_path / "latin.yaml"), parse_policy)


def test_a_block_ends_a_text_that_is_being_written_once_a_flag_stands():
    judge = blocking_policy(parse_policy(RULES, "test"))
    verdict = make_verdict(sea=0.6)
    assert judge(verdict, None) is None
    block = judge(verdict, flag_of(verdict, 64))
    assert (block.sub_dataset, block.holder) == ("sea", "Sea Press")
    assert "the rule 'sea' blocks it" in block.reason
    flagged = make_verdict(law=0.6)
    assert judge(flagged, flag_of(flagged, 64)) is None
