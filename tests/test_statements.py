"""Which stories CI tells again on PostgreSQL."""

from pathlib import Path

import pytest

from tests.statements import ABOUT_THE_DATABASE, STORIES, shape, told_again

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("stories", "again"),
    [
        ({"one": {"A"}}, set()),
        ({"one": {"A", "B"}}, {"one"}),
        ({"one": {"B"}, "two": {"A", "B"}}, {"one"}),
        ({"one": {"B"}, "two": {"C"}}, {"one", "two"}),
        ({"one": set()}, set()),
        ({"one": None}, {"one"}),
    ],
)
def test_story_is_told_again_if_it_sends_what_nobody_has_sent(stories, again):
    assert told_again(stories, sent={"A"}) == again


def test_statement_is_the_same_for_any_number_of_values():
    one = 'SELECT "a" FROM "b" WHERE "c" IN (%s, %s) LIMIT 1'
    more = 'SELECT "a" FROM "b" WHERE "c" IN (%s, %s, %s) LIMIT 21'

    assert shape(one) == shape(more)
    assert shape(one) != shape(one.replace('"a"', '"d"'))


def test_what_the_choice_goes_by_is_there():
    engine = {path.name for path in (ROOT / STORIES[0]).glob("test_*.py")}

    assert engine >= ABOUT_THE_DATABASE
    assert all((ROOT / place).exists() for place in STORIES)
