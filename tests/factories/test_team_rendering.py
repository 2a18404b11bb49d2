"""A spec becomes a folder: the same bytes everywhere, and no text of a spec ever becomes code."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_servers.factories import literals
from mcp_servers.factories.fileset import File, FileSet, NotOurs, write
from mcp_servers.factories.spec_files import load_spec
from mcp_servers.factories.team import render
from teams.spec import TeamSpec, printable
from tests.factories.goldens import is_as_it_was
from tests.factories.specs import content_team, support_team

ROOT = Path(__file__).parents[2]

HOSTILE = [
    '"""\nimport os\nos.system("x")\n"""',
    "'''",
    '\\"',
    "\\",
    "{{ 7 * 7 }} {% raw %} {# x #}",
    "{braces} %s $(rm -rf /) `id`",
    "a\nb\n\nc\td",
    "# noqa",
    "Füße \u00d7 日本語 \U0001f600 \U0010ffff",
    "yes",
    "- item",
    "key: value",
    "&anchor *alias !!python/object:os.system",
    "<script>alert(1)</script> [x](javascript:y) | a | @here https://evil.example",
    "x" * 190,
    " ".join(["word"] * 38),
]


def _accepted(text: str) -> bool:
    """Whether a spec takes it; what a spec refuses is not rendered."""
    try:
        return bool(printable(text))
    except ValueError:
        return False


texts = st.one_of(
    st.sampled_from(HOSTILE),
    st.lists(st.sampled_from([*HOSTILE, "word", " ", "é", '"', "'"]), min_size=1, max_size=6).map("".join),
    st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp"]), min_size=1, max_size=150).filter(
        _accepted
    ),
)


@st.composite
def specs(draw: st.DrawFn) -> TeamSpec:
    """Teams whose every free text may be hostile."""

    def text(limit: int) -> str:
        return draw(texts)[:limit].strip() or "x"

    base = draw(st.sampled_from([content_team, support_team]))().model_dump(mode="json")
    members = [m | {"role": text(200), "goal": text(2000), "backstory": text(2000)} for m in base["members"]]
    work = [piece | {"description": text(2000), "expected_output": text(2000)} for piece in base["work"]]
    changes: dict[str, Any] = {"purpose": text(200), "description": text(2000), "members": members, "work": work}
    return TeamSpec.model_validate(base | changes)


@pytest.mark.rows("F06", "F07", "F14")
@pytest.mark.parametrize("spec", [content_team(), support_team()], ids=lambda spec: spec.framework)
def test_a_team_is_rendered_as_it_was(spec: TeamSpec) -> None:
    """Regenerated with `ELF_GOLDEN=overwrite`."""
    assert is_as_it_was(render(spec), spec.folder)


@pytest.mark.parametrize("name", ["executive", "devops"])
@pytest.mark.rows("F15", "F20", "F90", "L2")
def test_the_seeded_teams_are_what_the_factory_makes_of_their_team_yaml(name: str) -> None:
    folder = ROOT / "meta_teams" / name
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    found = {path: content for path, content in found.items() if not path.endswith(".pyc")}
    assert dict(render(load_spec(found["team.yaml"]), "meta_teams")) == found


def test_two_processes_with_different_hash_seeds_render_the_same_bytes() -> None:
    code = (
        "from mcp_servers.factories.team import render; from tests.factories.specs import content_team, support_team; "
        "print(render(content_team()).digest, render(support_team()).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": zone, "LC_ALL": locale},
            capture_output=True,
            check=True,
        ).stdout
        for seed, zone, locale in [("1", "UTC", "C"), ("4711", "Asia/Tokyo", "C.UTF-8")]
    }
    assert digests == {f"{render(content_team()).digest} {render(support_team()).digest}\n".encode()}


@given(specs())
@settings(max_examples=60, deadline=None)
def test_whatever_a_spec_says_its_python_holds_exactly_its_texts_and_no_other_code(spec: TeamSpec) -> None:
    rendered = render(spec)
    plain = render(_with_plain_texts(spec))
    for path, content in rendered.items():
        if not path.endswith(".py"):
            continue
        tree = ast.parse(content)
        # The code is that of the same team with harmless texts: only string constants differ.
        assert _shape(tree) == _shape(ast.parse(plain[path])), path
    for member in spec.members:
        module = ast.parse(rendered[f"agents/{member.name.replace('-', '_')}.py"])
        (call,) = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
        said = {k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}
        assert (said["role"], said["goal"], said["backstory"]) == (member.role, member.goal, member.backstory)
    pieces = [node for node in ast.walk(ast.parse(rendered["tasks.py"])) if isinstance(node, ast.Call)]
    said = [{k.arg: k.value.value for k in piece.keywords if isinstance(k.value, ast.Constant)} for piece in pieces]
    assert said == [piece.model_dump() for piece in spec.work]
    assert load_spec(rendered["team.yaml"]) == spec


@given(specs())
@settings(max_examples=20, deadline=None)
def test_no_text_gets_into_manifests_or_the_image(spec: TeamSpec) -> None:
    rendered, plain = render(spec), render(_with_plain_texts(spec))
    for path in rendered:
        if path == "Dockerfile" or (path.startswith("k8s/") and path != "k8s/kustomization.yaml"):
            # The Dockerfile names the spec's digest in its comment.
            assert rendered[path].split(b"spec-")[0] == plain[path].split(b"spec-")[0], path
    assert yaml.safe_load(rendered["k8s/kustomization.yaml"])["images"][0]["newTag"].startswith("spec-")


@pytest.mark.rows("F18")
def test_generated_python_passes_the_projects_own_checks(tmp_path: Path) -> None:
    hostile = [
        support_team(
            name=f"hostile-{n}",
            purpose=HOSTILE[n][:200],
            description=text * 3,
            members=[
                m.model_dump() | {"role": text[:200].strip(), "backstory": text * 4} for m in support_team().members
            ],
            work=[w.model_dump() | {"description": text, "expected_output": text * 2} for w in support_team().work],
        )
        for n, text in enumerate(HOSTILE)
    ]
    odd_names = ["print", "type-checking", "annotations", "a01", "a1", "a10", "a2"]
    template = content_team().members[0].model_dump()
    odd = content_team(
        name="odd-team",
        members=[template | {"name": n, "manager": n == "a1", "skeptic": n == "a2"} for n in odd_names],
        work=[content_team().work[0].model_dump() | {"member": "print"}],
    )
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for spec in [content_team(), support_team(), content_team(process="hierarchical", name="led-team"), odd, *hostile]:
        write(render(spec), tmp_path / "teams" / spec.folder)
    ruff = Path(sys.executable).with_name("ruff")
    for arguments in (["format", "--check", "--diff", "."], ["check", "--no-cache", "."]):
        checked = subprocess.run([ruff, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.rows("F12", "F18")
@pytest.mark.parametrize("spec", [content_team(), support_team()], ids=lambda spec: spec.framework)
def test_a_generated_teams_own_tests_pass_and_notice_an_edit(spec: TeamSpec, tmp_path: Path) -> None:
    folder = tmp_path / "teams" / spec.folder
    write(render(spec), folder)
    assert _own_tests(folder) == 0
    agent = folder / "agents" / f"{spec.members[1].name}.py"
    agent.write_text(agent.read_text().replace("tools=TOOLS", "tools=('git__push',) or TOOLS"))
    assert _own_tests(folder) == 1


def test_a_template_that_forgets_a_filter_does_not_render() -> None:
    with pytest.raises(literals.Unescaped, match="without a filter"):
        literals.only_literals("os.system('x')")
    with pytest.raises(literals.Unescaped, match="is not a name"):
        literals.name("x\nprivileged: true")


def test_without_escaping_a_text_would_become_code() -> None:
    attack = '")\nimport os\nprint("'
    planted = f'Agent(role="{attack}")'
    assert any(isinstance(node, ast.Import) for node in ast.walk(ast.parse(planted)))
    safe = f"Agent({literals.py(attack, before='role=', after='')})"
    assert not any(isinstance(node, ast.Import) for node in ast.walk(ast.parse(safe)))


def test_markdown_shows_hostile_text_and_does_nothing_with_it() -> None:
    shown = literals.md("<img src=x> [a](b) @here https://e.example\n\n# Title | cell | `code`")
    assert not set("<>@") & set(shown)
    assert "://" not in shown
    assert "\n" not in shown
    assert "\\[a\\]\\(b\\)" in shown


def test_writing_never_touches_a_folder_with_anything_else_in_it(tmp_path: Path) -> None:
    rendered, out = render(content_team()), tmp_path / "out"
    write(rendered, out)
    write(rendered, out)
    write(render(support_team()), out, replacing=rendered)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} == set(render(support_team()))
    (out / "team.yaml").write_text("mine")
    with pytest.raises(NotOurs, match=r"team\.yaml"):
        write(render(support_team()), out)
    assert (out / "team.yaml").read_text() == "mine"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a//b", "a/../b", "ä", "a b", "", "-x/../y"])
def test_a_path_outside_the_folder_is_no_path_of_a_file_set(path: str) -> None:
    with pytest.raises(ValueError, match="no path of a rendered file"):
        FileSet({path: File(b"")})


def _with_plain_texts(spec: TeamSpec) -> TeamSpec:
    data = spec.model_dump(mode="json")
    for part in (data, *data["members"], *data["work"]):
        part |= {
            key: "x"
            for key in ("purpose", "description", "role", "goal", "backstory", "expected_output")
            if key in part
        }
    return TeamSpec.model_validate(data)


def _shape(tree: ast.AST) -> str:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


def _own_tests(folder: Path) -> int:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "/dev/null",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        str(folder),
    ]
    environment = {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode
