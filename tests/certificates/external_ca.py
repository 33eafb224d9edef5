"""An external CA that is not ours: made and run with the `openssl` command, as others would."""

import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
CA += "subjectKeyIdentifier=hash\n"
LEAF = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
LEAF += "extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\n"
BY_KEY = "authorityKeyIdentifier=keyid:always\n"
BY_SERIAL = "authorityKeyIdentifier=keyid,issuer:always\n"


class ExternalCA:
    """A root, and an intermediate that signs the servers' requests."""

    def __init__(self, folder: Path, name="Acme", *, intermediate_names_by=BY_KEY, days=3000):
        self.folder, self.name, self.days = folder / name, name, days
        self.folder.mkdir(parents=True)
        for key in ("root", "issuing"):
            self.run("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{key}.key")
        self.root = self.make_root()
        self.run("req", "-new", "-key", "issuing.key", "-subj", f"/O={name}/CN={name} Issuing CA",
                 "-out", "issuing.csr")  # fmt: skip
        self.intermediate = self.sign("root", "issuing.csr", CA + intermediate_names_by, days=days)
        self.write("issuing.pem", self.intermediate)

    def make_root(self, *options):
        """Make the root's certificate; again: another one for the same name and key."""
        (self.folder / "root.conf").write_text(
            f"[req]\ndistinguished_name=dn\nx509_extensions=v3\n[dn]\n[v3]\n{CA}"
        )
        self.run("req", "-x509", "-new", "-config", "root.conf", "-key", "root.key",
                 "-subj", f"/O={self.name}/CN={self.name} Root CA", "-days", str(self.days),
                 *options, "-out", "root.pem")  # fmt: skip
        return self.read("root.pem")

    @property
    def chain(self):
        """The file that such a CA hands out."""
        return self.write("chain.pem", self.intermediate, self.root).read_bytes()

    @property
    def intermediates(self):
        return self.intermediate.public_bytes(Encoding.PEM).decode()

    def sign_server(self, csr, *, by="issuing", extensions=LEAF + BY_KEY, days=300, names="copy"):
        """Sign a server's request, with the names that stand in it, or `none` of them."""
        (self.folder / "server.der").write_bytes(csr)
        self.run("req", "-inform", "DER", "-in", "server.der", "-out", "server.csr")
        return self.sign(by, "server.csr", extensions, days=days, names=names)

    def sign(self, by, csr, extensions, *, days, digest="-sha256", names="copy"):
        (self.folder / "extensions").write_text(extensions)
        self.run("x509", "-req", "-in", csr, "-CA", f"{by}.pem", "-CAkey", f"{by}.key",
                 "-CAcreateserial", "-days", str(days), digest, "-copy_extensions", names,
                 "-extfile", "extensions", "-out", "signed.pem")  # fmt: skip
        return self.read("signed.pem")

    def run(self, *command):
        done = subprocess.run(
            ["openssl", *command], cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def read(self, name):
        return x509.load_pem_x509_certificate((self.folder / name).read_bytes())

    def write(self, name, *certificates):
        path = self.folder / name
        path.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in certificates))
        return path
