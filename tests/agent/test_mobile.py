"""The simulated mobile against a real device API: it enrols by a link, syncs and renews."""

from datetime import timedelta

import pytest

from agent import identity, loop, mobile, trust
from agent.__main__ import main
from agent.client import NoAnswer, Refused
from agent.enrol import EnrolmentError, WrongFingerprint
from agent.home import Home
from agent.mobile import Absence, Link, Mobile, enrol_by
from agent.state import IDENTITY
from certificates.models import MobileIdentity
from devices import mobiles
from devices.models import Device
from tests.zcc.device_listener import Listener
from zcc.ground import clock, here

# The listener and the worker are threads with connections of their own.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener(request, settings, tmp_path, monkeypatch):
    settings.ZCC_HOME = tmp_path / "zone"
    monkeypatch.setenv(here.VARIABLE, "ps1")
    with Listener(getattr(request, "param", "internal")) as running:
        yield running


in_both_zones = pytest.mark.parametrize("listener", ["internal", "external"], indirect=True)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "phone")


def make_link(listener, name="phone1", fingerprint=None):
    """Return the text of a link as the console shows it."""
    week = timedelta(days=7)
    secret = mobiles.make_link(
        listener.zone, name, folder="/", lifetime=week, by=None, now=clock.now()
    )
    return mobiles.address(listener.url, secret, [fingerprint or listener.fingerprint])


def enrol(listener, home):
    """Enrol as the command line does."""
    return main(["mobile", "enrol", "--home", str(home.path), "--link", make_link(listener)])


def running(home, **more):
    return Mobile(home, log=lambda line: None, wake=lambda: None, **more)


@in_both_zones
def test_enrols_by_its_link_and_syncs_with_its_identity(listener, home, capsys):
    assert enrol(listener, home) == 0

    assert "phone1 has joined the zone" in capsys.readouterr().out
    assert trust.fingerprints(trust.current(home)) == [listener.fingerprint]
    running(home).refresh(loop.now)
    device = Device.objects.get(name="phone1")
    assert device.trusted_fingerprints == [listener.fingerprint]
    assert device.identities.get().state == "current"


def test_keys_are_for_their_user_alone(listener, home):
    enrol(listener, home)

    path = home.path / identity.FILE
    assert path.stat().st_mode & 0o077 == 0
    assert home.read_file(identity.NEXT_KEY) is None


def test_second_mobile_with_the_same_link_is_refused(listener, home, tmp_path):
    link = Link.read(make_link(listener))
    enrol_by(home, link, loop.now)

    with pytest.raises(Refused, match="has been used"):
        enrol_by(Home(tmp_path / "other"), link, loop.now)
    assert not (tmp_path / "other" / IDENTITY).exists()


def test_server_with_another_ca_gets_no_secret(listener, home):
    link = Link.read(make_link(listener, fingerprint="ab" * 32))

    with pytest.raises(WrongFingerprint, match="Nothing was sent"):
        enrol_by(home, link, loop.now)

    assert not MobileIdentity.objects.exists()


@pytest.mark.parametrize(
    "text", ["", "https://127.0.0.1:7444/", "https://127.0.0.1:7444/.well-known/est#secret"]
)
def test_half_a_link_is_refused(text):
    with pytest.raises(EnrolmentError, match="Copy the whole of it"):
        Link.read(text)


def test_broken_enrolment_goes_on_with_the_same_key(listener, home):
    link = Link.read(make_link(listener))
    home.make(folders=())
    identity.request(home)  # sent, and then the power failed
    key = home.read_file(identity.NEXT_KEY)

    enrol_by(home, link, loop.now)

    assert home.read_file(identity.FILE).endswith(key)


@in_both_zones
def test_renews_when_it_is_told_to(listener, home):
    enrol(listener, home)
    before = home.read_file(identity.FILE)
    # As at two thirds of its life.
    MobileIdentity.objects.update(expires_at=clock.now() + timedelta(minutes=10))

    phone = running(home)
    phone.refresh(loop.now)
    phone.refresh(loop.now)

    assert home.read_file(identity.FILE) != before
    states = MobileIdentity.objects.order_by("pk").values_list("state", flat=True)
    assert list(states) == ["previous", "current"]


def test_retired_mobile_is_told_so(listener, home):
    enrol(listener, home)
    Device.objects.filter(name="phone1").update(retired_at=clock.now())

    with pytest.raises(Refused, match="This mobile is retired"):
        running(home).refresh(loop.now)


def test_is_away_for_a_while_and_only_once():
    start = clock.now()
    absence = Absence("assigned", 60.0)

    absence.begin(start)

    assert absence.is_on(start + timedelta(seconds=59))
    assert not absence.is_on(start + timedelta(seconds=60))
    assert absence.is_over


def test_mobile_that_is_away_calls_nobody(listener, home):
    enrol(listener, home)
    absence = Absence("assigned", 60.0)
    absence.begin(loop.now())

    with pytest.raises(NoAnswer, match="This mobile is away"):
        running(home, absence=absence).refresh(loop.now)


def test_what_was_prepared_is_read_until_it_is_enrolled(listener, home):
    home.make(folders=())
    text = make_link(listener)
    data = f'{{"link": "{text}", "away": {{"stage": "pending", "seconds": 5}}}}'
    home.write_secret(mobile.PENDING, data.encode())

    link, absence = mobile.pending(home)
    enrol_by(home, link, loop.now)

    assert (absence.stage, absence.seconds) == ("pending", 5.0)
    assert mobile.pending(home)[0] is None
