"""Who can talk to whom: what is foretold comes true, how rows are made, and the page."""

import pytest

from certificates import guard, who_can_talk
from certificates.actions import authorities, decisions
from certificates.devices_left_behind import LeftBehind
from certificates.models import CertificateAuthority, Operation
from certificates.sent import ACTIVATION, NOW, RETIREMENT, ROLLBACK
from certificates.who_can_talk import MOST_SETS, WhoCanTalk
from devices.models import Device
from zcc.ground import clock

SETS = {"ws-old": [1], "ws-new": [2], "ws-both": [1, 2], "ws-none": []}


def report(living):
    """Let there be a device for each set of CAs, one of another zone, and one that says nothing."""
    Device.objects.filter(kind="workstation", is_authentication_satellite=False).delete()
    known = {ca.generation: ca.sha256 for ca in CertificateAuthority.objects.all()}
    for name, generations in SETS.items():
        trust(living.add_workstation(name), [known[one] for one in generations if one in known])
    trust(living.add_workstation("ws-else"), ["e" * 64])


def trust(device, fingerprints):
    Device.objects.filter(pk=device.pk).update(trusted_fingerprints=sorted(fingerprints))


def sign_off(living, operation):
    """Whoever would be lost is not waited for."""
    lost = [[device.pk, device.name] for device in Device.objects.all()]
    operation.sign_offs.create(devices=lost, reason="x", by=living.alice, at=clock.now())


def activate(living, operation):
    sign_off(living, operation)
    living.run(at=operation.cutoff_at)
    living.run(at=operation.activate_at)
    operation.refresh_from_db()


def roll_back(living, operation):
    decisions.roll_back(operation, reason="x", by=living.alice, now=clock.now())
    living.run()


def table(living, state=NOW):
    return WhoCanTalk(living.zone, now=clock.now()).table(state)


def states(living):
    return WhoCanTalk(living.zone, now=clock.now()).states


def words(living, state):
    """By set what stands in each cell, except why not: that is said of a time."""
    return {
        row.trusts.digest: [cell.word for cell in row.cells] for row in table(living, state).rows
    }


# What is foretold


@pytest.mark.parametrize("policy", ["overlap", "strict"])
@pytest.mark.parametrize("away", [None, "ps3"])
def test_activation_that_is_foretold_comes_true(living, policy, away):
    operation = living.reach("assigned", policy=policy)
    if away:
        living.fall_silent(away)
    report(living)
    foretold = words(living, ACTIVATION)

    activate(living, operation)

    assert words(living, NOW) == foretold


@pytest.mark.parametrize("generations", [1, 2])
def test_rollback_that_is_foretold_comes_true(living, generations):
    for _ in range(generations):
        operation = living.reach("assigned")
        activate(living, operation)
    report(living)
    foretold = words(living, ROLLBACK)

    roll_back(living, operation)

    assert words(living, NOW) == foretold


def test_retirement_that_is_foretold_comes_true(living):
    operation = living.reach("overlap")
    living.fall_silent("ps3")
    report(living)
    foretold = words(living, RETIREMENT)

    authorities.retire_old_ca(operation, by=living.alice, now=clock.now())
    living.run()

    assert words(living, NOW) == foretold


@pytest.mark.parametrize(
    ("state", "policy", "found"),
    [
        ("replicating", "overlap", [NOW, ACTIVATION, RETIREMENT, ROLLBACK]),
        ("armed", "overlap", [NOW, ACTIVATION, RETIREMENT, ROLLBACK]),
        ("overlap", "overlap", [NOW, RETIREMENT, ROLLBACK]),
        ("completed", "overlap", [NOW]),
        ("assigned", "strict", [NOW, ACTIVATION, ROLLBACK]),
    ],
)
def test_only_states_that_may_come_are_shown(living, state, policy, found):
    living.reach(state, policy=policy)

    assert states(living) == found


# Rows


def test_rows_say_what_devices_trust_and_how_they_get_through(living):
    living.reach("overlap")
    report(living)

    found = {row.label: row.cells[0].word for row in table(living).rows}

    assert found == {
        "Only the old CA": "By link",
        "Only the new CA": "Yes",
        "Old and new CA": "Yes",
        "1 CA not of this zone": "No",
        "Nothing reported": "Not known",
    }


def test_counts_are_those_of_who_trusts_which_ca(living):
    operation = living.reach("overlap")
    report(living)
    left_behind = LeftBehind(operation)

    numbers = {row.label: row.number for row in table(living).rows}

    assert numbers["Old and new CA"] == left_behind.both
    assert numbers["Only the old CA"] == left_behind.only_old
    assert numbers["Only the new CA"] == left_behind.only_new
    assert numbers["1 CA not of this zone"] + numbers["Nothing reported"] == left_behind.neither


def test_guard_counts_as_lost_who_gets_through_to_nobody(living):
    operation = living.reach("assigned")
    report(living)
    after = table(living, ACTIVATION)
    lost = {row.label for row in after.rows if row.is_lost}

    held = set(guard.lost(operation).values_list("name", flat=True))

    assert lost == {"1 CA not of this zone"}
    # Besides, it counts who has no proof and is carried by nothing, and who has said nothing.
    assert held == {"ws-else", "ws-new", "ws-none"}
    assert (after.lost, after.cannot, after.unknown) == (1, 1, 1)


def test_refresh_before_the_retirement_is_enough(living):
    living.reach("overlap")
    report(living)
    found = WhoCanTalk(living.zone, now=clock.now())
    by_label = {row.label: row for row in found.table(RETIREMENT).rows}

    assert by_label["Only the old CA"].is_lost
    assert found.is_helped_by_refresh(by_label["Only the old CA"], RETIREMENT)
    assert not found.is_helped_by_refresh(by_label["1 CA not of this zone"], RETIREMENT)


def test_cells_say_why_not(living):
    living.reach("assigned")
    living.fall_silent("ps3")
    report(living)

    def why(state):
        row = next(row for row in table(living, state).rows if row.label == "Only the new CA")
        return [cell.why for cell in row.cells]

    assert why(NOW) == ["no link before it is armed"] * 3
    assert why(ACTIVATION) == ["", "", "it is away and sends no link"]
    assert [one.says for one in table(living, ACTIVATION).servers] == [
        "new certificate, link",
        "new certificate, link",
        "late: old certificate",
    ]


def test_address_that_the_certificate_does_not_name_is_a_reason(living):
    Device.objects.filter(name="ps2").update(addresses=["127.99.0.77"])

    ps2 = table(living).rows[0].cells[1]

    assert (ps2.word, ps2.why) == ("No", "its certificate does not name 127.99.0.77")


def test_server_without_a_certificate_is_left_out_and_named(living):
    device = living.add_workstation("auth1")
    Device.objects.filter(pk=device.pk).update(is_authentication_satellite=True)

    assert table(living).missing == ["auth1"]
    assert len(table(living).servers) == 3


def test_sets_beyond_the_most_are_counted_and_not_shown(living):
    for number in range(MOST_SETS + 3):
        trust(living.add_workstation(f"odd-{number:02}"), [f"{number:064x}"])

    found = table(living)

    assert len(found.rows) == MOST_SETS + 1
    assert found.rows[-1].label == "Other sets of CAs"
    assert found.total == Device.objects.exclude(kind="primary").count()


# The page


def page(client, living, state=NOW):
    client.force_login(living.alice)
    return client.get(f"/certificates/who-can-talk/?state={state}").text


def test_page_names_who_is_cut_off_and_what_helps(client, living):
    living.reach("completed")
    old = CertificateAuthority.objects.get(generation=1)
    trust(living.add_workstation("osl-ws-01"), [old.sha256])

    text = page(client, living)

    assert ">osl-ws-01</a>" in text
    assert "The Certificate Updater Tool at /zenworks-setup brings such a device back." in text
    assert "nothing leads to a CA that is retired" in text


def test_page_says_how_the_guard_counts(client, living):
    living.reach("assigned")
    assert "The guard counts the same: 0 devices would be lost." in page(client, living, ACTIVATION)

    report(living)

    assert "The guard counts 3 devices that would be lost. It asks" in page(
        client, living, ACTIVATION
    )
    assert "The guard counts" not in page(client, living, NOW)


def test_without_an_operation_there_is_only_now(client, living):
    text = page(client, living, ROLLBACK)

    assert "After activation" not in text
    assert "None is cut off." in text


def test_row_leads_to_its_devices(client, living):
    living.reach("overlap")
    report(living)
    row = next(row for row in table(living).rows if row.label == "Only the old CA")
    address = f"/devices/?trust={row.trusts.digest}"

    assert f'href="{address}"' in page(client, living)
    listed = client.get(address).context["listing"].page.rows
    assert [device.name for device in listed] == ["ws-old"]


def test_queries_do_not_grow_with_devices_or_servers(living, django_assert_max_num_queries):
    living.reach("overlap")
    for number in range(50):
        living.add_workstation(f"more-{number}")

    with django_assert_max_num_queries(25):
        found = WhoCanTalk(living.zone, now=clock.now())
        [found.table(state) for state in found.states]


def test_nothing_is_judged_twice(living, client):
    living.reach("overlap")
    report(living)
    page(client, living)
    before = who_can_talk._JUDGE.judged

    page(client, living)

    assert who_can_talk._JUDGE.judged == before


def test_operation_that_is_over_says_nothing_of_the_future(living):
    operation = living.reach("overlap")
    roll_back(living, operation)

    assert states(living) == [NOW]
    assert Operation.objects.get().state == "rolled_back"
