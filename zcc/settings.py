"""
The settings, all in this file.

Each one that comes from the environment has a default that works. The one thing without a default
is the secret key: it is a file that set-up makes, and without it nothing that needs it starts.
"""

import hashlib
import os
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

BASE_DIR = Path(__file__).resolve().parent.parent


def _flag(name: str) -> bool:
    return os.environ.get(name, "").lower() in {"1", "yes", "true", "on"}


def _seconds(name: str, default: timedelta) -> timedelta:
    text = os.environ.get(name)
    return timedelta(seconds=float(text)) if text else default


# Where everything lives that is not code: the default database, the embedded broker, server homes.
ZCC_HOME = Path(os.environ.get("ZCC_HOME") or BASE_DIR / "var").resolve()

DEBUG = _flag("ZCC_DEBUG")


def _secret_key(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""  # Django refuses to use an empty one, so only set-up gets by without it


SECRET_KEY_FILE = Path(os.environ.get("ZCC_SECRET_KEY_FILE") or ZCC_HOME / "secrets/secret_key")
SECRET_KEY = _secret_key(SECRET_KEY_FILE)

# A console is reached by whatever name or address its administrators use. Host headers cannot
# choose a link's target here (no e-mail, no absolute links), and CSRF compares Origin with Host.
ALLOWED_HOSTS = os.environ.get("ZCC_ALLOWED_HOSTS", "*").split(",")

# The product's own times
ZCC_CANCEL_CUTOFF = _seconds("ZCC_CANCEL_CUTOFF", timedelta(minutes=10))  # the manual's sentence
ZCC_LATE_AFTER = _seconds("ZCC_LATE_AFTER", timedelta(seconds=60))
ZCC_AUDIT_KEEP = _seconds("ZCC_AUDIT_KEEP", timedelta(days=730))
ZCC_CANCEL_TIMEOUT = _seconds("ZCC_CANCEL_TIMEOUT", timedelta(minutes=5))

# Applications and middleware

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "crispy_forms",
    "crispy_bootstrap5",
    "axes",
    "csp",
    "zcc",
    "zcc.ground",
    "devices",
    "systemupdates",
    "certificates",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "zcc.ground.time_zones.TimeZoneMiddleware",
    "zcc.ground.dialogs.RedirectMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "zcc.urls"
WSGI_APPLICATION = "zcc.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "zcc.context.shell",
            ],
        },
    },
]

CRISPY_ALLOWED_TEMPLATE_PACKS = "bootstrap5"
CRISPY_TEMPLATE_PACK = "bootstrap5"

# What this server trusts when it connects to PostgreSQL or Redis over TLS (zcc/ground/outgoing.py)


def _trust_store() -> Path | None:
    """Return this server's bundle of trusted CAs; None before it is set up, or on a demo's host."""
    pattern = f"servers/{os.environ.get('ZCC_SERVER') or '*'}/security/trust-store.pem"
    found = list(ZCC_HOME.glob(pattern))
    return found[0] if len(found) == 1 else None


TRUST_STORE = _trust_store()

# Database

# Anything less lost 30 to 60 % of concurrent transactions to "database is locked". FULL costs next
# to nothing, and a CA must not lose its last serial number at a power cut.
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": ("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"),
}


def _database(url: str) -> dict[str, object]:
    """Read sqlite:///PATH or postgres://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        # Not under tests' memory: several processes share one file there, too.
        path = unquote(parts.path.removeprefix("/"))
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": path,
            "OPTIONS": SQLITE_OPTIONS,
            "TEST": {"NAME": str(ZCC_HOME / "test.sqlite3")},
        }
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("DATABASE_URL begins with sqlite:/// or postgres://")
    options = dict(parse_qsl(parts.query))
    if TRUST_STORE is not None and options.get("sslmode", "").startswith("verify-"):
        options.setdefault("sslrootcert", str(TRUST_STORE))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.removeprefix("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": options.pop("host", unquote(parts.hostname or "")),
        "PORT": options.pop("port", str(parts.port or "")),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"connect_timeout": 5, **options},
    }


DATABASE_URL = os.environ.get("DATABASE_URL") or f"sqlite:///{ZCC_HOME / 'zone.sqlite3'}"
DATABASES = {"default": _database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# Broker: REDIS_URL, or the embedded Valkey of the supervisor on a socket that is ours alone


def broker_socket(home: Path) -> Path:
    """Return the socket of the embedded broker; the kernel takes at most 108 bytes of path."""
    path = home / "run" / "valkey.sock"
    if len(os.fsencode(path)) < 100:
        return path
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"zcc-{os.getuid()}-{digest}" / "valkey.sock"


BROKER_SOCKET = broker_socket(ZCC_HOME)
BROKER_IS_EMBEDDED = not os.environ.get("REDIS_URL")
REDIS_URL = os.environ.get("REDIS_URL") or f"redis+socket://{BROKER_SOCKET}"

# Celery: see zcc/celery.py

CELERY_BROKER_URL = REDIS_URL
if REDIS_URL.startswith("rediss:") and "ssl_c" not in REDIS_URL:  # the address says nothing of it
    CELERY_BROKER_USE_SSL = {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        **({"ssl_ca_certs": str(TRUST_STORE)} if TRUST_STORE else {}),
    }
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 3600,
    # kombu's defaults bring a killed worker's task back after an hour and 100 s.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    # Without limits a broker that is frozen or cut off holds beat up for as long as TCP hopes.
    "socket_connect_timeout": 5,
    "socket_timeout": 30,
    "socket_keepalive": True,
    "global_keyprefix": os.environ.get("ZCC_BROKER_PREFIX", "zcc:"),
}
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = "zone"
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_REDIRECT_STDOUTS = False
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = False
CELERY_WORKER_ENABLE_REMOTE_CONTROL = True
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_MAX_LOOP_INTERVAL = 1
CELERY_BEAT_SCHEDULE = {
    "tick": {
        "task": "certificates.tasks.tick",
        "schedule": 1.0,
        # `expires` is compared with the worker's clock: a worker 10 s fast threw every tick away.
        "options": {"queue": "zone", "expires": 600},
    },
}

# Signing in

LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses before a password is compared
    "django.contrib.auth.backends.ModelBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False  # 15 minutes, whoever goes on trying
AXES_LOCKOUT_TEMPLATE = "registration/locked_out.html"
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# Browser security. No HSTS: until the zone's CA is imported, a browser asks about the certificate
# once, and with HSTS it would not even ask.

SESSION_COOKIE_NAME = "zcc_session"
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_COOKIE_NAME = "zcc_csrf"
CSRF_COOKIE_SECURE = True
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2000

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    },
}

# Language, time, static files

LANGUAGE_CODE = "en-us"
USE_I18N = False
USE_TZ = True
TIME_ZONE = os.environ.get("ZCC_TIME_ZONE") or "UTC"
# Otherwise each administrator has the time zone of the browser.
TIME_ZONE_IS_FIXED = "ZCC_TIME_ZONE" in os.environ

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Found where they are: no collectstatic step that could be forgotten after an upgrade.
WHITENOISE_USE_FINDERS = True

# Logging: one line a record, to stderr, UTC. Request bodies, forms and headers are never logged.

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "zcc.processes.logs.UTCFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s: %(message)s",
        },
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("ZCC_LOG_LEVEL", "INFO")},
    "loggers": {
        "django": {"level": "INFO"},
        "django.server": {"handlers": [], "propagate": True},
        "celery.app.trace": {"level": "WARNING"},  # otherwise two lines for every tick
        "celery.worker.strategy": {"level": "WARNING"},
        "celery.beat": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}
