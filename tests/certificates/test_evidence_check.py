"""`agent evidence`: what holds, what was changed, and what does not fit together."""

import base64
import random
import shutil
import subprocess
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agent import package
from agent.__main__ import main
from agent.evidence import check
from agent.evidence_pack import EvidenceError, open_pack
from tests.agent.test_main import PYTHONS, run
from tests.certificates import evidence
from tests.certificates.evidence import in_object, in_rows


@pytest.fixture
def made(ca, alice, now):
    return evidence.Made(evidence.tell(ca, alice, now), now)


@pytest.fixture
def file(made, tmp_path):
    path = tmp_path / "pack.evidence.zip"
    path.write_bytes(made.bytes)
    return path


def problem(file, key, data=None):
    """Return why the file does not hold, nothing if it does."""
    if data is not None:
        file.write_bytes(data)
    try:
        check(open_pack(file, key), key)
    except EvidenceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("python", PYTHONS)
def test_zipapp_alone_checks_a_pack_and_says_what_is_in_it(python, made, file, tmp_path):
    app = package.build(tmp_path / "agent.pyz")

    checked = run(python, app, "evidence", file, "--key", made.public.hex())

    assert (checked.returncode, checked.stderr) == (0, "")
    for said in (
        "Remint CA",
        "Strict",
        "by Alice Berg (alice)",
        "2 proven by a TLS connection",
        "ws-2. Reason: in store",
        "epochs 1 to 2, each signed",
        "it fits together",
    ):
        assert said in checked.stdout


def test_pack_says_the_state_that_was_written_last(ca, alice, now, tmp_path):
    """A click took the time, the tick was faster, and then the click was carried out."""
    operation, file = evidence.tell(ca, alice, now), tmp_path / "pack.evidence.zip"
    earlier = operation.events.latest("pk").at - timedelta(seconds=1)
    operation.events.create(state="rolling_back", by=alice, at=earlier)

    made = evidence.Made(operation, now)

    file.write_bytes(made.bytes)
    found = check(open_pack(file, made.public), made.public)
    assert found.operation["state"] == "rolling_back"


def test_openssl_alone_verifies_the_signature(made, file, tmp_path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    command = made.members()["README.txt"].decode().split("before them:\n")[1]
    public = made.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "update-key.pem").write_bytes(public)

    def verify():
        shell = ["sh", "-ec", command.replace("FILE", file.name)]
        return subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True).returncode

    assert verify() == 0
    file.write_bytes(file.read_bytes().replace(b"README", b"readme"))
    assert verify() != 0


def test_every_flipped_byte_is_noticed(made, file):
    size, whole = len(made.bytes), made.bytes
    central, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    places = {0, 10, 40, 200, central + 12, central + 40, end + 8, end + 21, size - 88, size - 3}
    places |= {size - 1, size - 2} | set(random.Random(7).sample(range(size), 60))

    for place in sorted(places):
        changed = bytearray(whole)
        changed[place] ^= 1
        assert problem(file, made.public, bytes(changed)), place


def test_signature_has_one_spelling(made, file):
    """The last character before the padding has bits that Base64 leaves open."""
    ends = [made.bytes[:-3] + bytes([letter]) + b"==" for letter in b"AEQgwxyz0189"]
    others = [data for data in ends if data != made.bytes]

    same = [data for data in others if base64.b64decode(data[-88:])[:63] == _first_63(made)]
    assert same and all(problem(file, made.public, data) for data in same)


def _first_63(made):
    return base64.b64decode(made.bytes[-88:])[:63]


@pytest.mark.parametrize("left", [0, 1, 87, 88, 1000, -1, -88, -1000])
def test_what_is_cut_off_is_noticed(made, file, left):
    assert problem(file, made.public, made.bytes[:left])


def test_what_is_added_is_noticed(made, file):
    assert problem(file, made.public, made.bytes + b"\n")
    assert problem(file, made.public, b"\n" + made.bytes)


def test_key_of_another_zone_is_noticed(made, file):
    other = Ed25519PrivateKey.generate().public_key().public_bytes_raw()

    assert "not signed with this zone update key" in problem(file, other)


FORGERIES = {
    "a list that leaves out who was lost": (
        "sign-offs.json",
        in_object(lambda found: found["sign_offs"][0].update(devices=[])),
        "1 device had no proof, nothing carried them, and nobody had signed them off: ws-2.",
    ),
    "no list at all": (
        "sign-offs.json",
        in_object(lambda found: found.update(sign_offs=[])),
        "The count of sign-offs is 1, and the list has 0.",
    ),
    "a list that was void by then": (
        "sign-offs.json",
        in_object(lambda found: found["sign_offs"][0].update(voided_at="2026-01-01T00:00:00Z")),
        "nobody had signed them off: ws-2.",
    ),
    "a proof of a certificate that no server had": (
        "devices.jsonl",
        in_rows(lambda rows: rows[-1]["proof"].update(leaf="ab" * 32)),
        "is of a certificate that is no server's.",
    ),
    "a proof taken away": (
        "devices.jsonl",
        in_rows(lambda rows: [{**row, "proof": {**row["proof"], "leaf": ""}} for row in rows]),
        "The count of proven is 2, and the list has 0.",
    ),
    "another state": (
        "devices.jsonl",
        in_rows(lambda rows: rows[-1].update(state="completed")),
        "The count of states is {'",
    ),
    "a device twice": (
        "devices.jsonl",
        in_rows(lambda rows: [*rows[:-1], rows[0]]),
        "A device is listed twice.",
    ),
    "nobody ignored": (
        "ignored.jsonl",
        lambda data: b"",
        "The count of ignored is 1, and the list has 0.",
    ),
    "a history without its end": (
        "events.jsonl",
        in_rows(lambda rows: [row for row in rows if row["state"] != "completed"]),
        "The history does not end in the state that the operation is in.",
    ),
    "a history in disorder": (
        "events.jsonl",
        in_rows(lambda rows: rows[0].update(at="2036-01-01T00:00:00Z")),
        "The history is not in the order of time.",
    ),
    "a manifest changed": (
        "trust.jsonl",
        in_rows(lambda rows: rows[0].update(envelope="{}")),
        "The trust manifest of epoch 1 has another digest.",
    ),
    "a manifest in another's place": (
        "trust.jsonl",
        in_rows(lambda rows: rows[0].update(epoch=3)),
        "The trust manifest of epoch 3 is another one.",
    ),
    "no JSON": ("operation.json", lambda data: b"{", "operation.json cannot be read."),
    "another format": (
        "operation.json",
        in_object(lambda found: found.update(format="2")),
        "Its format is 2.",
    ),
    "a member less": ("ignored.jsonl", lambda data: None, "does not hold what an evidence pack"),
    "no facts": ("operation.json", lambda data: b"{}", "not written as an evidence pack is"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_pack_at_odds_with_itself_is_refused_with_a_sentence(made, file, forgery):
    member, change, sentence = FORGERIES[forgery]

    assert sentence in problem(file, made.public, made.forged(member, change))


def test_certificate_in_anothers_place_is_refused(made, file):
    members = made.members()
    one, other = [name for name in members if name.startswith("certificates/")][:2]

    swapped = made.packed({**members, one: members[other]})
    missing = made.packed({**members, one: None})
    more = made.packed({**members, f"certificates/{'0' * 64}.pem": members[one]})

    assert "is another certificate than its name says" in problem(file, made.public, swapped)
    assert "is told of and not in the pack" in problem(file, made.public, missing)
    assert problem(file, made.public, more)


def test_command_says_what_is_wrong_and_ends_with_1(made, file, tmp_path, capsys):
    key = made.public.hex()
    for arguments, sentence in [
        ([str(file), "--key", "ab" * 32], "not signed with this zone update key"),
        ([str(file), "--key", "abc"], "The zone update key has 64 hexadecimal digits."),
        ([str(file)], "Name the zone update key with --key"),
        ([str(tmp_path / "none"), "--key", key], "No such file"),
    ]:
        assert main(["evidence", *arguments]) == 1
        assert sentence in capsys.readouterr().err
    assert main(["evidence", str(file), "--key", made.public.hex(":").upper()]) == 0


def test_names_cannot_move_the_cursor(made, file, capsys):
    said = in_object(lambda found: found["zone"].update(name="A\x1b[2J\u202eB"))
    data = made.forged("operation.json", said)
    file.write_bytes(data)

    assert main(["evidence", str(file), "--key", made.public.hex()]) == 0
    assert "A?[2J?B" in capsys.readouterr().out
