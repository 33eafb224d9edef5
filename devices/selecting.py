"""The devices that are ticked in a list, or stand in a dialog that was opened from there."""

from django.http import HttpRequest

from devices.models import Device, Zone

MOST = 1000


def selected(request: HttpRequest, zone: Zone) -> list[Device]:
    """Return them by name; one more than can be chosen at once if there are too many."""
    given = request.POST if request.method == "POST" else request.GET
    chosen = [pk for pk in given.getlist("device") if pk.isascii() and pk.isdigit()]
    chosen = [pk for pk in chosen if len(pk) < 18][: MOST + 1]
    return list(Device.objects.filter(zone=zone, pk__in=chosen).order_by("name"))


def why_not(devices: list[Device]) -> str:
    """Return why nothing can be done with so many devices, nothing if it can."""
    if not devices:
        return "No device is selected. Tick the devices, then open this again."
    return f"At most {MOST} devices can be chosen at once." if len(devices) > MOST else ""
