"""Making an operation's evidence pack, on the server that holds the key that signs it."""

import hashlib
import logging
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.faults import fault_point
from agent.home import Home
from certificates import evidence, keys
from certificates.models import EvidencePack, Operation
from zcc.ground import claims, clock

RETRY_AFTER = timedelta(seconds=30)

logger = logging.getLogger(__name__)


def carry_out(row: EvidencePack, *, home: Home) -> None:
    """Make the claimed pack, or say in its row why that cannot be done now."""
    try:
        with claims.held(row) as hold:
            _make(row, home=home, hold=hold)
    except claims.LeaseLost as error:
        logger.info("%s is another worker's: %s", row, error)
    except (keys.KeyUnavailable, OSError, ValueError) as error:
        logger.exception("%s could not be made", row)
        again = clock.now() + RETRY_AFTER
        claims.mine(row).update(
            problem=str(error)[:400], retry_at=again, claim_id=None, lease_until=None
        )


def _make(row: EvidencePack, *, home: Home, hold: claims.Hold) -> None:
    now = clock.now()
    if not EvidencePack.objects.wanted(now).filter(pk=row.pk).exists():
        claims.release(row)  # a message that came twice
        return
    operation = Operation.objects.select_related("zone", "update", "old_ca", "new_ca").get(
        pk=row.operation_id
    )
    key = keys.load_update_key(home, operation.zone)
    last = operation.events.order_by("pk").last()
    covers = last.pk if last else 0
    content, counts = evidence.build(operation, key, covers=covers, now=now)
    fault_point("evidence-built")
    hold.check()
    claims.mine(row).update(
        made_at=now,
        covers=covers,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        counts=counts,
        update_key=_public(key),
        problem="",
        retry_at=None,
        claim_id=None,
        lease_until=None,
    )


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
