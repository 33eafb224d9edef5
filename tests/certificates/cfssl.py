"""Another external CA that is not ours, made and run with CloudFlare's `cfssl`."""

import json
import subprocess

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

KEY = {"algo": "ecdsa", "size": 256}
PROFILES = {
    "signing": {
        "profiles": {
            "issuing": {
                "usages": ["cert sign", "crl sign"],
                "expiry": "26280h",
                "ca_constraint": {"is_ca": True},
            },
            "server": {"usages": ["digital signature", "server auth"], "expiry": "7200h"},
        }
    }
}


class Cfssl:
    """A root, and an intermediate that signs the servers' requests."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir(parents=True)
        (folder / "profiles.json").write_text(json.dumps(PROFILES))
        self.root = self._make("Root CA", "root", "-initca")
        self.intermediate = self._make("Issuing CA", "issuing", *self._by("root", "issuing"))

    @property
    def chain(self):
        """The file that such a CA hands out."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in (self.intermediate, self.root))

    def sign_server(self, csr):
        """Sign a server's request, with the names that stand in it."""
        request = x509.load_der_x509_csr(csr).public_bytes(Encoding.PEM)
        (self.folder / "server.csr").write_bytes(request)
        made = self._run("sign", *self._by("issuing", "server"), "server.csr")
        return x509.load_pem_x509_certificate(made["cert"].encode())

    def _make(self, name, stem, *options):
        asked = {"CN": f"Cfssl {name}", "key": KEY, "names": [{"O": "Cfssl"}]}
        (self.folder / f"{stem}.json").write_text(json.dumps(asked))
        made = self._run("gencert", *options, f"{stem}.json")
        (self.folder / f"{stem}.pem").write_text(made["cert"])
        (self.folder / f"{stem}.key").write_text(made["key"])
        return x509.load_pem_x509_certificate(made["cert"].encode())

    @staticmethod
    def _by(stem, profile):
        return ["-ca", f"{stem}.pem", "-ca-key", f"{stem}.key", "-config", "profiles.json",
                "-profile", profile]  # fmt: skip

    def _run(self, *command):
        done = subprocess.run(["cfssl", *command], cwd=self.folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
