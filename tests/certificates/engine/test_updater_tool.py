"""The Certificate Updater Tool: on which server from when on, and until when."""

import hashlib

from agent import manifest, package, updater
from certificates import tasks, updater_tool
from certificates.actions import decisions, operations
from certificates.models import CertificateAuthority, Operation, UpdaterTool
from systemupdates import actions as updates
from tests.certificates.engine.conftest import SERVERS
from zcc.ground import clock, here


def offered(name):
    """The files that this server offers as the tool, by their SHA-256."""
    folder = here.home(name).path / "zenworks-setup"
    found = [path.read_bytes() for path in folder.glob("crt-*.pyz")]
    return [hashlib.sha256(data).hexdigest() for data in found]


def page(name):
    return (here.home(name).path / "zenworks-setup/index.html").read_text()


def package_of(name):
    (path,) = (here.home(name).path / "zenworks-setup").glob("crt-*.pyz")
    key = here.home(name).read_file(here.UPDATE_KEY)
    return manifest.opened(updater.read_file(str(path)), key, prefix=updater.PREFIX)


def test_at_rest_no_server_offers_it(living):
    assert [offered(name) for name in SERVERS] == [[], [], []]
    assert "This server offers none now." in page("ps1")


def test_initiating_server_offers_it_at_once_and_no_other(living):
    living.reach("replicating")

    sha256 = UpdaterTool.objects.get().sha256
    assert [offered(name) for name in SERVERS] == [[sha256], [], []]
    assert sha256 in page("ps1")
    assert "This server offers none now." in page("ps2")


def test_every_server_offers_it_from_the_assignment_on(living):
    living.reach("assigned")

    sha256 = UpdaterTool.objects.get().sha256
    assert [offered(name) for name in SERVERS] == [[sha256]] * 3


def test_it_holds_every_ca_that_is_trusted_and_the_new_one(living):
    operation = living.reach("assigned")

    new = CertificateAuthority.objects.get(generation=2)
    says = package_of("ps2")
    assert (says["new_anchor"], len(says["anchors"])) == (new.sha256, 2)
    assert (says["operation"], says["activated"]) == (str(operation.guid), False)


def test_it_is_made_anew_when_the_new_ca_is_active_and_when_the_old_is_retired(living):
    living.reach("completed")

    says = package_of("ps3")
    assert (says["activated"], len(says["anchors"])) == (True, 1)
    assert offered("ps3") == [UpdaterTool.objects.get().sha256]


def test_cancel_withdraws_it_everywhere(living):
    operation = living.reach("assigned")

    operations.cancel(operation, by=living.alice, now=clock.now())
    living.run()

    assert [offered(name) for name in SERVERS] == [[], [], []]
    assert "This server offers none now." in page("ps1")


def test_rollback_withdraws_it(living):
    operation = living.reach("overlap")

    decisions.roll_back(operation, reason="Trouble", by=living.alice, now=clock.now())
    living.run()

    assert [offered(name) for name in SERVERS] == [[], [], []]


def test_it_stays_until_the_update_is_baselined_and_deleted(living):
    operation = living.reach("completed")
    content = operation.update.content_sha256
    operation.update.device_updates.move(to="completed", by=None, at=clock.now())

    updates.baseline(operation.update, by=living.alice, now=clock.now())
    living.run()
    baselined = [len(offered(name)) for name in SERVERS]
    updates.delete(operation.update, by=living.alice, now=clock.now())
    living.run()

    assert (baselined, [len(offered(name)) for name in SERVERS]) == ([1, 1, 1], [0, 0, 0])
    assert not any(here.home(name).has_content(content) for name in SERVERS)


def test_server_of_another_version_offers_nothing_rather_than_something_else(living):
    living.reach("replicating")
    UpdaterTool.objects.update(sha256="00" * 32)
    living.run()

    assert offered("ps1") == []


def test_strict_tool_leaves_the_old_ca_out_from_the_activation_on(living):
    operation = living.reach("assigned", policy="strict")
    before = len(package_of("ps1")["anchors"])
    row = Operation.objects.get(pk=operation.pk)
    row.sign_offs.create(
        devices=[[d.pk, d.name] for d in living.zone.devices.all()],
        reason="x",
        by=living.alice,
        at=clock.now(),
    )

    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)

    assert (before, len(package_of("ps1")["anchors"])) == (2, 1)


def test_pane_links_to_it_with_its_sha256(living, client):
    operation = living.reach("replicating")
    client.force_login(living.alice)

    content = client.get("/certificates/").content.decode()

    found = updater_tool.shown(operation)
    assert found.url == f"http://127.99.0.1:7480/zenworks-setup/{found.tool.file_name}"
    assert found.url in content
    assert "Download it now if you may need it" in content


def test_worker_that_starts_offers_the_agent_that_it_brings_along(living, monkeypatch):
    offered = here.home("ps2").path / "zenworks-setup/agent.pyz"
    offered.write_bytes(b"that of the version before")
    monkeypatch.setenv(here.VARIABLE, "ps2")

    tasks.free_leftovers()

    assert offered.read_bytes() == package.contents()
