"""The ports of a server; each server has all of them on its own address."""

CONSOLE = 7443
DEVICE_API = 7444
CANARY = 7445
RESCUE = 7446
SETUP = 7480
CONTENT = 7481


def host(address: str) -> str:
    """Return the address as it stands in a URL: an IPv6 address in brackets."""
    return f"[{address}]" if ":" in address else address


def console_url(address: str) -> str:
    return f"https://{host(address)}:{CONSOLE}/"


def device_url(address: str) -> str:
    return f"https://{host(address)}:{DEVICE_API}"


def canary_url(address: str) -> str:
    return f"https://{host(address)}:{CANARY}"


def content_url(address: str) -> str:
    return f"http://{host(address)}:{CONTENT}"


def setup_url(address: str) -> str:
    return f"http://{host(address)}:{SETUP}/zenworks-setup/"
