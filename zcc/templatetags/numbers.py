"""
Numbers and fingerprints: `{% load numbers %}`.

    {{ n|thousands }}            104,318
    {{ part|percent:whole }}     68 %, rounded down: never 100 % while one is missing
    {{ size|size }}              14 kB, 1.9 MB
    {{ n|count:"device" }}       1 device; 2 devices      {{ n|count:"entry,entries" }}
    {{ sha256|fingerprint }}     upper case with colons, whatever form it came in
    {{ sha256|fingerprint_ends }}    F2:30:45 … 79:35
"""

from django import template

register = template.Library()


@register.filter
def thousands(number: int) -> str:
    """Write a number with commas between thousands."""
    return f"{number:,}"


@register.filter
def count(number: int, noun: str) -> str:
    """Write a number with its noun in the right form; "one,many" for an irregular plural."""
    one, _, many = noun.partition(",")
    return f"{number:,} {one if number == 1 else many or one + 's'}"


@register.filter
def percent(part: int, whole: int) -> str:
    """Write a share, rounded down to whole percent."""
    return f"{share(part, whole)} %"


def share(part: int, whole: int) -> int:
    """Return the share of `part` in `whole` in percent, rounded down; 0 of 0 is 0."""
    return part * 100 // whole if whole else 0


@register.filter
def size(octets: int) -> str:
    """Write a size in bytes, kB or MB (powers of ten)."""
    if octets < 1000:
        return f"{octets} bytes"
    if octets < 999_500:
        return f"{octets / 1000:.0f} kB"
    return f"{octets / 1_000_000:.1f} MB"


@register.filter
def fingerprint(text: str) -> str:
    """Write a hexadecimal fingerprint in upper case with colons."""
    digits = text.replace(":", "").upper()
    if not digits or set(digits) - set("0123456789ABCDEF"):
        return text  # "unreadable", and whatever else is no fingerprint
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))


@register.filter
def fingerprint_ends(text: str) -> str:
    """Shorten a fingerprint to its first three and last two bytes."""
    written = fingerprint(text)
    return f"{written[:8]} … {written[-5:]}" if written.count(":") > 5 else written
