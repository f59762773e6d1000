"""Which secrets are missing is looked at in every pass, and worked out for what is new alone."""

from __future__ import annotations

from flowrunner.reconcile.missing_secrets import SecretNeeds, missing_secrets
from tests.fakes.definitions import FakeSecrets, entry, key_of

A, B = key_of("a"), key_of("b")


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
