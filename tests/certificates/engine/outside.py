"""A CA that is not the zone's, to be met from outside: its root, and leaves it signs."""

from datetime import UTC, datetime

from pki import authority, csr, issue, keys, names


class Outside:
    """A root with an EC key, valid for five years from now."""

    def __init__(self, common_name):
        self.now = datetime.now(UTC)
        self.key = keys.generate("ec-p256")
        subject = names.ca_subject(common_name, serial_number="1")
        plan = authority.plan_root(subject, self.key, now=self.now, years=5)
        self.root = issue.sign(plan, self.key)

    def leaf(self, server, *, addresses=None):
        """Return a server's certificate and its key."""
        key = keys.generate("ec-p256")
        facts = {
            "subject_dns": server.dns_name,
            "dns_names": [],
            "ip_addresses": addresses or server.addresses,
        }
        request = csr.check(csr.build(key, **facts))
        plan = issue.plan_server(request, issuer=self.root, now=self.now, **facts)
        return issue.sign(plan, self.key), key
