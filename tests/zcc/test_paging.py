"""Paging by key. That every row is on exactly one page: tests/devices/test_views_list.py."""

from devices.models import Device
from tests.people_and_devices import make_device, now, zone
from zcc.ground import paging

__all__ = ["make_device", "now", "zone"]


def test_rows_that_come_and_go_between_pages_hide_none_of_the_others(make_device):
    for name in ("a", "b", "c", "d"):
        make_device(name)
    first = paging.cut(Device.objects.all(), {}, key="name", size=2)
    Device.objects.filter(name="b").delete()
    make_device("aa")

    second = paging.cut(Device.objects.all(), {"after": first.next}, key="name", size=2)

    assert [row.name for row in second.rows] == ["c", "d"]


def test_value_with_the_separator_in_it_is_found_again(make_device):
    for name in ("a~1", "a~2"):
        make_device(name)
    first = paging.cut(Device.objects.all(), {}, key="name", size=1)

    second = paging.cut(Device.objects.all(), {"after": first.next}, key="name", size=1)

    assert [row.name for row in second.rows] == ["a~2"]
    assert second.next is None
    assert second.previous is not None


def test_empty_list_has_no_neighbours(db):
    page = paging.cut(Device.objects.all(), {}, key="name")

    assert (page.rows, page.previous, page.next, page.first) == ([], None, None, None)
