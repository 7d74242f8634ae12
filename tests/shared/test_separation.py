"""Who did one act does not do the next: persons are compared, whatever name they act under."""

import pytest

from shared.roles import FOR
from shared.separation import same_side


@pytest.mark.parametrize(
    ("actor", "earlier", "same"),
    [
        ("li", [], False),
        ("li", ["wang", "zhao"], False),
        ("li", ["wang", "li"], True),
        (f"wang{FOR}li", ["li"], True),
        (f"wang{FOR}li", ["wang"], True),
        ("li", [f"wang{FOR}li"], True),
        ("wang", [f"wang{FOR}li"], True),
        (f"wang{FOR}li", [f"zhao{FOR}li"], True),
        (f"wang{FOR}li", [f"zhao{FOR}chen", "sun"], False),
        ("li", ["lili", "li2"], False),
        ("Li", ["li"], True),
        (f"wang{FOR}LI", ["Li"], True),
    ],
)
def test_a_person_and_whom_he_stands_in_for_are_one_side(actor, earlier, same):
    assert same_side(actor, earlier) is same
