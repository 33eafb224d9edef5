"""The button `Enrol mobile`: a link, shown once, with the fingerprint of the CA."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from devices import mobiles
from devices.models import Device, EnrolmentLink, Kind

URL = reverse("devices:enrol_mobile") if False else "/devices/enrol-mobile/"
VALID = {"name": "phone1", "folder": "Mobile Devices/Oslo/", "days": "7"}


def secret_in(text):
    return re.search(r"/\.well-known/est#([\w-]+)\.", text)[1]
