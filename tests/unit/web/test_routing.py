"""The route table finds by a short cut what it would find by looking at every route."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from flowrunner.web.app import control_table
from tests.profile import examples
from tests.unit.web.apps import make_parts

TABLE = control_table(make_parts())
WORDS = (
    " api control v1 flows executions default a cancel why livez hooks metrics x .. http: source é"
)
SEGMENTS = st.sampled_from([*WORDS.split(" "), "api/v1"])


@settings(max_examples=examples(200))
@given(segments=st.lists(SEGMENTS, max_size=7), slash=st.sampled_from(["/", "", "//", "x"]))
def test_match_is_the_first_route_whose_path_fits(segments: list[str], slash: str) -> None:
    """For any path, of the routes that fit the first one is found, or none where none fits."""
    path = slash + "/".join(segments)
    fitting = [route for route in TABLE.routes if route.params_of(path) is not None]

    match = TABLE.match(path)

    assert (match and match.route) == (fitting[0] if fitting else None)
    assert match is None or match.params == match.route.params_of(path)
