"""Which secrets are missing is looked at in every pass, and worked out for what is new alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowrunner.model.flow import FlowSpec
from flowrunner.model.ids import FlowKey
from flowrunner.model.secret import SecretValue
from flowrunner.reconcile.missing_secrets import SecretNeeds, missing_secrets
from tests.fakes.definitions import FakeSecrets, entry, key_of

A, B = key_of("a"), key_of("b")
NAMES = ("ONE", "TWO", "THREE")


class CountedSecrets(FakeSecrets):
    """Knows what it was asked for."""

    def lookup(self, account: str, name: str) -> SecretValue | None:
        self.asked = [*getattr(self, "asked", []), name]
        return super().lookup(account, name)


def spec_of(key: FlowKey, names: tuple[str, ...]) -> FlowSpec:
    """A flow that needs these secrets."""
    found = entry(key.name, secrets=list(names)).spec
    assert found is not None
    return found


SPECS: dict[tuple[FlowKey, tuple[str, ...]], FlowSpec] = {
    (key, names): spec_of(key, names)
    for key in (A, B)
    for names in ((), ("ONE",), ("TWO",), ("ONE", "TWO"), ("TWO", "THREE"))
}


def test_answer_follows_secrets_and_flows() -> None:
    """A secret that comes or goes, and a flow that changes or leaves, are seen at the next look."""
    secrets, needs = FakeSecrets({"ONE": "1"}), SecretNeeds()
    specs = {
        key: spec
        for key, names in ((A, ["ONE", "TWO"]), (B, ["TWO"]))
        if (spec := entry(key.name, secrets=names).spec)
    }
    needs.learn(specs, None)
    assert needs.missing(secrets) == {A: ("TWO",), B: ("TWO",)}
    del secrets.texts["ONE"]
    assert needs.missing(secrets) == {A: ("ONE", "TWO"), B: ("TWO",)}
    secrets.texts = {"TWO": "2"}
    assert needs.missing(secrets) == {A: ("ONE",)}
    changed = entry("a", secrets=["THREE"]).spec
    assert changed
    needs.learn({A: changed}, [A])
    assert needs.missing(secrets) == {A: ("THREE",)} == missing_secrets({A: changed}, secrets)
    needs.learn({B: specs[B]}, None)
    assert needs.missing(secrets) == {}


def test_an_edit_asks_for_its_own_secrets_alone() -> None:
    """What others lack is said as it was, but where they need the same secret."""
    secrets, needs = CountedSecrets({"ONE": "1"}), SecretNeeds()
    specs = {A: SPECS[A, ("ONE",)], B: SPECS[B, ("ONE", "TWO")]}
    needs.learn(specs, None)
    assert needs.missing(secrets) == {B: ("TWO",)}
    secrets.texts, secrets.asked = {"TWO": "2"}, []
    needs.learn({A: specs[A]}, [A])
    assert needs.missing(secrets, [A]) == {A: ("ONE",), B: ("ONE", "TWO")}
    assert secrets.asked == ["ONE"]
    assert needs.missing(secrets) == {A: ("ONE",), B: ("ONE",)}


steps = st.tuples(
    st.sampled_from((A, B)),
    st.sampled_from(sorted({names for _, names in SPECS})),
    st.sets(st.sampled_from(NAMES)),
    st.sampled_from(("edit", "leave", "look")),
)


@given(script=st.lists(steps, max_size=12))
def test_whatever_was_asked_before_a_look_at_all_says_all(
    script: list[tuple[FlowKey, tuple[str, ...], set[str], str]],
) -> None:
    """It answers as if nothing had been known; an edit is right about its own flow."""
    secrets, needs = FakeSecrets(), SecretNeeds()
    specs: dict[FlowKey, FlowSpec] = {}
    needs.learn(specs, None)
    for key, names, there, what in script:
        secrets.texts = dict.fromkeys(there, "value")
        if what == "edit":
            specs[key] = SPECS[key, names]
            needs.learn({key: specs[key]}, [key])
            told = needs.missing(secrets, [key]).get(key)
            assert told == missing_secrets(specs, secrets).get(key)
        elif what == "leave":
            specs.pop(key, None)
            needs.learn(specs, None)
        if what != "edit":
            assert needs.missing(secrets) == missing_secrets(specs, secrets)
    assert needs.missing(secrets) == missing_secrets(specs, secrets)
