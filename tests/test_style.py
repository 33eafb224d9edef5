"""The budgets and the rules of the house, checked on the code itself."""

import ast
import statistics
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.test import RequestFactory
from django.urls import URLPattern, URLResolver, get_resolver

ROOT = Path(__file__).parents[1]
PURE = ("pki", "agent")
APPLICATIONS = ("devices", "systemupdates", "certificates", "zcc/ground")
PACKAGES = (*PURE, "devices", "systemupdates", "certificates", "zcc")

FUNCTION_LINES = 60
MEDIAN_LINES = 8
FILE_LINES = 400
VIEW_LINES = 40
TASK_LINES = 8
TEST_LINES = 30
TEMPLATE_LINES = {"page": 150, "dialog": 60, "partial": 40}
BANNED_NAMES = {"utils", "helpers", "common", "services", "constants"}

# Who may be asked without a signed-in user, and why.
OPEN_TO_ALL = {
    "health": "load balancers and the supervisor ask it",
    "login": "it is how one signs in",
    "certificates:me": "a mobile's user has no account; the secret in the address is what counts",
    "certificates:me_refresh": "the same",
    "certificates:me_enrol_again": "the same",
}


def sources(*folders):
    """Return the Python files below `folders` that somebody wrote by hand."""
    files = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return [path for path in files if "migrations" not in path.parts]


@cache
def tree(path):
    return ast.parse(path.read_text(), filename=str(path))


def functions(path):
    """Yield each function of a file; of nested ones the outer and the inner."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node):
    """Return the lines of a function's body, without its docstring and its signature."""
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def place(path, node):
    return f"{path.relative_to(ROOT)}:{node.lineno}"


def too_long(paths, limit, wanted=lambda node: True):
    """List the functions that are longer than `limit` lines, as they stand in the file."""
    return [
        f"{place(path, node)} {node.name}: {node.end_lineno - node.lineno + 1} lines"
        for path in paths
        for node in functions(path)
        if wanted(node) and node.end_lineno - node.lineno + 1 > limit
    ]


def decorators(node):
    return {
        name.id if isinstance(name, ast.Name) else getattr(name, "attr", "")
        for decorator in node.decorator_list
        for name in [decorator.func if isinstance(decorator, ast.Call) else decorator]
    }


def test_functions_are_short():
    assert too_long(sources(*PACKAGES, "tests"), FUNCTION_LINES) == []


def test_half_of_all_functions_are_very_short():
    lengths = [length(node) for path in sources(*PACKAGES) for node in functions(path)]

    assert statistics.median(lengths) <= MEDIAN_LINES


def test_files_are_short():
    files = [*sources(*PACKAGES, "tests"), *(ROOT / "static").glob("*.js")]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in files}

    assert {path: count for path, count in lines.items() if count > FILE_LINES} == {}


def test_views_are_short():
    assert too_long((ROOT / app / "views.py" for app in existing("views.py")), VIEW_LINES) == []


def test_tasks_are_very_short():
    paths = [ROOT / app / "tasks.py" for app in existing("tasks.py")]
    is_task = lambda node: "shared_task" in decorators(node)  # noqa: E731

    assert too_long(paths, TASK_LINES + 3, is_task) == []  # with decorator, name and docstring


def test_tests_are_short():
    is_test = lambda node: node.name.startswith("test_")  # noqa: E731

    assert too_long(sources("tests"), TEST_LINES, is_test) == []


def existing(name):
    return [app for app in APPLICATIONS if (ROOT / app / name).exists()]


def kind_of_template(path):
    if path.name.startswith("_"):
        return "partial"
    return "dialog" if path.stem.endswith("_dialog") else "page"


def test_templates_are_short():
    templates = sorted((ROOT / "templates").rglob("*.html"))
    lines = {path: len(path.read_text().splitlines()) for path in templates}

    assert [
        f"{path.relative_to(ROOT)}: {count} lines"
        for path, count in lines.items()
        if count > TEMPLATE_LINES[kind_of_template(path)]
    ] == []


def test_templates_have_no_inline_script_or_style():
    forbidden = ("<style", " style=", " onclick=", " onchange=", "hx-on:", "javascript:")

    assert [
        f"{path.relative_to(ROOT)}: {word}"
        for path in sorted((ROOT / "templates").rglob("*.html"))
        for word in forbidden
        if word in path.read_text()
    ] == []


def test_modules_are_named_after_what_they_are_about():
    assert [
        str(path.relative_to(ROOT)) for path in sources(*PACKAGES) if path.stem in BANNED_NAMES
    ] == []


def test_imports_stand_at_the_top():
    assert [
        place(path, node)
        for path in sources(*PACKAGES, "tests")
        for function in functions(path)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ] == []


@pytest.mark.parametrize("package", PURE)
def test_public_functions_of_pki_and_agent_say_what_for(package):
    assert [
        f"{place(path, node)} {node.name}"
        for path in sources(package)
        for node in tree(path).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ] == []


def test_every_module_says_what_lives_in_it():
    assert [
        str(path.relative_to(ROOT))
        for path in sources(*PACKAGES)
        if path.read_text().strip() and path.name != "__init__.py"
        if not ast.get_docstring(tree(path))
    ] == []


def calls(*folders):
    for path in sources(*folders):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                yield path, node


def test_no_message_carries_a_time():
    times = {"eta", "countdown"}

    assert [
        place(path, node)
        for path, node in calls(*PACKAGES)
        if times & {keyword.arg for keyword in node.keywords}
    ] == []


def test_only_the_doorbell_and_beat_send_messages():
    allowed = {ROOT / "zcc/ground/doorbell.py", ROOT / "zcc/processes/parts.py"}
    senders = {"send_task", "apply_async", "delay", "si", "chord"}

    assert [
        place(path, node)
        for path, node in calls(*PACKAGES)
        if isinstance(node.func, ast.Attribute)
        and node.func.attr in senders
        and path not in allowed
    ] == []


def test_applications_do_not_sleep():
    assert [
        place(path, node)
        for path, node in calls(*APPLICATIONS, "pki")
        if ast.unparse(node.func) in {"time.sleep", "sleep"}
        if "commands" not in path.parts  # a person is waiting there
    ] == []


def test_pki_does_not_know_what_time_it_is():
    clocks = {"datetime.now", "datetime.utcnow", "datetime.today", "time.time", "date.today"}

    assert [
        place(path, node) for path, node in calls("pki") if ast.unparse(node.func) in clocks
    ] == []


def patterns(resolver, prefix=""):
    """Yield name and view of every URL of the console."""
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            inner = f"{entry.namespace}:" if entry.namespace else ""
            yield from patterns(entry, prefix + inner)
        elif isinstance(entry, URLPattern):
            yield f"{prefix}{entry.name or entry.pattern}", entry.callback


def is_open(view):
    """Say whether the middleware would let anyone through to this view."""
    middleware = LoginRequiredMiddleware(lambda request: None)
    request = RequestFactory().get("/")
    request.user = type("Nobody", (), {"is_authenticated": False})()
    return middleware.process_view(request, view, (), {}) is None


def test_every_url_needs_a_signed_in_user_except_the_listed_ones():
    assert "django.contrib.auth.middleware.LoginRequiredMiddleware" in settings.MIDDLEWARE

    urls = list(patterns(get_resolver()))

    assert {name for name, view in urls if is_open(view)} == set(OPEN_TO_ALL)
    assert len(urls) > len(OPEN_TO_ALL)
