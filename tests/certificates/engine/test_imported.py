"""Certificates that an external CA signs: requested, imported, staged, shown by a real listener."""

import io
import subprocess
import zipfile
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import importing
from certificates.actions import csrs
from certificates.models import ServerCertificate, ServerProgress
from certificates.models.server_step import CsrWishes
from devices.models import Device
from tests.certificates.engine import changing
from tests.certificates.engine.importing_stories import (
    acme,
    bring,
    connect,
    leaf_of,
    listening,
    pem_of,
    request_of,
    signed,
    start,
    started,
)
from tests.certificates.external_ca import BY_KEY, BY_SERIAL, CA, LEAF, ExternalCA
from zcc.ground import clock

__all__ = ["acme", "started"]


def generate(living, operation, *names, **changes):
    known = {"fields": {"O": "Acme"}, "key_type": "ec-p256", "include_additional_dns_names": True}
    devices = list(Device.objects.filter(name__in=names).select_related("zone"))
    wishes = CsrWishes(**(known | changes))
    csrs.generate(operation, devices, wishes, by=living.alice, now=clock.now())


def carry_on(living, operation, *, to="overlap"):
    changing.replicate(living, operation)
    living.run()
    if to != "assigned":
        living.run(at=operation.activate_at - timedelta(minutes=9))
    if to == "overlap":
        living.run(at=operation.activate_at)
    operation.refresh_from_db()


@pytest.mark.parametrize(
    ("by", "names_issuer_by", "is_carried"),
    [("root", BY_SERIAL, False), ("root", BY_KEY, True), ("issuing", BY_SERIAL, True)],
)
def test_certificate_that_the_link_cannot_carry_is_imported_with_a_warning(
    living, started, acme, by, names_issuer_by, is_carried
):
    leaf = signed(acme, "ps2", started, by=by, extensions=LEAF + names_issuer_by)
    file = ("ps2.pem", pem_of(leaf, acme.intermediate))

    [verdict] = importing.import_files(started, [file], by=living.alice, now=clock.now())

    assert (verdict.word, verdict.device.name) == ("Imported", "ps2")
    assert ("The link does not carry it" in verdict.caution) is not is_carried
    assert verdict.family == ("ok" if is_carried else "warn")
    link = started.new_ca.links.get().x509()
    old, sent = started.old_ca.x509(), [acme.intermediate, link]
    assert accepted_by_openssl(acme, leaf, sent, trusted=old) is is_carried


def accepted_by_openssl(acme, leaf, sent, *, trusted):
    for name, chain in {"leaf.pem": [leaf], "sent.pem": sent, "trusted.pem": [trusted]}.items():
        acme.write(name, *chain)
    command = ["openssl", "verify", "-CAfile", "trusted.pem", "-untrusted", "sent.pem", "leaf.pem"]
    return subprocess.run(command, cwd=acme.folder, capture_output=True).returncode == 0


def test_every_server_asks_with_the_subject_of_the_operation(started):
    request = x509.load_der_x509_csr(bytes(request_of("ps2", started).csr))

    assert request.subject.rfc4514_string() == "CN=ps2.test.zone,O=Acme,C=NO"
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["ps2.test.zone"]
    assert request.is_signature_valid


def test_mixture_of_files_is_matched_by_key(living, started, acme):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a/ps1.pem", pem_of(signed(acme, "ps1", started), acme.intermediate))
        archive.writestr("ps2.cer", signed(acme, "ps2", started).public_bytes(Encoding.DER))
        archive.writestr("readme.txt", "Thank you for your order.")
    third = pem_of(acme.root, acme.intermediate, signed(acme, "ps3", started))

    verdicts = bring(living, started, {"all.zip": packed.getvalue(), "chain.pem": third})

    assert [word for word, _ in verdicts] == ["Imported", "Imported", "Skipped", "Imported"]
    assert verdicts[2] == ("Skipped", "Not a certificate.")
    rows = ServerCertificate.objects.filter(operation=started, state="future")
    assert {row.device.name for row in rows} == {"ps1", "ps2", "ps3"}
    assert {row.intermediates for row in rows} == {acme.intermediates}
    event = started.events.last()
    assert (event.by, event.note) == (living.alice, "Imported the certificates of ps1, ps2 and ps3")


def test_listener_shows_the_imported_certificate_in_the_end(living, homes, started, acme):
    files = {f"{name}.pem": pem_of(signed(acme, name, started)) for name in homes}
    bring(living, started, files)

    with listening(homes["ps2"]) as port:
        carry_on(living, started)

        assert started.state == "overlap"
        with connect(port, trusted=pem_of(acme.root), name="ps2.test.zone") as tls:
            assert leaf_of(tls) == request_of("ps2", started).sha256
    staged = {name: home.live().leaf_sha256 for name, home in homes.items()}
    assert staged == {name: request_of(name, started).sha256 for name in homes}


def refusals(acme, operation):
    """Certificates for ps1 that will not do, each with what is said of it."""
    csr = bytes(request_of("ps1", operation).csr)
    other = ExternalCA(acme.folder.parent, "Other")
    client = LEAF.replace("serverAuth", "clientAuth")
    acme.sign_server(csr)
    weak = acme.sign("issuing", "server.csr", LEAF + BY_KEY, days=99, digest="-sha1")
    return [
        (pem_of(weak), "MD5 or SHA-1"),
        (pem_of(other.sign_server(csr), other.intermediate, other.root), "another CA than"),
        (pem_of(other.sign_server(csr), other.intermediate), "it is not from "),
        (pem_of(acme.sign_server(csr, names="none"), acme.intermediate), "names no DNS name: it"),
        (pem_of(other.sign_server(csr)), 'the issuer "CN=Other Issuing CA, O=Other" is missing'),
        (pem_of(acme.sign_server(csr, extensions=CA + BY_KEY)), "the certificate of a CA, not of"),
        (pem_of(acme.sign_server(csr, extensions=client + BY_KEY)), "allow serverAuth"),
        (pem_of(acme.sign_server(csr, days=0)), "before it would be used on"),
        (pem_of(ExternalCA(acme.folder.parent, "Wrong").root), "certificate of a CA"),
        (b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "a damaged one. Fetch"),
    ]


def test_what_will_not_do_is_refused_with_the_reason_and_changes_nothing(living, started, acme):
    for data, sentence in refusals(acme, started):
        word, text = bring(living, started, {"x.pem": data})[0]

        assert (word, sentence in text) == ("Refused", True), (text, sentence)
    assert not ServerCertificate.objects.filter(operation=started, state="future").exists()


def test_certificate_without_a_name_of_its_server_is_refused(living, started, acme):
    Device.objects.filter(name="ps1").update(additional_dns_names=["portal.test.zone"])

    verdicts = bring(living, started, {"ps1.pem": pem_of(signed(acme, "ps1", started))})

    assert verdicts == [
        (
            "Refused",
            "The server's certificate is not valid for portal.test.zone. "
            "Have it issued with that name.",
        )
    ]


def test_wildcard_that_covers_the_server_is_accepted(living, started, acme):
    Device.objects.filter(name="ps1").update(additional_dns_names=["portal.test.zone"])
    names = "subjectAltName=DNS:*.test.zone,IP:127.99.0.1\n"
    wildcard = signed(acme, "ps1", started, extensions=LEAF + BY_KEY + names, names="none")

    assert bring(living, started, {"wild.pem": pem_of(wildcard)})[0][0] == "Imported"


def test_same_certificate_again_is_skipped(living, started, acme):
    file = pem_of(signed(acme, "ps1", started))

    twice = bring(living, started, {"a.pem": file, "b.pem": file})
    again = bring(living, started, {"a.pem": file})

    assert [word for word, _ in twice] == ["Imported", "Skipped"]
    assert again == [("Skipped", "The certificate of ps1 is here already.")]


def test_certificate_of_another_server_is_refused_where_one_was_asked_for(living, started, acme):
    ps1 = Device.objects.get(name="ps1")

    verdicts = bring(living, started, {"x.pem": pem_of(signed(acme, "ps2", started))}, only=[ps1])

    assert verdicts == [("Refused", "Its key is that of the CSR of ps2, not of ps1.")]


def test_after_a_second_csr_only_the_second_keys_certificate_is_accepted(living, started, acme):
    old = signed(acme, "ps2", started)
    generate(living, started, "ps2", fields={"O": "Acme", "OU": "IT"})
    living.run()
    assert request_of("ps2", started).state == "requested"
    request = x509.load_der_x509_csr(bytes(request_of("ps2", started).csr))
    assert request.subject.rfc4514_string() == "CN=ps2.test.zone,OU=IT,O=Acme"

    [(word, text)] = bring(living, started, {"old.pem": pem_of(old)})
    new = bring(living, started, {"new.pem": pem_of(signed(acme, "ps2", started))})

    assert word == "Refused"
    assert "which was replaced on" in text and "Have the newer CSR signed." in text
    assert new[0][0] == "Imported"


def test_csr_that_replaces_a_staged_certificate_is_staged_with_its_own_key(
    living, homes, started, acme
):
    files = {f"{name}.pem": pem_of(signed(acme, name, started)) for name in homes}
    bring(living, started, files)
    carry_on(living, started, to="assigned")
    before = homes["ps2"].staged()
    generate(living, started, "ps2")
    living.run()
    assert homes["ps2"].staged() is None

    bring(living, started, {"ps2.pem": pem_of(signed(acme, "ps2", started))})
    living.run()

    assert homes["ps2"].staged().leaf_sha256 == request_of("ps2", started).sha256
    assert homes["ps2"].staged() != before


def test_reissued_certificate_for_the_same_key_is_staged_anew(living, homes, started, acme):
    files = {f"{name}.pem": pem_of(signed(acme, name, started)) for name in homes}
    bring(living, started, files)
    carry_on(living, started, to="assigned")
    later = signed(acme, "ps1", started, days=350)

    assert bring(living, started, {"later.pem": pem_of(later)})[0][0] == "Imported"
    living.run()

    assert homes["ps1"].staged().leaf_sha256 == request_of("ps1", started).sha256
    assert request_of("ps1", started).expires_at == later.not_valid_after_utc


def test_missing_certificate_holds_the_activation_and_is_named(living, homes, started, acme):
    bring(living, started, {"ps1.pem": pem_of(signed(acme, "ps1", started))})

    carry_on(living, started, to="held")

    assert started.state == "assigned"
    assert started.held_reason.startswith("ps2 and ps3 have no future certificate.")
    assert homes["ps1"].staged() is not None


@pytest.fixture
def going_on(living, acme):
    operation = start(living, acme, without_certificate="go_on")
    files = {f"{name}.pem": pem_of(signed(acme, name, operation)) for name in ("ps1", "ps3")}
    bring(living, operation, files)
    return operation


def test_goes_on_without_a_server_if_that_was_decided(living, homes, going_on, acme):
    before = homes["ps2"].live()
    carry_on(living, going_on)
    assert (going_on.state, going_on.held_reason) == ("overlap", "")
    assert homes["ps2"].live() == before

    bring(living, going_on, {"ps2.pem": pem_of(signed(acme, "ps2", going_on))})
    living.run()

    assert homes["ps2"].live().leaf_sha256 == request_of("ps2", going_on).sha256
    assert ServerProgress.objects.get(operation=going_on, device__name="ps2").activated_at


def test_does_not_go_on_without_any_server(living, acme):
    operation = start(living, acme, without_certificate="go_on")

    carry_on(living, operation, to="held")

    assert "ps1, ps2 and ps3 have no future certificate." in operation.held_reason
