"""What is seen in a change without running any of it. What the factories make is clean; each thing put into it is found."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_servers.checks import code_shape, texts
from mcp_servers.checks.secret_scan import SecretScanner, text_of
from policies.facts import Finding
from tests.checks.rendered import folders

KEY = "wx7-key+of/the=company-41"
SCANNER = SecretScanner(lambda: {"key operator": KEY, "too short to look for": "abc"})
ALL = [(path, name, data) for path, files in folders().items() for name, data in files.items()]


def seen(path: str, data: bytes, *, strict: bool = True) -> list[str]:
    return [finding.what for finding in texts.look(path, data, strict=strict)]


# ---------------------------------------------------------------------- text


@pytest.mark.rows("F18")
def test_nothing_is_found_in_what_the_factories_make() -> None:
    assert len(ALL) > 80
    for path, name, data in ALL:
        where, text = f"{path}/{name}", data.decode()
        assert [*texts.look(where, data, strict=True), *SCANNER.look(where, text)] == []
        assert not name.endswith(".py") or list(code_shape.look(where, text)) == []


@pytest.mark.rows("F105")
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\xfe", "not UTF-8"),
        (b"caf\xe9\n", "not UTF-8"),
        (b"\xef\xbb\xbfname: x\n", "byte order mark"),
        (b"a\0b\n", "U+0000"),
        (b"\x1b[31mred\n", "U+001B"),
        (b"one\rtwo\n", "carriage return"),
        ("x = 'a\u202eb'\n".encode(), "U+202E"),
        ("a\u2066b\u2069\n".encode(), "U+2066"),
        ("pay\u200bpal\n".encode(), "U+200B"),
        ("admin\u200d\n".encode(), "U+200D"),
        ("a\u2028b\n".encode(), "U+2028"),
        ("\U000e0041gs\n".encode(), "U+E0041"),
        ("so\u00adft\n".encode(), "U+00AD"),
        ("a\x85b\n".encode(), "U+0085"),
        (b"x" * (texts.LARGEST + 1), "at most"),
    ],
)
def test_what_hides_or_reorders_is_found(data: bytes, words: str) -> None:
    assert any(words in what for what in seen("teams/x/README.md", data))


@pytest.mark.rows("F105")
def test_what_people_write_in_every_language_is_no_finding() -> None:
    family = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
    for text in (
        "Grüße an alle\n",
        "日本語\n",
        f"{family}\n",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645\n",
        "tabs\tand\nlines\n",
    ):
        assert seen("teams/x/README.md", text.encode()) == []


@pytest.mark.rows("F105")
def test_a_python_file_cannot_be_shown_in_one_encoding_and_run_in_another() -> None:
    assert "encoding of its own" in seen("a.py", b"#!/usr/bin/python\n# -*- coding: utf-7 -*-\n")[0]
    assert seen("a.py", b"# coding: utf-8\n") == []


def test_a_persons_picture_is_no_text_and_no_finding() -> None:
    assert seen("docs/logo.png", b"\x89PNG\r\n\x1a\n\0\0", strict=False) == []
    assert seen("docs/page.html", "a\u202eb".encode(), strict=False) != []


@given(st.binary(max_size=300))
def test_no_bytes_whatever_break_the_looking(data: bytes) -> None:
    text = data.decode("utf-8", "backslashreplace")
    for finding in [
        *texts.look("a.py", data, strict=True),
        *code_shape.look("a.py", text),
        *SCANNER.look("a.py", text),
    ]:
        assert finding.what.isprintable()


# ---------------------------------------------------------------------- secrets

FORMS = {
    "raw": KEY,
    "base64": base64.b64encode(KEY.encode()).decode(),
    "base64 for addresses": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "base64 amid other text": base64.b64encode(f"user:{KEY}:and more".encode()).decode(),
    "base64 by lines": "\n".join(
        base64.b64encode(b"x" * 37 + KEY.encode()).decode()[at : at + 20] for at in range(0, 90, 20)
    ),
    "hex": KEY.encode().hex(),
    "HEX": KEY.encode().hex().upper(),
    "URL": quote(KEY, safe=""),
    "url": quote(KEY, safe="").lower(),
    "backwards": KEY[::-1],
    "every letter in URL form": "".join(f"%{byte:02X}" for byte in KEY.encode()),
    "some letters in URL form": KEY.replace("k", "%6b").replace("=", "%3D"),
    "URL form of URL form": "".join(f"%25{byte:02x}" for byte in KEY.encode()),
    "URL form by lines": "\n".join(f"%{byte:02X}" for byte in KEY.encode()),
}
#: What is hidden in a text as well as found: not what lines tear apart, nor the base64 of its neighbours.
HIDDEN = [form for form in FORMS if "lines" not in form and "amid" not in form]


@pytest.mark.rows("F105", "F76")
@pytest.mark.parametrize("form", FORMS)
def test_a_key_of_the_company_is_found_in_every_form_and_never_repeated(form: str) -> None:
    found = list(SCANNER.look("teams/x/README.md", f"See {FORMS[form]} there"))
    assert [one.check for one in found if one.check == "own_secrets"] == ["own_secrets"], found
    assert "key operator" in found[0].what
    _says_nothing(found)


@pytest.mark.rows("F105", "F76")
def test_a_key_in_a_files_name_is_found_and_hidden() -> None:
    found = list(SCANNER.look(f"teams/x/{KEY}.md", "nothing"))
    assert found and "[redacted]" in found[0].where
    _says_nothing(found)


def _says_nothing(found: list[Finding]) -> None:
    said = " ".join(f"{one.where} {one.what}" for one in found)
    assert not any(form in said for form in FORMS.values())


LOOK_ALIKES = {
    "GitHub token": "ghp_" + "a1B2" * 9,
    "model provider's key": "sk-" + "proj-" + "Ab1" * 12,
    "AWS key": "AKIA" + "ABCDEFGH12345678",
    "Slack token": "xoxb-" + "1234567890-abcdef",
    "web token": "eyJ" + "hbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0In0." + "c2lnbmF0dXJl",
    "private key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIE\n-----END RSA " + "PRIVATE KEY-----",
    "webhook address": "https://hooks.slack.com" + "/services/T000/B000/XXXX",
}


@pytest.mark.rows("F105", "F76")
@pytest.mark.parametrize("kind", LOOK_ALIKES)
def test_what_looks_like_somebodys_key_is_found_by_kind_and_never_repeated(kind: str) -> None:
    found = list(SCANNER.look("a.txt", f"key: {LOOK_ALIKES[kind]}\n"))
    assert [(one.check, kind in one.what) for one in found] == [("secrets", True)]
    assert LOOK_ALIKES[kind] not in found[0].what


def test_hidden_means_gone_from_a_text() -> None:
    hidden = SCANNER.hide(f"a {KEY} b {LOOK_ALIKES['GitHub token']} c {FORMS['base64']}")
    assert KEY not in hidden and "ghp_" not in hidden and FORMS["base64"] not in hidden


@pytest.mark.parametrize("form", HIDDEN)
def test_each_form_is_hidden_too(form: str) -> None:
    hidden = SCANNER.hide(f"a {FORMS[form]} b 100 %")
    # Of base64 the outermost letters, which depend on what stands beside it, are left.
    assert hidden.startswith("a [redacted]") and hidden.endswith(" b 100 %") and len(hidden) <= 24


@pytest.mark.rows("F76")
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", ["raw", "base64", "HEX", "every letter in URL form"])
def test_a_key_is_found_in_a_file_of_any_unicode_encoding(encoding: str, form: str) -> None:
    data = f"See {FORMS[form]} there\n".encode(encoding)
    assert [it.check for it in SCANNER.look("docs/x.txt", text_of(data))] == ["own_secrets"]


@pytest.mark.parametrize(
    "words", ["ask-me-anything-you-like-today", "task-force-of-the-company", "the sha is " + "0a1b2c3d" * 5]
)
def test_ordinary_words_are_no_secrets(words: str) -> None:
    assert list(SCANNER.look("a.txt", words)) == []


# ---------------------------------------------------------------------- the shape of code

TRICKS = {
    "a module that reaches everything": "import os\nos.system('true')",
    "by another name": "import subprocess as json",
    "inside a function": "def f():\n    import sys\n    sys.exit(0)",
    "a name of a good module": "from pathlib import os",
    "the module behind a good name": "from teams.runtime.package import importlib",
    "everything": "from teams.runtime.plan import *",
    "from above": "from ...runtime import package",
    "exec": "exec('1')",
    "eval by the back": "f = eval\nf('1')",
    "a builtin kept under its own name": "exec = (\n    exec\n)\nexec('1')",
    "a default that runs it": "def exec(\n    a=1,\n    b=exec('1'),\n): ...",
    "used before it is one's own": "eval('1')\ndef eval(x):\n    return x",
    "dunder attribute": "().__class__.__bases__",
    "dunder import": "__import__('os')",
    "builtins": "__builtins__",
    "getattr": "getattr(1, 'real')",
    "another pytest": "import pytest\npytest.exit('done', 0)",
    "hooks": "import pytest\n@pytest.fixture(autouse=True)\ndef f(): ...",
    "a class": "class A:\n    pass",
    "a loop": "while True: pass",
    "a try": "try:\n    x = 1\nexcept Exception:\n    pass",
    "a raise": "raise SystemExit(0)",
    "a walrus": "(x := 1)",
    "an f-string": "f'{1}'",
    "a deletion": "x = 1\ndel x",
    "a global": "def f():\n    global x\n    x = 1",
    "another __name__": "__name__ = 'x'",
    "no Python at all": "def def",
    "a NUL": "x = 1\0",
    "nested beyond reason": "(" * 500 + ")" * 500,
}


@pytest.mark.rows("F18", "F105")
@pytest.mark.parametrize("trick", TRICKS)
def test_code_that_no_template_makes_is_found(trick: str) -> None:
    assert [finding.check for finding in code_shape.look("teams/x/crew.py", TRICKS[trick])] == ["code"]


def test_a_member_may_be_called_like_a_builtin() -> None:
    """`agents/__init__.py` imports its functions before it names them."""
    assert list(code_shape.look("a.py", 'from .help import help\n\nAGENTS = {\n    "help": help,\n}\n')) == []
