"""The contract: branches, refs, commits and files."""

from __future__ import annotations

import base64

from tests.git.contract.place import Place


def test_a_branch_is_made_read_and_deleted(place: Place) -> None:
    ref, sha = f"refs/heads/{place.branch()}", place.main()
    made = place.api("author", "POST", "git/refs", {"ref": ref, "sha": sha})
    assert (made.status_code, made.json()["ref"], made.json()["object"]["sha"]) == (201, ref, sha)
    assert place.api("author", "GET", f"git/ref/heads/{place.branch()}").json()["object"]["type"] == "commit"
    assert place.api("author", "GET", f"branches/{place.branch()}").json()["commit"]["sha"] == sha
    assert place.branch() in [it["name"] for it in place.api("author", "GET", "branches?per_page=100").json()]
    assert place.api("author", "DELETE", f"git/{ref}").status_code == 204
    assert place.api("author", "GET", f"git/ref/heads/{place.branch()}").status_code == 404
    assert place.api("author", "GET", f"branches/{place.branch()}").json()["message"] == "Branch not found"


def test_a_branch_is_made_once(place: Place) -> None:
    new = {"ref": f"refs/heads/{place.branch()}", "sha": place.main()}
    place.api("author", "POST", "git/refs", new)
    again = place.api("author", "POST", "git/refs", new)
    assert (again.status_code, again.json()["message"]) == (422, "Reference already exists")


def test_a_branch_starts_at_a_commit(place: Place) -> None:
    for sha in ("0" * 40, "f" * 40):
        answer = place.api("author", "POST", "git/refs", {"ref": f"refs/heads/{place.branch()}", "sha": sha})
        assert answer.status_code == 422


def test_a_branch_that_is_not_there_is_not_deleted(place: Place) -> None:
    answer = place.api("author", "DELETE", f"git/refs/heads/{place.branch('none')}")
    assert (answer.status_code, answer.json()["message"]) == (422, "Reference does not exist")


def test_refs_are_found_by_how_they_begin(place: Place) -> None:
    for name in ("b", "a"):
        place.push(place.branch(name), {place.file(): name.encode()})
    found = place.api("author", "GET", f"git/matching-refs/heads/auto/contract/{place.case}/").json()
    assert [it["ref"] for it in found] == [f"refs/heads/{place.branch(name)}" for name in ("a", "b")]
    assert place.api("author", "GET", f"git/matching-refs/heads/{place.branch('none')}").json() == []


def test_a_branch_moves_forward_and_elsewhere_only_by_force(place: Place) -> None:
    ref = f"git/refs/heads/{place.branch()}"
    one = place.push(place.branch(), {place.file(): b"1"})
    two = place.push(place.branch("two"), {place.file(): b"2"}, onto=place.branch())
    assert place.api("author", "PATCH", ref, {"sha": two}).json()["object"]["sha"] == two
    back = place.api("author", "PATCH", ref, {"sha": one})
    assert (back.status_code, back.json()["message"]) == (422, "Update is not a fast forward")
    assert place.api("author", "PATCH", ref, {"sha": one, "force": True}).json()["object"]["sha"] == one


def test_commits_are_listed_newest_first_and_read_by_any_name(place: Place) -> None:
    head = place.push(place.branch(), {place.file(): b"1"})
    listed = place.api("author", "GET", f"commits?sha={place.branch()}&per_page=2").json()
    assert (listed[0]["sha"], listed[0]["parents"][0]["sha"]) == (head, listed[1]["sha"])
    assert place.api("author", "GET", f"commits/{place.branch()}").json()["sha"] == head
    whole = place.api("author", "GET", f"git/commits/{head}").json()
    assert (whole["message"], whole["tree"]["sha"]) == (
        f"Contract {place.branch()}",
        listed[0]["commit"]["tree"]["sha"],
    )
    by_path = place.api("author", "GET", f"commits?sha={place.branch()}&path={place.file()}").json()
    assert [it["sha"] for it in by_path] == [head]


def test_a_commit_that_is_not_there_is_422(place: Place) -> None:
    answer = place.api("author", "GET", f"commits/{'f' * 40}")
    assert (answer.status_code, answer.json()["message"]) == (422, f"No commit found for SHA: {'f' * 40}")
    assert place.api("author", "GET", f"git/commits/{'f' * 40}").status_code == 404


def test_files_and_folders_are_read_at_any_commit(place: Place) -> None:
    head = place.push(place.branch(), {place.file("a/b.txt"): b"some\xffbytes"})
    file = place.api("author", "GET", f"contents/{place.file('a/b.txt')}?ref={head}").json()
    assert (file["type"], file["encoding"], base64.b64decode(file["content"])) == ("file", "base64", b"some\xffbytes")
    folder = place.api("author", "GET", f"contents/{place.file('a')}?ref={place.branch()}").json()
    assert [(it["type"], it["name"], it["size"]) for it in folder] == [("file", "b.txt", 10)]
    assert place.api("author", "GET", f"contents/{place.file('none')}?ref={head}").status_code == 404
    gone = place.api("author", "GET", f"contents/README.md?ref=none-{place.case}")
    assert (gone.status_code, gone.json()["message"]) == (404, f"No commit found for the ref none-{place.case}")


def put(place: Place, text: bytes, **more: str) -> tuple[int, dict[str, object]]:
    body = {"message": "By hand", "content": base64.b64encode(text).decode(), "branch": place.branch(), **more}
    answer = place.api("author", "PUT", f"contents/{place.file()}", body)
    return answer.status_code, answer.json()


def test_a_file_is_written_by_one_call_and_replaced_by_who_saw_it(place: Place) -> None:
    place.api("author", "POST", "git/refs", {"ref": f"refs/heads/{place.branch()}", "sha": place.main()})
    status, made = put(place, b"one")
    blob = str(made["content"]["sha"])  # pyright: ignore[reportIndexIssue] - JSON
    assert status == 201
    assert put(place, b"two")[0] == 422
    assert put(place, b"two", sha="1" * 40)[0] == 409
    status, replaced = put(place, b"two", sha=blob)
    assert (status, replaced["commit"]["message"]) == (200, "By hand")  # pyright: ignore[reportIndexIssue] - JSON
    found = place.api("author", "GET", f"contents/{place.file()}?ref={place.branch()}").json()
    assert base64.b64decode(found["content"]) == b"two"


def test_a_file_is_not_written_to_a_branch_that_is_not_there(place: Place) -> None:
    status, said = put(place, b"one")
    assert (status, said["message"]) == (404, f"Branch {place.branch()} not found")
