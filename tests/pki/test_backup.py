"""A backup is opened by its passphrase, by OpenSSL and by keytool, and by nothing that differs."""

import hashlib
import hmac
import io
import json
import random
import re
import shutil
import subprocess
import zipfile
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pki import archive, authority, backup, backup_contents, issue, keys, names
from pki.backup import NotABackup

PASSPHRASE = "correct horse battery ÆØÅ 'quoted'"
CHEAP = 2**10
NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def generation(number, key_type="ec-p256"):
    key = keys.generate(key_type)
    subject = names.ca_subject("Nordhavn", serial_number=f"G{number}")
    root = issue.sign(authority.plan_root(subject, key, now=NOW, years=5), key)
    return backup_contents.Generation(number, uuid4(), "active", 3, root, key)


@pytest.fixture(scope="module")
def contents():
    return backup_contents.Contents(
        zone=UUID("11111111-2222-4333-8444-555555555555"),
        zone_name="Nordhavn",
        made_at=NOW,
        made_on="ps1",
        epoch=7,
        generations=(generation(1, "rsa-2048"), generation(2)),
        update_key=Ed25519PrivateKey.generate(),
    )


@pytest.fixture(scope="module")
def cheap(contents):
    """A backup whose passphrase is quick to try, for what is not about guessing."""
    return backup.write(contents, PASSPHRASE, cost=CHEAP)


@pytest.fixture(scope="module")
def real(contents):
    return backup.write(contents, PASSPHRASE)


def read(data, passphrase=PASSPHRASE):
    return backup.read(data, passphrase, cost=CHEAP)


def assert_is_refused(data, passphrase=PASSPHRASE):
    with pytest.raises(NotABackup) as refusal:
        read(data, passphrase)
    assert str(refusal.value) == backup.REFUSAL


def test_what_was_written_is_read_back(cheap, contents):
    found = read(cheap)

    assert [one.certificate for one in found.generations] == [
        one.certificate for one in contents.generations
    ]
    assert [keys.to_der(one.key) for one in found.generations] == [
        keys.to_der(one.key) for one in contents.generations
    ]
    assert (found.zone, found.epoch, found.made_at) == (contents.zone, 7, NOW)
    assert found.update_key.private_bytes_raw() == contents.update_key.private_bytes_raw()


def test_readme_and_manifest_say_which_trusted_generation_is_not_in_it(cheap, contents):
    lacking = backup_contents.Contents(**{**vars(contents), "not_held": (3,)})
    members = archive.read(data := backup.write(lacking, PASSPHRASE, cost=CHEAP))

    assert b"Generation 3 was still trusted, and its key is NOT in" in members["README.txt"]
    assert json.loads(members["manifest.json"])["not_held"] == [3]
    assert read(data).not_held == (3,)
    assert b"is NOT in" not in archive.read(cheap)["README.txt"]


def test_no_key_and_no_passphrase_stands_in_it_in_clear(real, contents):
    secrets = [contents.update_key.private_bytes_raw(), PASSPHRASE.encode()]
    secrets += [keys.to_der(one.key)[-40:] for one in contents.generations]

    assert not [secret for secret in secrets if secret in real]


@pytest.mark.parametrize("passphrase", ["", "wrong", PASSPHRASE + " ", PASSPHRASE.upper()])
def test_wrong_passphrase_is_refused(cheap, passphrase):
    assert_is_refused(cheap, passphrase)


def test_any_changed_byte_is_refused_like_a_wrong_passphrase(cheap):
    chosen = random.Random(4)
    for place in chosen.sample(range(len(cheap)), 1000):
        changed = bytearray(cheap)
        changed[place] ^= 1 << chosen.randrange(8)
        assert_is_refused(bytes(changed))


def test_file_cut_off_at_any_percent_is_refused(cheap):
    for percent in range(100):
        assert_is_refused(cheap[: len(cheap) * percent // 100])


@pytest.mark.parametrize("extra", [b"\0", b"PK", b"x" * 5000])
def test_what_is_added_before_or_behind_is_refused(cheap, extra):
    assert_is_refused(cheap + extra)
    assert_is_refused(extra + cheap)


def zipped(members, *, compression=zipfile.ZIP_STORED, mode=0o100600):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as made:
        for name, data in members:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr, info.create_system = compression, mode << 16, 3
            made.writestr(info, data)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "hostile",
    [
        lambda members: zipped([("../README.txt", b""), *members]),
        lambda members: zipped([("/etc/passwd", b""), *members]),
        lambda members: zipped([*members, members[1]]),
        lambda members: zipped(members, mode=0o120777),
        lambda members: zipped(members, compression=zipfile.ZIP_DEFLATED),
        lambda members: zipped([*members, ("more.txt", b"")]),
        lambda members: zipped(members[1:]),
        lambda members: zipped([*members[2:], *members[:2]]),
        lambda members: zipped([(name, b"") for name, _ in members]),
        lambda members: zipped([]),
    ],
    ids=[
        "parent",
        "absolute",
        "duplicate",
        "symlink",
        "deflated",
        "extra",
        "missing",
        "order",
        "empty",
        "none",
    ],
)
def test_hostile_archive_is_refused(cheap, hostile):
    assert_is_refused(hostile(list(archive.read(cheap).items())))


def test_a_gigabyte_of_zeros_is_refused():
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made,
        made.open("manifest.json", "w", force_zip64=True) as member,
    ):
        for _ in range(1024):
            member.write(bytes(1024 * 1024))
    assert len(buffer.getvalue()) < backup.MAX_BYTES  # so it is not its size that is refused

    assert_is_refused(buffer.getvalue())


def with_manifest(data, **changes):
    """The backup with another manifest, as somebody makes it who does not know the passphrase."""
    members = archive.read(data)
    manifest = json.loads(members["manifest.json"])
    for name, value in changes.items():
        manifest[name] = {**manifest[name], **value} if isinstance(value, dict) else value
    members["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"
    return archive.write(members)


@pytest.mark.parametrize(
    "kdf",
    [{"n": 2**31}, {"n": 2**24}, {"r": 1024}, {"p": 2**20}, {"n": 2}, {"n": "1024"}, {"salt": ""}],
    ids=str,
)
def test_parameters_of_the_kdf_are_not_taken_from_the_file(cheap, kdf):
    assert_is_refused(with_manifest(cheap, kdf=kdf))


@pytest.mark.parametrize(
    "changes",
    [
        {"zone": {"guid": "99999999-2222-4333-8444-555555555555"}},
        {"epoch": 99},
        {"version": 2},
        {"generations": []},
        {"hmac": "00" * 32},
        {"hmac": None},
        {"members": {"README.txt": "00"}},
        {"not_held": ["three"]},
    ],
    ids=str,
)
def test_forged_manifest_is_refused(cheap, changes):
    assert_is_refused(with_manifest(cheap, **changes))


def test_key_of_another_generation_is_refused_even_with_the_passphrase(contents):
    first, second = contents.generations
    swapped = backup_contents.Generation(1, first.guid, "active", 0, first.certificate, second.key)
    with pytest.raises(ValueError):  # PKCS #12 itself takes no key that does not fit
        backup.write(
            backup_contents.Contents(**{**vars(contents), "generations": (swapped,)}),
            PASSPHRASE,
            cost=CHEAP,
        )


def test_hmac_covers_every_member(cheap):
    """Computed here once more, by the description in the docstring alone."""
    members = archive.read(cheap)
    manifest = json.loads(members["manifest.json"])
    salt = bytes.fromhex(manifest["kdf"]["salt"])
    k = hashlib.scrypt(PASSPHRASE.encode(), salt=salt, n=CHEAP, r=8, p=1, dklen=32)
    subkey = hmac.digest(k, b"zcc backup manifest 1", "sha256")
    mac = manifest.pop("hmac")
    signed = json.dumps(manifest, indent=1, sort_keys=True).encode() + b"\n"

    assert mac == hmac.digest(subkey, signed, "sha256").hex()
    assert manifest["members"] == {
        name: hashlib.sha256(data).hexdigest()
        for name, data in members.items()
        if name != "manifest.json"
    }


def needs(*programs):
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@needs("unzip", "openssl", "keytool")
def test_unzip_the_two_commands_of_the_readme_and_keytool_open_it(real, contents, tmp_path):
    (tmp_path / "backup.zip").write_bytes(real)
    run(["unzip", "-q", "backup.zip"], tmp_path)
    readme = (tmp_path / "README.txt").read_text()
    quoted = PASSPHRASE.replace("'", "'\\''")
    commands = re.search(r"    (K=.*?)\n    (openssl pkcs12 .*?)\n", readme, re.DOTALL)
    script = "\n".join(commands.groups()).replace("THE PASSPHRASE", quoted)

    shown = run(["sh", "-ec", script], tmp_path)
    update = run(["sh", "-ec", script.replace("generation-2", "update-key")], tmp_path)
    listed = run(["sh", "-ec", f"{commands[1]}\n{KEYTOOL}".replace(*ours(quoted))], tmp_path)

    assert keys.to_pem(contents.generations[1].key).decode() in shown
    assert "-----BEGIN CERTIFICATE-----" in shown
    assert "-----BEGIN PRIVATE KEY-----" in update
    assert listed.count("PrivateKeyEntry") == 2


def beside_external(contents, *, identities=()):
    """What a zone has of its own whose CA was an external one from the beginning."""
    external = generation(9).certificate
    changes = {"generations": (), "identities": identities, "external": external}
    return backup_contents.Contents(**{**vars(contents), **changes})


def test_backup_beside_an_external_ca_is_read_back(contents):
    one = generation(3)
    signer = backup_contents.Identity(one.guid, one.certificate, one.key)
    wanted = beside_external(contents, identities=(signer,))

    found = read(backup.write(wanted, PASSPHRASE, cost=CHEAP))

    assert (found.generations, found.newest, found.external) == ((), None, wanted.external)
    assert [(one.guid, one.certificate) for one in found.identities] == [
        (signer.guid, signer.certificate)
    ]
    assert keys.to_der(found.identities[0].key) == keys.to_der(signer.key)


@pytest.mark.parametrize(
    "made_up", [{"zone": {"guid": 5, "name": ""}}, {"made_at": "0001-01-01T00:00:00+14:00"}]
)
def test_what_somebody_with_the_passphrase_made_up_is_refused(contents, monkeypatch, made_up):
    manifest = backup._manifest
    monkeypatch.setattr(backup, "_manifest", lambda *given: {**manifest(*given), **made_up})
    assert_is_refused(backup.write(contents, PASSPHRASE, cost=CHEAP))


def test_backup_with_no_ca_at_all_is_none(contents):
    nothing = backup_contents.Contents(**{**vars(contents), "generations": ()})
    assert_is_refused(backup.write(nothing, PASSPHRASE, cost=CHEAP))


@needs("unzip", "openssl", "keytool")
@pytest.mark.parametrize("has_identity", [True, False])
def test_readme_opens_what_is_beside_an_external_ca_too(contents, tmp_path, has_identity):
    one = generation(3)
    signer = backup_contents.Identity(one.guid, one.certificate, one.key)
    wanted = beside_external(contents, identities=(signer,) if has_identity else ())
    (tmp_path / "backup.zip").write_bytes(backup.write(wanted, PASSPHRASE))
    run(["unzip", "-q", "backup.zip"], tmp_path)
    readme = (tmp_path / "README.txt").read_text()
    commands = re.search(r"    (K=.*?)\n    (openssl pkcs12 .*?)\n", readme, re.DOTALL)
    quoted = PASSPHRASE.replace("'", "'\\''")
    script = "\n".join([*commands.groups(), *re.findall(r"    (keytool .*)", readme)])

    shown = run(["sh", "-ec", script.replace(*ours(quoted))], tmp_path)

    key = signer.key if has_identity else contents.update_key
    assert keys.to_pem(key).decode() in shown
    assert ("PrivateKeyEntry" in shown) is has_identity
    assert "Its key is not in this file." in readme
    run(["openssl", "x509", "-in", "external-ca.pem", "-noout"], tmp_path)


KEYTOOL = """for p12 in generation-*.p12; do
    keytool -list -keystore "$p12" -storepass "$K"; done"""


def ours(quoted):
    return "THE PASSPHRASE", quoted


def run(words, folder):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_real_one_is_read_with_the_real_parameters_and_no_others(real):
    assert backup.read(real, PASSPHRASE).newest.number == 2
    assert_is_refused(real)  # the cheap ones are not its own
