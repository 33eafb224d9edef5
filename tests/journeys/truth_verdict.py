"""
Whether pages, database, files and ports agree, from what a watch has written down.

Each function returns the disagreements, as sentences; an empty list is the verdict wanted.
"""

from bisect import bisect_right
from collections import defaultdict

from tests.journeys.truth import PORTS, UPDATE_LABELS, log_lines

LOGGED_IN = 1  # seconds: the resolution of a log
WITHIN = 5.0  # seconds from a device's own log line to what pages say
CANCELED = UPDATE_LABELS["withdrawn"]
STEPS = [None, *(UPDATE_LABELS[s] for s in ("assigned", "download", "update", "pending"))]
STEPS += [UPDATE_LABELS["completed"], CANCELED]
CONTENT = ["Waiting for its schedule", "Replicating", "Available"]
ORDERED = {"update": STEPS, "newest": STEPS, "content": CONTENT, "proven": [False, True]}
LOOKED_AT = ("current", "identity")  # no log says when
# A contact alone is written at most once in so many seconds (devices.actions.CONTACT_RESOLUTION).
CONTACTS_APART = 30


def pages_against_rows(samples):
    """What a page shows stood in the database just before, or just after, or in between."""
    found = []
    for before, page, after in zip(samples, samples[1:], samples[2:], strict=False):
        if page.source != "page":
            continue
        for key, shown in page.facts.items():
            was, is_ = before.facts.get(key), after.facts.get(key)
            if key[0] != "word" and not _is_between(key[0], was, shown, is_):
                found.append(f"{page.where}: {key} is {shown}; the database: {was}, then {is_}")
    return found


def _is_between(kind, was, shown, is_):
    if shown in (was, is_):
        return True
    if kind in ORDERED and {was, shown, is_} <= set(ORDERED[kind]):
        place = ORDERED[kind].index
        return place(was) <= place(shown) <= place(is_)
    if kind == "counts" and was and is_:
        limits = [sorted(pair) for pair in zip(was, is_, strict=True)]
        pairs = zip(limits, shown, strict=True)
        return all(low <= number <= high for (low, high), number in pairs)
    return (
        kind in ("completed", "contact") and None not in (was, shown, is_) and was <= shown <= is_
    )


def rows_ahead_of_devices(samples):
    """What the database says of a device's update, the device itself remembers by then."""
    found, furthest = [], defaultdict(int)  # how far each device has been: a cancel takes it back
    for rows, files, _ in _followed(samples, "files"):
        for key, label in rows.facts.items():
            own = files.facts.get(key, CANCELED)  # not a device's, or another update's
            if key[0] != "update" or {own, label} - set(STEPS) or label == CANCELED:
                continue
            furthest[key] = max(furthest[key], STEPS.index(own))
            if STEPS.index(label) > max(furthest[key], STEPS.index(UPDATE_LABELS["assigned"])):
                found.append(f"{key}: the database says {label}, the device {own}")
    return found


def rows_ahead_of_content(samples):
    """A server whose content is called Available has the file."""
    found = []
    for rows, files, later in _followed(samples, "files"):
        for key, label in rows.facts.items():
            is_still = later.facts.get(key) == label == "Available"
            if key[0] == "content" and is_still and not files.facts.get(key, True):
                found.append(f"{key}: Available, and the file is not there")
    return found


def rows_ahead_of_the_wire(samples):
    """A certificate that the database calls Active is what every port of its server sends."""
    seen = defaultdict(list)  # the leaves of each server in the order in which they came
    for sample in samples:
        for key, leaf in sample.facts.items():
            if key[0] in ("port", "current") and leaf and leaf not in seen[key[1]]:
                seen[key[1]].append(leaf)
    found = []
    for rows, wire, _ in _followed(samples, "wire"):
        for name, ports in PORTS.items():
            place, active = seen[name].index, rows.facts.get(("current", name))
            for port in ports:
                leaf = wire.facts.get(("port", name, port))
                if leaf and active and place(leaf) < place(active):
                    found.append(f"{name}:{port} sends {leaf[:16]}, Active is {active[:16]}")
    return found


def _followed(samples, source):
    """Yield rows, the next look of another source after them, and the rows after that."""
    for place, rows in enumerate(samples):
        if rows.source != "database":
            continue
        for later, seen in enumerate(samples[place:], place):
            if seen.source == source:
                after = next((s for s in samples[later:] if s.source == "database"), rows)
                yield rows, seen, after
                break


def events(zone, update):
    """Return what each device's log says of itself: by fact, when and what holds from then on."""
    pk, guid = update.number, update.guid
    found = defaultdict(list)
    for name in zone.devices:
        for at, text in log_lines(zone.home / "logs" / f"{name}.agent.log"):
            words = text.split()
            if text.startswith(f"Update {guid}: ") and words[2].strip(".") in UPDATE_LABELS:
                found["update", name, pk].append((at, UPDATE_LABELS[words[2].strip(".")]))
            elif text.startswith("Trusts CA "):
                anchors = text.removeprefix("Trusts CA ").strip(".").split(", ")
                found["anchors", name].append((at, frozenset(anchors)))
                found["trusts", name].append((at, len(anchors)))
    return found


def seen_changes(samples, source, kind):
    """Return when files or ports were first seen to hold what they do, by fact."""
    found = defaultdict(list)
    for sample in samples:
        if sample.source != source:
            continue
        for key, value in sample.facts.items():
            known = found[kind, key[1]]
            if key[0] in (kind, "port") and value and value not in {v for _, v in known}:
                known.append((sample.ended, value))
    return found


def late(watch, told):
    """
    Return the pages that were wrong longer than WITHIN after a device told its log.

    Seconds in which somebody on this machine waited, see Waited, are not counted. Also return
    how long each news took on the clock of the wall, for those who want to know.
    """
    found, took = [], {}
    for page in watch.samples:
        for key, shown in page.facts.items() if page.source == "page" else ():
            times = [at for at, _ in told.get(key, ())]
            place = bisect_right(times, page.began) - 1
            if place < 0 or place + 1 < bisect_right(times, page.ended):
                continue  # nothing told yet, or news while the page was made
            at, value = told[key][place]
            if _is_ahead(key[0], shown, told[key][place + 1 :], page.ended):
                continue
            if _says(key[0], shown, value):
                took.setdefault((key, at, page.where), page.ended - at)
            elif page.began - at - watch.waited.between(at, page.began) > WITHIN:
                seconds = page.began - at
                found.append(f"{page.where}: {key} is {shown}, {seconds:.0f} s after {value}")
    return found, sorted(took.values())


def _is_ahead(kind, shown, later, ended):
    """Whether a page says the next news, which is dated to when it was certainly told."""
    if kind in LOOKED_AT:  # at ports and in files, once a round
        return shown in [value for _, value in later]
    return any(_says(kind, shown, value) for at, value in later[:1] if at - LOGGED_IN <= ended)


def _says(kind, shown, told):
    if kind == "update" and {shown, told} <= set(STEPS):
        return STEPS.index(shown) >= STEPS.index(told)
    if kind == "anchors":
        return {one[:16] for one in shown} == set(told)
    return shown == told


def unsettled(samples):
    """When nothing moves any more everything is the same everywhere."""
    truth = {}
    for sample in samples:
        truth |= sample.facts if sample.source in ("files", "wire") else {}
    truth |= {("trusts", key[1]): len(held) for key, held in truth.items() if key[0] == "anchors"}
    found = []
    for sample in samples:
        for key, shown in sample.facts.items() if sample.source == "page" else ():
            if key[0] == "content":
                shown = shown == "Available"
            if key in truth and shown not in (truth[key], CANCELED):
                found.append(f"{sample.where}: {key} is {shown}, and truly {truth[key]}")
            for port in PORTS.get(key[1], ()) if key[0] == "current" else ():
                if truth["port", key[1], port] != shown:
                    found.append(f"{sample.where}: {key} is {shown}, {port} sends another")
    return found


def wrong_ages(samples, name, *, asleep_since, asleep_until):
    """Of a device that sleeps every page says when it was heard of last, and that is true."""
    found = []
    for page in samples:
        contact = page.facts.get(("contact", name)) if page.source == "page" else None
        if contact is None or not asleep_since < page.began <= page.ended < asleep_until:
            continue
        if not asleep_since - CONTACTS_APART - WITHIN < contact.timestamp() <= asleep_since:
            found.append(f"{page.where}: {name} was heard of at {contact}")
    return found
