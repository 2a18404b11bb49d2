"""What a team process can reach when Landlock holds it, and what it could reach without."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROBE = """
import json, os, socket, sys
from pathlib import Path
from teams.runtime.confine import code_to_read, confine
code, work, secret, gateway, other, locked = sys.argv[1:]
said = confine(readable=[*code_to_read(), Path(code)], writable=[Path(work)], connect_port=int(gateway)) if locked == "yes" else "none"
def reached(act):
    try:
        act()
        return True
    except OSError:
        return False
def connect(port):
    socket.create_connection(("127.0.0.1", int(port)), 2).close()
print(json.dumps({
    "said": said,
    "write own": reached(lambda: Path(work, "x").write_text("x")),
    "gateway": reached(lambda: connect(gateway)),
    "secret": reached(lambda: Path(secret).read_text()),
    "secret's folder": reached(lambda: os.listdir(Path(secret).parent)),
    "other port": reached(lambda: connect(other)),
    "parent's environment": reached(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
    "signal parent": reached(lambda: os.kill(os.getppid(), 0)),
    "write elsewhere": reached(lambda: Path(secret).parent.joinpath("new").write_text("x")),
}))
"""


def probe(tmp_path: Path, *, locked: bool) -> dict[str, object]:
    work, keys = tmp_path / "work", tmp_path / "keys"
    work.mkdir()
    keys.mkdir()
    (keys / "operator").write_text("secret")
    code = Path(__file__).resolve().parents[2]
    with socket.create_server(("127.0.0.1", 0)) as gateway, socket.create_server(("127.0.0.1", 0)) as other:
        ports = [str(one.getsockname()[1]) for one in (gateway, other)]
        arguments = [str(code / "teams"), str(work), str(keys / "operator"), *ports, "yes" if locked else "no"]
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *arguments], cwd=code, capture_output=True, text=True, check=True, timeout=30
        )
    return json.loads(done.stdout)


OWN = ("write own", "gateway")
FORBIDDEN = ("secret", "secret's folder", "other port", "parent's environment", "signal parent", "write elsewhere")


@pytest.mark.rows("L7", "F40")
def test_a_confined_process_reaches_its_own_folder_and_the_gateway_and_nothing_else(tmp_path: Path) -> None:
    found = probe(tmp_path, locked=True)
    if str(found["said"]).startswith("none") or "signals" not in str(found["said"]):
        pytest.skip(f"this kernel cannot confine fully: {found['said']}")
    assert {name for name in OWN if found[name]} == set(OWN)
    assert [name for name in FORBIDDEN if found[name]] == []


@pytest.mark.rows("L7")
def test_without_confinement_the_same_process_reaches_all_of_it(tmp_path: Path) -> None:
    found = probe(tmp_path, locked=False)
    assert [name for name in FORBIDDEN if not found[name]] == []
