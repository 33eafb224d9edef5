"""A Primary Server says with its heartbeat where its host is; its home follows its row."""

import errno
import platform

from certificates.actions import csrs
from devices.tasks import heartbeat
from tests.certificates.engine.keeping import server
from zcc.ground import clock, here


def test_servers_of_one_host_report_nothing_else(living, monkeypatch):
    for name in living.servers:
        monkeypatch.setenv(here.VARIABLE, name)
        heartbeat()

    assert [server(name).reports_other for name in living.servers] == ["", "", ""]


def test_host_with_another_name_is_reported_and_taken_over(living, monkeypatch):
    monkeypatch.setattr(platform, "node", lambda: "ps1.test.zone")
    heartbeat()
    monkeypatch.setattr(platform, "node", lambda: "ps9.test.zone")
    heartbeat()

    shown = server("ps1").reports_other
    assert shown == "another DNS name: ps9.test.zone"
    csrs.use_reported(server("ps1"), shown=shown, by=living.alice, now=clock.now())
    heartbeat()

    assert server("ps1").reports_other == ""
    assert here.identity("ps1").dns_name == "ps9.test.zone"


def test_home_that_cannot_be_written_does_not_stop_the_heartbeat(living, monkeypatch):
    def full(identity):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(here, "write_identity", full)
    before = server("ps1").heartbeat.at

    heartbeat()

    assert server("ps1").heartbeat.at > before
    assert server("ps1").reports_other == ""
