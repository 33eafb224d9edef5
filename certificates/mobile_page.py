"""What the end-user page of a mobile says: how it is, and what its user can do."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from certificates import identities
from certificates.models import MobileIdentity
from certificates.models.identity import ACCEPTED_STATES
from devices import mobiles
from devices.models import Device
from systemupdates.models import DeviceUpdate


@dataclass
class MobilePage:
    """The page of one mobile, at one moment."""

    device: Device
    now: datetime

    @cached_property
    def identity(self) -> MobileIdentity | None:
        """The identity that it calls with, or is about to."""
        rows = MobileIdentity.objects.filter(device=self.device, state__in=ACCEPTED_STATES)
        return rows.select_related("device__zone", "authority").order_by("-pk").first()

    @cached_property
    def update(self) -> DeviceUpdate | None:
        """How far it is in the newest certificate update."""
        rows = DeviceUpdate.objects.filter(device=self.device, update__state="assigned")
        return rows.order_by("update_id").last()

    @property
    def why_to_enrol_again(self) -> str:
        """Why it can no longer call, nothing as long as it can."""
        if self.identity is None:
            return "This mobile has no identity with which it could call."
        if self.identity.expires_at is not None and self.identity.expires_at <= self.now:
            return "The identity of this mobile has expired."
        return identities.why_cut_off(self.identity)

    @property
    def why_not(self) -> str:
        """Why its user can do nothing here; nothing if it is in use."""
        return mobiles.why_no_page(self.device)
