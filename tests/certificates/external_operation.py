"""A change to an external CA by rows, as far as every server having made its request."""

from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding

from certificates import issuing
from certificates.models import CertificateAuthority, Operation, ServerCertificate
from certificates.models.certificate import Certificate
from pki import authority as authorities
from pki import csr, issue, keys, names
from systemupdates import actions as updates
from tests.certificates import building

KEY = 50  # which of building's keys the CA outside has


class External:
    """The operation, and the CA outside that signs its requests."""

    def __init__(self, ca, alice, now, **columns):
        self.now, self.ca = now, ca
        self.operation = building.make_operation(ca, by=alice, now=now - timedelta(hours=1))
        changes = {"kind": "change_ca", "csr_mode": "automatic", "csr_subject": {"O": "Acme"}}
        Operation.objects.filter(pk=self.operation.pk).update(**(changes | columns))
        self.operation = Operation.objects.get(pk=self.operation.pk)
        self.root = self._make_root()
        updates.start_replication(self.operation.update, sha256="ab" * 32, size=9, now=now)
        self.operation.mark_prepared(new_ca=self.root, at=now)
        self.operation.servers.update(requested_at=now)
        if self.operation.csr_mode == "automatic":
            for progress in self.operation.servers.select_related("device"):
                self.request(progress.device)

    def _make_root(self):
        subject = names.ca_subject("Acme Root CA", serial_number="X")
        plan = authorities.plan_root(subject, building.key(KEY), now=self.now, years=5)
        return CertificateAuthority.objects.create(
            zone=self.ca.zone,
            guid=self.operation.guid,
            kind="external",
            state="future",
            generation=2,
            server=self.ca.server,
            created_at=self.now,
            **Certificate.columns(issue.sign(plan, building.key(KEY))),
        )

    def request(self, server):
        """Let the server make its request."""
        request = csr.build(
            keys.generate("ec-p256"),
            subject_dns=server.dns_name,
            dns_names=issuing.dns_names(server, include_additional=True),
            ip_addresses=list(server.addresses),
            fields=self.operation.csr_subject,
        )
        return ServerCertificate.objects.create(
            device=server, operation=self.operation, csr=request, created_at=self.now
        )

    def sign(self, server):
        """Return what the CA sends back for the server's request: PEM."""
        row = ServerCertificate.objects.coming().get(device=server)
        plan = issue.plan_server(
            csr.check(bytes(row.csr)),
            issuer=self.root.x509(),
            subject_dns=server.dns_name,
            dns_names=[],
            ip_addresses=list(server.addresses),
            now=self.now,
        )
        return issue.sign(plan, building.key(KEY)).public_bytes(Encoding.PEM)
