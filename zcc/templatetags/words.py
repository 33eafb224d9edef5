"""
Status words: `{% load words %}`. Always a word and an icon, never a colour alone.

    {% status "Pending Certificate Activation" %}     family and icon come from the tables below
    {% status row.get_state_display %}
    {% status "Available" "Available, 4 of 4" %}      the look of one word, the text of another
    {% status_as "ok" "check-circle-fill" "In contact, 11 min ago" %}
    {% tag "CA role" %}   {% tag "Future certificate" "wait" "hourglass-split" %}
    {{ word|family }}     "ok", "run", "wait", "warn", "bad" or "mute"
    {{ word|word_icon }}  the icon's name, for `{% icon %}`
"""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from zcc.templatetags.icons import icon

register = template.Library()

# The tables "Status words" and "The operation, word by word" of the design.
WORDS = {
    "Active": ("ok", "check-circle-fill"),
    "Update Completed": ("ok", "check-circle-fill"),
    "Available": ("ok", "check-circle-fill"),
    "Imported": ("ok", "check-circle-fill"),
    "Certificates imported": ("ok", "box-arrow-in-down"),
    "Completed": ("ok", "check-circle-fill"),
    "Overlap": ("ok", "intersect"),
    "Baselined": ("ok", "archive"),
    "Download in Progress": ("run", "arrow-down-circle-fill"),
    "Replicating": ("run", "arrow-down-circle-fill"),
    "Update in Progress": ("run", "arrow-repeat"),
    "Being made": ("run", "gear"),
    "Preparing": ("run", "gear"),
    "Assigned": ("run", "send-check"),
    "Activating": ("run", "arrow-repeat"),
    "Canceling": ("run", "arrow-counterclockwise"),
    "Rolling back": ("warn", "arrow-counterclockwise"),
    "Pending Certificate Activation": ("wait", "hourglass-split"),
    "Future certificate": ("wait", "hourglass-split"),
    "Waiting for its schedule": ("mute", "hourglass-split"),
    "New certificate created": ("wait", "patch-check"),
    "Certificate imported": ("wait", "box-arrow-in-down"),
    "Issued, not used yet": ("wait", "patch-check"),
    "Being issued": ("run", "gear"),
    "Replaced": ("mute", "archive"),
    "Armed": ("wait", "lock-fill"),
    "Update Assigned": ("mute", "circle"),
    "Not taken": ("mute", "dash-circle"),
    "Download not completed": ("mute", "dash-circle"),
    "Update not completed": ("mute", "dash-circle"),
    "Activation not reported": ("mute", "dash-circle"),
    "Not assigned": ("mute", "dash-circle"),
    "No update": ("mute", "dash-circle"),
    "Used up": ("mute", "check-circle"),
    "Update Ignored": ("mute", "slash-circle"),
    "Canceled": ("mute", "slash-circle"),
    "Rolled back": ("mute", "arrow-counterclockwise"),
    "Retired": ("mute", "archive"),
    "Retirement": ("run", "calendar2-check"),
    "CA retired": ("ok", "archive"),
    "Key destroyed": ("ok", "key"),
    "Key moved": ("ok", "key"),
    "Deleted": ("mute", "dash-circle"),
    "Skipped": ("mute", "dash-circle"),
    "Not known": ("mute", "question-circle"),
    "Told": ("run", "send-check"),
    "Activated": ("run", "arrow-repeat"),
    "Cleaning up": ("run", "arrow-counterclockwise"),
    "Finished": ("ok", "check-circle-fill"),
    "Could not be done": ("bad", "x-octagon-fill"),
    "Not told": ("mute", "circle"),
    "Trusts": ("run", "patch-check"),
    "Proven": ("ok", "patch-check"),
    "Switched": ("ok", "check-circle-fill"),
    "Cleaned up": ("ok", "check-circle-fill"),
    "Yes": ("ok", "check-circle-fill"),
    "By link": ("run", "link-45deg"),
    "By backward link": ("run", "link-45deg"),
    "By rescue port": ("warn", "life-preserver"),
    "No": ("bad", "x-octagon-fill"),
    "CSR generated": ("run", "file-earmark-arrow-up"),
    "CSR asked for": ("run", "file-earmark-arrow-up"),
    "Future certificate made anew": ("run", "gear"),
    "Identity CA made": ("ok", "patch-check"),
    "Postponed": ("warn", "clock-history"),
    "Signed off": ("warn", "pencil-square"),
    "Expires soon": ("warn", "clock-history"),
    "At risk": ("warn", "exclamation-triangle-fill"),
    "Late server": ("warn", "clock-history"),
    "Certificate missing": ("warn", "exclamation-triangle-fill"),
    "Outdated": ("warn", "clock-history"),
    "Held": ("warn", "pause-circle-fill"),
    "Update Failed": ("bad", "x-octagon-fill"),
    "Failed": ("bad", "x-octagon-fill"),
    "Cancel failed": ("bad", "x-octagon-fill"),
    "Expired": ("bad", "x-octagon-fill"),
    "Creating certificate failed": ("bad", "x-octagon-fill"),
    "Refused": ("bad", "x-octagon-fill"),
}
# A word that nobody has drawn yet is shown quietly rather than not at all.
UNKNOWN = ("mute", "circle")


@register.filter
def family(word: str) -> str:
    """Return the family of colours that a status word belongs to."""
    return WORDS.get(word, UNKNOWN)[0]


@register.filter
def word_icon(word: str) -> str:
    """Return the name of a status word's icon."""
    return WORDS.get(word, UNKNOWN)[1]


@register.simple_tag
def status(word: str, text: str = "") -> SafeString:
    """Show a status word with its icon; `text` replaces what is read."""
    return status_as(family(word), word_icon(word), text or word)


@register.simple_tag
def status_as(family: str, icon_name: str, text: str) -> SafeString:
    """Show any sentence in the form of a status."""
    return format_html(
        '<span class="z-status is-{}">{}<span>{}</span></span>', family, icon(icon_name), text
    )


@register.simple_tag
def tag(text: str, family: str = "", icon_name: str = "") -> SafeString:
    """Show a property of a name: a role, `Future certificate`."""
    return format_html(
        '<span class="z-tag{}">{}{}</span>',
        f" is-{family}" if family else "",
        icon(icon_name) if icon_name else "",
        text,
    )
