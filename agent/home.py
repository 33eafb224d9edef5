"""
The only writer of a server or device home: install, stage, arm, activate, clean up, retire.

    security/        server.pem  what listeners load: the chain that is sent, and the key
                     server.cer server.key ca.cert link.cer operation   what it is made of
                     requested.der   a key whose first certificate is on its way
                     trust-store/ALIAS.pem
    remint-repo/     server.cer key.der ca.cert link.cer bridge.cer operation go-ahead.json
                     server.* and key.der may be put there by hand: see `remint_repo`
                     canary.pem   what is staged, and the canary port shows: chain and key
    previous/        what was live before, until the old CA is retired
                     rescue.pem   what the rescue port shows: that chain, and its key
    content-repo/    one file per content item, named by its SHA-256
    zenworks-setup/  what this server offers for download
    ca/ secrets/     keys, written through write_secret

What listeners load follows from the other files: see `shown`. Every method may be killed anywhere
and called again: see `journal`.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

from agent import content, files, held, journal, kept, pairs, pem, remint_repo, shown
from agent.held import GoAhead, Live, Staged
from agent.held import HomeError as HomeError
from agent.journal import Change

SERVER_FOLDERS = (
    "security/trust-store",
    "remint-repo",
    "previous",
    "content-repo",
    "zenworks-setup",
    "ca",
    "secrets",
)
_PARTS = ("server.cer", "server.key", "ca.cert", "link.cer", "operation")


class Home(content.Holder, kept.Folder):
    """The home in the folder `path`. `make` it once; then any process may use it at any time."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.server_pem = self.path / "security" / "server.pem"

    def make(self, *, folders: tuple[str, ...] = SERVER_FOLDERS) -> None:
        """Make the home and its folders, for this user alone. What is there stays."""
        for name in ("", *folders):
            files.make_folder(self.path / name)

    def repair(self) -> None:
        """Finish or tidy up what a killed process left. For the start of whoever serves from it."""
        with self._settled():
            for folder in ("", *SERVER_FOLDERS, "security"):
                files.clear_temporaries(self.path / folder)
            if self._read("security/server.cer"):
                self._make(Change())
        content.clear_incoming(self.path / "content-repo")

    def install(self, *, key_der: bytes, chain_pem: bytes, ca_pem: bytes) -> None:
        """
        Make a certificate live: the first one, or a fresh one on the same CA.

        Raises HomeError if the key does not belong to the certificate.
        """
        with self._settled():
            change = Change()
            change.set("security/server.cer", pairs.check(chain_pem, key_der, folder=self.path))
            change.set("security/server.key", pem.key(key_der))
            change.set("security/ca.cert", ca_pem)
            change.set("security/requested.der", None)
            if self._read("security/ca.cert") != ca_pem:
                change.set("security/link.cer", None)
                change.set("security/operation", None)
            self._make(change)

    def current_key(self, make: Callable[[], bytes]) -> bytes:
        """Return the DER key for which a certificate on the present CA is asked, made only once."""
        with self._settled():
            return self._key("security/requested.der", make, Change())

    def future_key(self, operation: str, make: Callable[[], bytes], *, request: int = 0) -> bytes:
        """
        Return the DER key of this home for `operation`, made only once for each `request`.

        What another operation or request left is removed first. Raises HomeError if it is live.
        """
        with self._settled():
            self._must_not_be_live(operation)
            change = Change()
            is_known = self._text("remint-repo/operation") == operation
            before = int(self._text("remint-repo/request") or 0) if is_known else -1
            if before > request:
                raise HomeError("This server has made a newer request meanwhile.")
            if before < request:
                self._empty(change, "remint-repo")
                change.set("remint-repo/operation", operation.encode())
                change.set("remint-repo/request", str(request).encode() if request else None)
            return self._key("remint-repo/key.der", make, change)

    def reserve(self, operation: str) -> None:
        """Keep remint-repo for `operation`, whose certificate and key are put there by hand."""
        with self._settled():
            self._must_not_be_live(operation)
            known = self._text("remint-repo/operation")
            if known != operation:
                change = Change()
                if known is not None:  # what is there was not put there by hand for this one
                    self._empty(change, "remint-repo")
                change.set("remint-repo/operation", operation.encode())
                self._make(change)

    def put_by_hand(self, operation: str) -> remint_repo.Found | None:
        """Return what was put into remint-repo by hand for `operation`. Raises HomeError."""
        with self._settled():
            is_ours = self._text("remint-repo/operation") == operation
            folder, chain = self.path / "remint-repo", self._staged_chain()
            return remint_repo.find(folder, ours=chain) if is_ours else None

    def prove_pair(self, chain_pem: bytes, key_der: bytes) -> None:
        """Complete a TLS handshake with this certificate and key. Raises HomeError."""
        pairs.shake_hands(chain_pem, key_der, folder=self.path)

    def try_staged(self, operation: str, client: ssl.SSLContext) -> None:
        """Let what is staged serve one TLS handshake with `client`. Raises HomeError."""
        with self._settled():
            chain, key = self._must_be_staged(operation)
        pairs.serve(chain, key, client, folder=self.path)

    def stage(
        self,
        operation: str,
        *,
        chain_pem: bytes,
        ca_pem: bytes,
        link_pem: bytes | None,
        bridge_pem: bytes | None,
        key_der: bytes | None = None,
    ) -> None:
        """
        Put the certificate of `operation` beside its key in remint-repo.

        `key_der` is a key that was put there by hand, in PKCS #8; files put there by hand become
        server.cer and key.der. Does nothing if exactly this certificate is live already. Raises
        HomeError if there is no key for the operation or it does not belong to the certificate.
        """
        with self._settled():
            if self._is_live(operation, chain_pem):
                return
            key = key_der or self._read("remint-repo/key.der")
            if key is None or self._text("remint-repo/operation") != operation:
                raise HomeError("This server has no key for the certificate of this operation.")
            chain, change = pairs.check(chain_pem, key, folder=self.path), Change()
            for name in remint_repo.NAMES:
                change.set(f"remint-repo/{name}", None)
            change.set("remint-repo/server.cer", chain)
            change.set("remint-repo/key.der", key)
            change.set("remint-repo/canary.pem", chain + pem.key(key))
            change.set("remint-repo/ca.cert", ca_pem)
            change.set("remint-repo/link.cer", link_pem)
            change.set("remint-repo/bridge.cer", bridge_pem)
            self._make(change)

    def arm(self, operation: str, go_ahead: bytes) -> None:
        """
        Keep the signed manifest `go_ahead`, and from now on send the bridge.

        Does nothing if the operation is live already. Raises HomeError if it is not staged.
        """
        with self._settled():
            if self._text("security/operation") == operation:
                return
            self._must_be_staged(operation)
            change = Change()
            change.set("remint-repo/go-ahead.json", go_ahead)
            self._make(change)

    def activate(self, operation: str) -> bool:
        """
        Put the staged certificate to use; return whether that was done now.

        False means that it was in use already. Raises HomeError if it is not staged.
        """
        with self._settled():
            if self._text("security/operation") == operation:
                return False
            chain, key = self._must_be_staged(operation)
            change = Change()
            for name in _PARTS:
                change.set(f"previous/{name}", self._read(f"security/{name}"))
            for name in ("ca.cert", "link.cer"):
                change.set(f"security/{name}", self._read(f"remint-repo/{name}"))
            change.set("security/server.cer", chain)
            change.set("security/server.key", key)
            change.set("security/operation", operation.encode())
            self._empty(change, "remint-repo")
            self._make(change)
            return True

    def roll_back(self, operation: str, *, link_pem: bytes | None) -> bool:
        """
        Put to use again what was live before `operation`; return whether that was done now.

        What was live is kept in previous/. False: the operation is not live. Raises HomeError if
        nothing is left to go back to.
        """
        with self._settled():
            if self._text("security/operation") != operation:
                return False
            if not (self._read("previous/server.cer") and self._read("previous/server.key")):
                raise HomeError("The old certificate is no longer on this server.")
            change = Change()
            for name in _PARTS:
                change.set(f"previous/{name}", self._read(f"security/{name}"))
                change.set(f"security/{name}", self._read(f"previous/{name}"))
            change.set("security/link.cer", link_pem)
            self._make(change)
            return True

    def set_link(self, link_pem: bytes | None, *, leaf_sha256: str) -> bool:
        """
        Send this link from now on, or none; return whether that is new.

        A link is right for one certificate. If what is live is not `leaf_sha256` any more, because
        somebody has switched or gone back meanwhile, nothing is done.
        """
        with self._settled():
            live = self._read("security/server.cer")
            if live is None or pem.fingerprint(live) != leaf_sha256:
                return False
            is_new = self._read("security/link.cer") != link_pem
            if is_new:
                self._make(Change({"security/link.cer": link_pem}))
            return is_new

    def forget_previous(self, ca_pem: bytes) -> None:
        """Keep nothing more of what was live before under this CA; another one's stays."""
        with self._settled():
            if self._read("previous/ca.cert") == ca_pem:
                change = Change()
                self._empty(change, "previous")
                self._make(change)

    def retire(self) -> None:
        """Forget the old CA: send no link any more, and keep nothing of what was live before."""
        with self._settled():
            change = Change()
            change.set("security/link.cer", None)
            self._empty(change, "previous")
            self._make(change)

    def give_up(self) -> None:
        """Destroy every key and certificate here: this device is to show none any more."""
        with self._settled():
            change = Change()
            for name in (*_PARTS, "server.pem", "requested.der"):
                change.set(f"security/{name}", None)
            for folder in ("remint-repo", "previous"):
                self._empty(change, folder)
            self._make(change)

    def clean(self, operation: str | None) -> None:
        """Remove from remint-repo what `operation`, or with None any operation, left there."""
        with self._settled():
            if operation is None or self._text("remint-repo/operation") == operation:
                change = Change()
                self._empty(change, "remint-repo")
                self._make(change)

    def live(self) -> Live | None:
        """Return what listeners show, None before the first certificate."""
        with self._settled():
            sent = self._read("security/server.pem")
            if sent is None:
                return None
            chain = pem.join(pem.split(sent))
            return Live(pem.fingerprint(chain), chain, self._text("security/operation"))

    def staged(self) -> Staged | None:
        """Return the certificate in remint-repo, None if there is none (there may be a key)."""
        with self._settled():
            chain = self._staged_chain()
            operation = self._text("remint-repo/operation")
            if chain is None or operation is None:
                return None
            return Staged(pem.fingerprint(chain), chain, operation)

    def armed(self, update_key: bytes) -> GoAhead | None:
        """
        Return the go-ahead for what is staged if it is signed with the pinned `update_key`.

        Its expiry does not count: a server that was cut off after arming switches nevertheless.
        """
        with self._settled():
            envelope = self._read("remint-repo/go-ahead.json")
            operation = self._text("remint-repo/operation")
        return held.go_ahead(envelope, update_key, operation=operation)

    def set_anchors(self, anchors: list[bytes]) -> None:
        """Let the trust store hold exactly these CAs of the zone; other aliases stay."""
        wanted = {f"zone-ca-{pem.fingerprint(anchor)[:16]}.pem": anchor for anchor in anchors}
        with self._settled():
            change = Change()
            for name, anchor in wanted.items():
                change.set(f"security/trust-store/{name}", anchor)
            for path in self._anchor_files():
                if path.name not in wanted:
                    change.set(f"security/trust-store/{path.name}", None)
            self._make(change)

    def anchors(self) -> list[bytes]:
        """Return the CAs of the zone in the trust store, as PEM."""
        with self._settled():
            return [path.read_bytes() for path in self._anchor_files()]

    def _make(self, change: Change) -> None:
        """Make the change, and let what listeners load follow from the other files."""
        for name, data in shown.files(lambda name: self._after(change, name)).items():
            change.set(name, data)
        journal.make(change, self.path)

    def _after(self, change: Change, name: str) -> bytes | None:
        return change.contents[name] if name in change.contents else self._read(name)

    def _key(self, name: str, make: Callable[[], bytes], change: Change) -> bytes:
        key = self._after(change, name)
        if key is None:
            key = make()
            change.set(name, key)
            self._make(change)
        return key

    def _empty(self, change: Change, folder: str) -> None:
        for path in (self.path / folder).glob("*"):
            change.set(f"{folder}/{path.name}", None)

    def _is_live(self, operation: str, chain_pem: bytes) -> bool:
        live = self._read("security/server.cer")
        if live is None or self._text("security/operation") != operation:
            return False
        return pem.fingerprint(live) == pem.fingerprint(chain_pem)

    def _must_not_be_live(self, operation: str) -> None:
        if self._text("security/operation") == operation:
            raise HomeError("The certificate of this operation is in use already.")

    def _must_be_staged(self, operation: str) -> tuple[bytes, bytes]:
        """Return the chain and the key that are staged, both as PEM."""
        chain, pair = self._staged_chain(), self._read("remint-repo/canary.pem")
        if chain is None or pair is None or self._text("remint-repo/operation") != operation:
            raise HomeError("The future certificate of this operation is not on this server.")
        return chain, pair[len(chain) :]

    def _staged_chain(self) -> bytes | None:
        """What is staged is in canary.pem: the files beside it may be changed by hand."""
        pair = self._read("remint-repo/canary.pem")
        return None if pair is None else pem.join(pem.split(pair))

    def _anchor_files(self) -> list[Path]:
        return sorted((self.path / "security/trust-store").glob("zone-ca-*.pem"))
