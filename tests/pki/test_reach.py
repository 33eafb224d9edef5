"""Who accepts what a server sends: by every set of CAs, at every time, as OpenSSL sees it, too."""

import subprocess
from datetime import timedelta

import pytest

from pki import authority, issue, keys
from pki.reach import Judge, Sent, Way, WhyNot
from tests.pki.conftest import NOW, SERVER, make_leaf, make_root, pem

YEAR = timedelta(days=365)


@pytest.fixture
def judge():
    return Judge()


@pytest.fixture(scope="module")
def expiring():
    """An old CA that ends a year before its successor, which has a leaf and a link."""
    old_key, new_key = keys.generate("ec-p256"), keys.generate("ec-p256")
    old = make_root(old_key, "G1", years=1)
    new = make_root(new_key, "G2", years=2)
    link = issue.sign(authority.plan_link(new, issuer=old, now=NOW), old_key)
    leaf = make_leaf(keys.generate("ec-p256"), new, new_key, days=397)
    return old, new, leaf, link


def overlap(ec, **changes):
    known = {"name": SERVER, "chain": (ec.new_leaf,), "link": ec.link}
    return Sent(**(known | changes))


def test_each_set_of_cas_gets_through_in_its_own_way(judge, generations):
    old, new = generations.old, generations.new
    sent = overlap(generations)

    ways = [judge.way(sent, trusted, at=NOW) for trusted in ([new], [old, new], [old], [])]

    assert ways == [Way.YES, Way.YES, Way.LINK, Way.NO]


def test_backward_link_is_called_one(judge, ec):
    sent = Sent(SERVER, (ec.old_leaf,), ec.bridge, is_backward=True)

    assert judge.way(sent, [ec.new], at=NOW) is Way.BACKWARD_LINK


def test_rescue_port_is_for_whom_nothing_else_helps(judge, ec):
    sent = overlap(ec, link=None, rescue=(ec.old_leaf,))

    assert judge.way(sent, [ec.old], at=NOW) is Way.RESCUE
    assert judge.way(sent, [ec.new], at=NOW) is Way.YES


def test_rescue_port_is_asked_without_looking_at_dates(judge, ec):
    sent = overlap(ec, link=None, rescue=(ec.old_leaf,))

    assert judge.way(sent, [ec.old], at=NOW + 20 * YEAR) is Way.RESCUE


def test_why_not_names_the_reason(judge, ec):
    stranger = make_root(keys.generate("ec-p256"), "G1")

    def why(sent, trusted, at=NOW):
        assert judge.way(sent, trusted, at=at) is Way.NO
        return judge.why_not(sent, trusted, at=at)

    assert why(overlap(ec), []) is WhyNot.NO_PATH
    assert why(overlap(ec), [stranger]) is WhyNot.NO_PATH
    assert why(overlap(ec, link=None), [ec.old]) is WhyNot.NO_PATH
    assert why(overlap(ec, name="ps2.demo.zone"), [ec.new]) is WhyNot.WRONG_NAME
    assert why(overlap(ec, name="127.0.0.9"), [ec.new]) is WhyNot.WRONG_NAME
    assert why(overlap(ec), [ec.old], at=NOW + 2 * YEAR) is WhyNot.EXPIRED


def test_time_counts_and_not_only_the_path(judge, expiring):
    old, new, leaf, link = expiring
    sent = Sent(SERVER, (leaf,), link)
    later = NOW + YEAR + timedelta(days=1)

    assert judge.way(sent, [old], at=NOW) is Way.LINK
    assert judge.way(sent, [old], at=later) is Way.NO
    assert judge.way(sent, [new], at=later) is Way.YES


@pytest.mark.parametrize("days", [0, 364, 366, 396, 398, 800])
@pytest.mark.parametrize("trusted", ["old", "new", "both"])
@pytest.mark.parametrize("with_link", [True, False])
def test_openssl_agrees_at_every_time(judge, expiring, tmp_path, days, trusted, with_link):
    old, new, leaf, link = expiring
    anchors = {"old": [old], "new": [new], "both": [old, new]}[trusted]
    at = NOW + timedelta(days=days)
    sent = Sent(SERVER, (leaf,), link if with_link else None)

    is_yes = judge.way(sent, anchors, at=at) is not Way.NO

    assert is_yes == openssl_accepts(tmp_path, sent, anchors, at)


def openssl_accepts(folder, sent, anchors, at):
    files = {"leaf": sent.chain, "sent": sent.certificates, "trusted": anchors}
    for name, certificates in files.items():
        (folder / name).write_bytes(pem(*certificates))
    words = ["openssl", "verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-purpose"]
    words += ["sslserver", "-verify_hostname", sent.name, "-attime", str(int(at.timestamp()))]
    words += ["-CAfile", folder / "trusted", "-untrusted", folder / "sent", folder / "leaf"]
    return subprocess.run(words, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("permitted", "through"),
    [
        (["demo.zone", "127.0.0.1"], True),
        (["demo.zone"], True),  # of addresses it says nothing
        (["other.zone", "127.0.0.1"], False),
        (["demo.zone", "10.0.0.1"], False),
    ],
)
def test_link_that_speaks_for_the_zones_names_alone(judge, ec, tmp_path, permitted, through):
    plan = authority.plan_link(ec.new, issuer=ec.old, now=NOW, permitted=permitted)
    sent = overlap(ec, link=issue.sign(plan, ec.old_key))

    assert (judge.way(sent, [ec.old], at=NOW) is Way.LINK) == through
    assert openssl_accepts(tmp_path, sent, [ec.old], NOW) == through
    assert judge.way(sent, [ec.new], at=NOW) is Way.YES


def test_nothing_is_judged_again_as_time_goes_by(judge, ec):
    sent = overlap(ec)
    judge.way(sent, [ec.old], at=NOW)
    before = judge.judged

    for minutes in range(100):
        judge.way(sent, [ec.old], at=NOW + timedelta(minutes=minutes))
    assert judge.judged == before

    assert judge.way(sent, [ec.old], at=NOW + 2 * YEAR) is Way.NO
    assert judge.judged > before


def test_what_is_sent_as_a_whole_must_be_accepted(judge, ec, expiring):
    """A link that does not belong to the chain takes nothing away."""
    _, _, _, other = expiring

    assert judge.way(overlap(ec, link=other), [ec.new], at=NOW) is Way.YES
    assert judge.way(overlap(ec, link=other), [ec.old], at=NOW) is Way.NO
