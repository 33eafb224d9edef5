"""See tests/people_and_devices.py."""

from tests.people_and_devices import alice, bob, make_device, make_update, now, zone

__all__ = ["alice", "bob", "make_device", "make_update", "now", "zone"]
