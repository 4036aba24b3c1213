"""Real git: the diff is ours, the person's work is untouched, and what is published moves in one step or not at all."""

import hashlib
import os
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from surefoot.adapters.vcs import GitRepository, git_usable
from surefoot.core.change import EXECUTABLE, FILE, LINK
from surefoot.core.errors import Conflict, Invalid, Unavailable

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def git(folder: Path, *words: str, stdin: bytes | None = None) -> str:
    env = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.com",
    }  # fmt: skip
    run = subprocess.run(["git", *words], cwd=folder, env=env, input=stdin, capture_output=True, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout.decode().strip()


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    top.mkdir()
    git(top, "init", "-q", "-b", "main")
    (top / "src").mkdir()
    (top / "src/app.py").write_text("one\ntwo\nthree\n")
    (top / "dos.txt").write_bytes(b"a\r\nb\r\n")
    (top / "run.sh").write_text("#!/bin/sh\n")
    (top / "run.sh").chmod(0o755)
    (top / "logo.bin").write_bytes(bytes(range(256)))
    (top / ".gitignore").write_text("*.log\nbuild/\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "first")
    return top


@pytest.fixture
def repo(top: Path, tmp_path: Path) -> GitRepository:
    return GitRepository(top, scratch=tmp_path / "scratch")


def head(top: Path) -> str:
    return git(top, "rev-parse", "HEAD")


def fingerprint(top: Path) -> dict[str, str]:
    """Everything of the person: every file of the tree, the index byte for byte, HEAD, hooks, settings, branches."""
    kept = [path for path in top.rglob("*") if ".git" not in path.relative_to(top).parts]
    kept += [top / ".git" / name for name in ("index", "HEAD", "config")] + list((top / ".git/hooks").iterdir())
    marks = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept if path.is_file()}
    return marks | {"refs": git(top, "for-each-ref", "refs/heads/main"), "stash": git(top, "stash", "list")}


# Looking


def test_the_facts_say_where_the_person_stands(top: Path, repo: GitRepository):
    facts = repo.facts()
    assert (facts.top, facts.head, facts.branch, facts.dirty) == (str(top), head(top), "main", ())
    (top / "src/app.py").write_text("changed\n")
    (top / "new file.txt").write_text("x")
    (top / "noise.log").write_text("x")
    assert repo.facts().dirty == ("new file.txt", "src/app.py")
    git(top, "checkout", "-q", "--detach")
    assert repo.facts().branch is None


def test_a_folder_inside_the_repository_finds_its_top(top: Path, tmp_path: Path):
    assert GitRepository(top / "src", scratch=tmp_path / "s").facts().top == str(top)


def test_a_repository_without_a_commit_has_an_empty_head(tmp_path: Path):
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "trunk")
    facts = GitRepository(empty, scratch=tmp_path / "s").facts()
    assert (facts.head, facts.branch) == ("", "trunk")


def test_no_repository_and_a_bare_one_are_named_with_what_to_do(tmp_path: Path):
    for folder in (tmp_path / "plain", tmp_path / "bare"):
        folder.mkdir()
    git(tmp_path / "bare", "init", "-q", "--bare")
    for folder in (tmp_path / "plain", tmp_path / "bare", tmp_path / "missing"):
        with pytest.raises(Invalid) as caught:
            GitRepository(folder, scratch=tmp_path / "s")
        assert caught.value.hint


def test_a_file_is_read_as_committed_and_never_through_a_link(top: Path, repo: GitRepository):
    (top / "src/app.py").write_text("not committed\n")
    assert repo.read("main", "src/app.py") == b"one\ntwo\nthree\n"
    assert repo.read("main", "dos.txt") == b"a\r\nb\r\n"
    assert repo.read("main", "missing") is None
    assert repo.read("main", "src") is None
    (top / "link").symlink_to("/etc/passwd")
    git(top, "add", "link")
    git(top, "commit", "-qm", "link")
    assert repo.read("main", "link") is None
    with pytest.raises(Invalid):
        repo.read("nowhere", "src/app.py")
    with pytest.raises(Invalid):
        repo.read("--help", "src/app.py")


def test_the_log_ends_where_asked(top: Path, repo: GitRepository):
    first = head(top)
    git(top, "commit", "-q", "--allow-empty", "-m", "second\n\nbody line\n\nTrailer: x")
    newest, *older = repo.log("main")
    assert (newest.subject, newest.author) == ("second", "Ada")
    assert newest.body.endswith("Trailer: x")
    assert newest.parents == (first,)
    assert len(older) == 1
    assert [commit.subject for commit in repo.log("main", after=first)] == ["second"]
    assert repo.log("surefoot/loop") == []


def test_a_note_is_kept_on_a_commit_and_replaced(top: Path, repo: GitRepository):
    assert repo.note("main") is None
    repo.annotate("main", "head 1", at=NOW)
    repo.annotate("main", "head 2", at=NOW)
    assert repo.note("main") == "head 2"


# Worktrees and our own diff


def test_the_diff_shows_every_kind_of_change(top: Path, repo: GitRepository):
    space = repo.open("main", "tick-1")
    tree = Path(space.path)
    (tree / "src/app.py").write_text("one\nTWO\nthree\n")
    (tree / "added.py").write_text("x = 1\n")
    (tree / "logo.bin").write_bytes(b"\0\1\2")
    (tree / "dos.txt").unlink()
    (tree / "run.sh").chmod(0o644)
    (tree / "out").symlink_to("/etc/passwd")
    (tree / "tool").write_text("#!/bin/sh\n")
    (tree / "tool").chmod(0o755)
    patch = repo.change(space)
    files = {file.path: file for file in patch.change.files}
    assert {path: file.kind for path, file in files.items()} == {
        "src/app.py": "M", "added.py": "A", "logo.bin": "M", "dos.txt": "D", "run.sh": "M", "out": "A", "tool": "A",
    }  # fmt: skip
    assert (files["src/app.py"].added, files["src/app.py"].removed, files["src/app.py"].size) == (1, 1, 14)
    assert files["logo.bin"].binary
    assert files["logo.bin"].size == 3
    assert files["out"].symlink
    assert files["out"].new_mode == LINK
    assert files["run.sh"].mode_changed
    assert (files["run.sh"].old_mode, files["run.sh"].new_mode) == (EXECUTABLE, FILE)
    assert files["tool"].mode_changed
    assert not files["added.py"].mode_changed
    assert patch.change.digest == hashlib.sha256(patch.content).hexdigest()
    assert patch.change.patch_bytes == len(patch.content)


def test_a_file_that_became_a_link_is_a_change_of_type(repo: GitRepository):
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").unlink()
    (Path(space.path) / "src/app.py").symlink_to("../../secret")
    (file,) = repo.change(space).change.files
    assert (file.kind, file.symlink, file.mode_changed) == ("T", True, True)


def test_a_rename_is_judged_at_both_ends(repo: GitRepository):
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").rename(Path(space.path) / "moved.py")
    assert [(file.kind, file.path) for file in repo.change(space).change.files] == [
        ("A", "moved.py"), ("D", "src/app.py"),
    ]  # fmt: skip


def test_nothing_done_is_an_empty_change(repo: GitRepository):
    space = repo.open("main", "t")
    assert repo.change(space).change.empty


def test_strange_names_come_back_as_they_are(repo: GitRepository):
    names = ["sp ace.txt", "tab\there", "line\nbreak", "ünï.txt", "-dash", ":(top)odd", 'quo"te', "*.py"]
    space = repo.open("main", "t")
    for name in names:
        (Path(space.path) / name).write_text("x\n")
    patch = repo.change(space)
    assert sorted(patch.change.paths) == sorted(names)
    kept = repo.draft("main", message="odd", at=NOW, patch=patch)
    assert all(repo.read(kept, name) == b"x\n" for name in names)


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
def test_line_ends_are_kept_whatever_the_settings_say(top: Path, repo: GitRepository, autocrlf: str):
    git(top, "config", "core.autocrlf", autocrlf)
    space = repo.open("main", "t")
    tree = Path(space.path)
    assert (tree / "dos.txt").read_bytes() == b"a\r\nb\r\n"
    assert (tree / "src/app.py").read_bytes() == b"one\ntwo\nthree\n"
    assert repo.change(space).change.empty
    (tree / "dos.txt").write_bytes(b"a\r\nB\r\n")
    (tree / "new.txt").write_bytes(b"x\r\ny\n")
    patch = repo.change(space)
    assert patch.change.paths == ("dos.txt", "new.txt")
    kept = repo.draft("main", message="m", at=NOW, patch=patch)
    assert repo.read(kept, "dos.txt") == b"a\r\nB\r\n"
    assert repo.read(kept, "new.txt") == b"x\r\ny\n"
    clean = repo.checkout("main", patch, "c")
    assert (Path(clean.path) / "new.txt").read_bytes() == b"x\r\ny\n"


def test_flags_in_the_authors_index_hide_nothing(repo: GitRepository):
    space = repo.open("main", "t")
    tree = Path(space.path)
    git(tree, "update-index", "--assume-unchanged", "src/app.py")
    git(tree, "update-index", "--skip-worktree", "dos.txt")
    (tree / "src/app.py").write_text("hidden\n")
    (tree / "dos.txt").write_text("hidden\n")
    assert repo.change(space).change.paths == ("dos.txt", "src/app.py")


def test_what_the_author_committed_is_still_in_the_diff(repo: GitRepository):
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").write_text("committed\n")
    git(Path(space.path), "commit", "-qam", "I was here")
    assert repo.change(space).change.paths == ("src/app.py",)


def test_a_submodule_and_a_repository_inside_are_visible(top: Path, repo: GitRepository, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    git(other, "commit", "-q", "--allow-empty", "-m", "x")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "lib")
    git(top, "commit", "-qm", "submodule")
    assert repo.facts().submodules == ("lib",)
    space = repo.open("main", "t")
    tree = Path(space.path)
    assert repo.change(space).change.empty
    inner = tree / "vendor"
    inner.mkdir()
    git(inner, "init", "-q")
    (inner / "payload.py").write_text("x")
    bare = tree / "newborn"
    bare.mkdir()
    git(bare, "init", "-q")
    git(tree, "update-index", "--add", "--cacheinfo", f"160000,{head(other)},lib")
    (tree / "lib").rmdir()
    patch = repo.change(space)
    seen = {file.path: (file.kind, file.submodule) for file in patch.change.files}
    assert seen["vendor"] == ("A", True)
    assert seen["newborn"] == ("A", True)
    assert seen["lib"] == ("D", True)
    assert b"payload" not in patch.content


@pytest.mark.parametrize(
    "meddle",
    [
        "hook",
        "pipe",
        "config",
        "attributes",
        "exclude",
        "alternates",
        "link",
        "link_replaced",
        "worktree_config",
        "swapped",
    ],
)
def test_meddling_with_git_itself_is_named_and_nothing_is_run(
    top: Path, repo: GitRepository, tmp_path: Path, meddle: str
):
    space = repo.open("main", "t")
    tree = Path(space.path)
    admin = Path((tree / ".git").read_text().removeprefix("gitdir: ").strip())
    common = top / ".git"
    (tree / ".gitattributes").write_text("*.py filter=evil\n")
    (tree / "src/app.py").write_text("x\n")
    ran = tmp_path / "ran"
    match meddle:
        case "hook":
            (common / "hooks/post-checkout").write_text("#!/bin/sh\n")
        case "pipe":
            os.mkfifo(common / "hooks/pre-push")
        case "config":
            git(top, "config", "filter.evil.clean", f"touch {ran}; cat")
        case "attributes":
            (common / "info").mkdir(exist_ok=True)
            (common / "info/attributes").write_text("* -diff\n")
        case "exclude":
            (common / "info/exclude").write_text("src\n")
        case "alternates":
            (common / "objects/info/alternates").write_text("/elsewhere\n")
        case "link":
            (tree / ".git").write_text("gitdir: /elsewhere\n")
        case "link_replaced":
            (tree / ".git").unlink()
            git(tree, "init", "-q")
        case "worktree_config":
            (admin / "config.worktree").write_text("[core]\n\tfsmonitor = evil\n")
        case _:
            tree.rename(tmp_path / "away")
            tree.symlink_to(tmp_path / "away")
    change = repo.change(space).change
    assert change.meddled
    assert not change.empty
    assert change.files == ()
    assert not ran.exists()
    repo.close(space)
    assert not tree.exists()
    assert repo.facts().head == head(top)


def test_a_person_who_branches_and_commits_meanwhile_is_no_meddler(top: Path, repo: GitRepository):
    space = repo.open("main", "t")
    git(top, "checkout", "-q", "-b", "topic", "--track", "main")
    git(top, "commit", "-q", "--allow-empty", "-m", "mine")
    git(top, "gc", "-q")
    (Path(space.path) / "src/app.py").write_text("x\n")
    assert repo.change(space).change.paths == ("src/app.py",)


def test_the_persons_hooks_and_filters_do_not_run(top: Path, repo: GitRepository, tmp_path: Path):
    ran = tmp_path / "ran"
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "post-merge", "prepare-commit-msg"):
        path = top / ".git/hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {ran}\n")
        path.chmod(0o755)
    git(top, "config", "core.fsmonitor", f"touch {ran}")
    git(top, "config", "diff.external", f"touch {ran}")
    git(top, "config", "commit.gpgSign", "true")
    git(top, "config", "gpg.program", f"touch {ran}")
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").write_text("x\n")
    sha = repo.draft("main", message="m", at=NOW, patch=repo.change(space))
    repo.move("surefoot/loop", sha, expected=None)
    repo.close(space)
    repo.forward(sha, expected=head(top))
    ran_before_asking = ran.exists()
    assert not ran_before_asking


def test_a_patch_is_applied_to_a_clean_checkout_of_the_base(top: Path, repo: GitRepository):
    space = repo.open("main", "t")
    tree = Path(space.path)
    (tree / "src/app.py").write_text("one\nTWO\nthree\n")
    (tree / "logo.bin").write_bytes(b"\0new")
    (tree / "tool").write_text("#!/bin/sh\n")
    (tree / "tool").chmod(0o755)
    (tree / "leftover.log").write_text("ignored, and therefore nobody's evidence")
    patch = repo.change(space)
    (top / "src/app.py").write_text("the person types\n")
    clean = Path(repo.checkout("main", patch, "gates").path)
    assert (clean / "src/app.py").read_text() == "one\nTWO\nthree\n"
    assert (clean / "logo.bin").read_bytes() == b"\0new"
    assert (clean / "tool").stat().st_mode & 0o111
    assert not (clean / "leftover.log").exists()
    assert git(clean, "write-tree") == git(
        top, "rev-parse", repo.draft("main", message="m", at=NOW, patch=patch) + "^{tree}"
    )


def test_what_gates_see_is_what_is_committed_even_when_attributes_rewrite_bytes(repo: GitRepository):
    space = repo.open("main", "t")
    tree = Path(space.path)
    (tree / ".gitattributes").write_text("*.txt text eol=crlf\n*.py ident\n")
    (tree / "new.txt").write_bytes(b"a\r\nb\r\n")
    (tree / "src/app.py").write_text("$Id$\n")
    patch = repo.change(space)
    again = repo.checkout("main", patch, "gates")
    assert repo.change(again).content == patch.content


def test_a_patch_that_does_not_apply_leaves_nothing(top: Path, repo: GitRepository):
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").write_text("one\nTWO\nthree\n")
    patch = repo.change(space)
    (top / "src/app.py").write_text("all\nother\n")
    git(top, "commit", "-qam", "moved on")
    with pytest.raises(Conflict, match="does not apply"):
        repo.checkout("main", patch, "gates")
    with pytest.raises(Conflict, match="does not apply"):
        repo.draft("main", message="m", at=NOW, patch=patch)
    assert repo.sweep(keep=["t"]) == ()


def test_a_long_history_is_never_copied(top: Path, repo: GitRepository):
    lines = ["reset refs/heads/long\n"]
    for number in range(3000):
        text = f"commit number {number}"
        lines.append(
            f"commit refs/heads/long\ncommitter A <a@example.com> {1700000000 + number} +0000\n"
            f"data {len(text)}\n{text}\n"
            f"M 100644 inline f{number % 50}\ndata 3\n{number % 1000:03d}\n"
        )
    git(top, "fast-import", "--quiet", stdin="".join(lines).encode())
    before = sum(path.stat().st_size for path in (top / ".git/objects").rglob("*") if path.is_file())
    space = repo.open("long", "t")
    admin = Path((Path(space.path) / ".git").read_text().removeprefix("gitdir: ").strip())
    assert admin.parent == top / ".git/worktrees"
    assert not (Path(space.path) / ".git").is_dir()
    assert before == sum(path.stat().st_size for path in (top / ".git/objects").rglob("*") if path.is_file())
    assert len(repo.log("long", limit=5000)) == 3000


def test_a_repository_with_long_ids_works_too(tmp_path: Path):
    top = tmp_path / "long"
    top.mkdir()
    git(top, "init", "-q", "-b", "main", "--object-format=sha256")
    (top / "a").write_text("1\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "first")
    repo = GitRepository(top, scratch=tmp_path / "s")
    space = repo.open("main", "t")
    (Path(space.path) / "b").write_text("2\n")
    sha = repo.draft("main", message="m", at=NOW, patch=repo.change(space), files={"a": None})
    repo.move("surefoot/loop", sha, expected=None)
    assert repo.read("surefoot/loop", "b") == b"2\n"
    assert repo.read("surefoot/loop", "a") is None


def test_a_shallow_clone_works_too(top: Path, tmp_path: Path):
    git(top, "commit", "-q", "--allow-empty", "-m", "second")
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "-q", "--depth", "1", top.as_uri(), str(shallow))
    repo = GitRepository(shallow, scratch=tmp_path / "s")
    assert repo.facts().shallow
    space = repo.open("HEAD", "t")
    (Path(space.path) / "src/app.py").write_text("x\n")
    assert repo.draft("HEAD", message="m", at=NOW, patch=repo.change(space))


def test_a_sparse_checkout_of_the_person_does_not_thin_out_ours(top: Path, repo: GitRepository):
    git(top, "sparse-checkout", "set", "--no-cone", "/src/")
    assert not (top / "dos.txt").exists()
    space = repo.open("main", "t")
    assert (Path(space.path) / "dos.txt").exists()
    assert repo.change(space).change.empty


def test_a_change_too_large_is_refused_before_it_is_read(repo: GitRepository):
    space = repo.open("main", "t")
    with (Path(space.path) / "huge").open("wb") as file:
        file.truncate(3 * 2**30)
    with pytest.raises(Conflict, match="64 MB"):
        repo.change(space)


def test_what_is_no_file_is_refused_in_words(repo: GitRepository):
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").unlink()
    os.mkfifo(Path(space.path) / "src/app.py")
    with pytest.raises(Conflict, match="recorded"):
        repo.change(space)


def test_what_a_killed_tick_left_is_swept_and_a_persons_worktree_stays(top: Path, repo: GitRepository, tmp_path: Path):
    git(top, "worktree", "add", "-q", "--detach", str(tmp_path / "persons"))
    (tmp_path / "persons").rename(tmp_path / "on another disk")
    kept, dead, half = (repo.open("main", name) for name in ("kept", "dead", "half"))
    (Path(dead.path) / "locked").mkdir()
    (Path(dead.path) / "locked/file").write_text("x")
    (Path(dead.path) / "locked").chmod(0o500)
    Path(half.path).rename(tmp_path / "gone")  # only git remembers it
    assert repo.sweep(keep=["kept"]) == ("dead", "half")
    assert Path(kept.path).is_dir()
    assert not Path(dead.path).exists()
    listed = git(top, "worktree", "list")
    assert "persons" in listed
    assert "dead" not in listed
    assert "half" not in listed
    repo.close(kept)
    repo.close(kept)


def test_a_name_that_is_taken_or_leads_elsewhere_is_refused(repo: GitRepository):
    repo.open("main", "t")
    with pytest.raises(Conflict):
        repo.open("main", "t")
    for name in ("../out", "/etc/x", "", "a/b", ".."):
        with pytest.raises(Invalid):
            repo.open("main", name)


def test_closing_follows_no_link_out_of_the_worktree(repo: GitRepository, tmp_path: Path):
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "file").write_text("kept")
    space = repo.open("main", "t")
    (Path(space.path) / "door").symlink_to(outside)
    repo.close(space)
    assert (outside / "file").read_text() == "kept"


# Committing


def test_a_whole_tick_leaves_the_persons_uncommitted_work_byte_for_byte(top: Path, repo: GitRepository):
    (top / "src/app.py").write_text("half a thought\n")
    (top / "dos.txt").write_text("staged\n")
    git(top, "add", "dos.txt")
    (top / "dos.txt").write_text("and changed again\n")
    (top / "untracked.txt").write_text("mine\n")
    git(top, "status")
    before = fingerprint(top)
    space = repo.open("main", "t")
    (Path(space.path) / "src/app.py").write_text("one\nTWO\nthree\n")
    patch = repo.change(space)
    clean = repo.checkout("main", patch, "g")
    lever = repo.draft("main", message="lever L-001", at=NOW, patch=patch)
    state = repo.draft(lever, message="state", at=NOW, files={"levers.md": b"# Levers\n", "dos.txt": None})
    repo.move("surefoot/loop", state, expected=None)
    repo.annotate(state, "audit", at=NOW)
    for place in (space, clean):
        repo.close(place)
    repo.facts()
    repo.sweep()
    assert fingerprint(top) == before
    assert [commit.subject for commit in repo.log("surefoot/loop")] == ["state", "lever L-001", "first"]
    assert repo.read("surefoot/loop", "levers.md") == b"# Levers\n"
    assert repo.read("surefoot/loop", "dos.txt") is None
    assert [file.path for file in repo.patch_of("main", "surefoot/loop").change.files] == [
        "dos.txt", "levers.md", "src/app.py",
    ]  # fmt: skip


def test_a_draft_moves_no_branch_and_says_when_and_who(top: Path, repo: GitRepository):
    refs = git(top, "for-each-ref")
    sha = repo.draft("main", message="s\n\nbody", at=NOW, files={"x": b"1"})
    assert git(top, "for-each-ref") == refs
    (drafted,) = repo.log(sha, after="main")
    assert (drafted.at, drafted.author, drafted.subject, drafted.body) == (NOW, "Surefoot", "s", "body")
    assert repo.draft("main", message="s\n\nbody", at=NOW, files={"x": b"1"}) == sha  # the same facts, the same commit


def test_a_written_file_keeps_its_mode_and_its_bytes(top: Path, repo: GitRepository):
    git(top, "config", "core.autocrlf", "true")
    sha = repo.draft("main", message="m", at=NOW, files={"run.sh": b"a\r\n\0", "deep/er/file": b""})
    assert repo.read(sha, "run.sh") == b"a\r\n\0"
    (file,) = [file for file in repo.patch_of("main", sha).change.files if file.path == "run.sh"]
    assert file.new_mode == EXECUTABLE


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", ".git/hooks/pre-commit", "a//b", "", "x/.GIT/y"])
def test_a_path_outside_the_repository_is_refused(repo: GitRepository, path: str):
    with pytest.raises(Invalid):
        repo.draft("main", message="m", at=NOW, files={path: b"x"})


def test_a_commit_that_changes_nothing_is_not_made(repo: GitRepository):
    with pytest.raises(Invalid, match="nothing"):
        repo.draft("main", message="m", at=NOW, files={"dos.txt": b"a\r\nb\r\n"})


def test_of_two_who_move_a_branch_one_wins(top: Path, repo: GitRepository):
    base = head(top)
    repo.move("surefoot/loop", base, expected=None)
    drafts = [repo.draft("main", message=f"m{n}", at=NOW, files={"x": str(n).encode()}) for n in range(8)]
    ends: list[str] = []

    def race(sha: str) -> None:
        try:
            repo.move("surefoot/loop", sha, expected=base)
            ends.append("won")
        except (Conflict, Unavailable):
            ends.append("lost")

    threads = [threading.Thread(target=race, args=(sha,)) for sha in drafts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count("won") == 1
    assert len(repo.log("surefoot/loop", after=base)) == 1
    with pytest.raises(Conflict, match="moved"):
        repo.move("surefoot/loop", drafts[0], expected=base)
    with pytest.raises(Conflict, match="moved"):
        repo.move("surefoot/loop", drafts[0], expected=None)


def test_a_branch_that_somebody_looks_at_is_not_moved_under_them(top: Path, repo: GitRepository):
    base = head(top)
    git(top, "checkout", "-q", "-b", "surefoot/loop")
    sha = repo.draft("main", message="m", at=NOW, files={"x": b"1"})
    with pytest.raises(Conflict, match="checked out"):
        repo.move("surefoot/loop", sha, expected=base)
    with pytest.raises(Invalid):
        repo.move("bad..name", sha, expected=None)


def test_direct_mode_moves_branch_and_tree(top: Path, repo: GitRepository):
    base = head(top)
    sha = repo.draft("main", message="m", at=NOW, files={"x": b"1", "dos.txt": None})
    repo.forward(sha, expected=base)
    assert head(top) == sha
    assert (top / "x").read_bytes() == b"1"
    assert not (top / "dos.txt").exists()
    assert repo.facts().dirty == ()


@pytest.mark.parametrize("state", ["dirty", "staged", "untracked", "detached", "moved", "ignored", "sideways"])
def test_direct_mode_refuses_whatever_could_lose_work(top: Path, repo: GitRepository, state: str):
    base = head(top)
    sha = repo.draft("main", message="m", at=NOW, files={"x": b"1", "keep.log": b"theirs"})
    expected = base
    match state:
        case "dirty":
            (top / "src/app.py").write_text("mine\n")
        case "staged":
            (top / "src/app.py").write_text("mine\n")
            git(top, "add", ".")
        case "untracked":
            (top / "unrelated").write_text("mine\n")
        case "detached":
            git(top, "checkout", "-q", "--detach")
        case "moved":
            git(top, "commit", "-q", "--allow-empty", "-m", "mine")
        case "ignored":
            (top / "keep.log").write_text("mine\n")
        case _:
            git(top, "commit", "-q", "--allow-empty", "-m", "mine")
            expected = head(top)
    before = fingerprint(top)
    with pytest.raises(Conflict) as caught:
        repo.forward(sha, expected=expected)
    assert caught.value.hint
    assert fingerprint(top) == before


def test_a_persons_line_ends_do_not_make_them_dirty(top: Path, tmp_path: Path):
    git(top, "config", "core.autocrlf", "true")
    (top / "src/app.py").unlink()
    git(top, "checkout", "--", "src/app.py")
    assert (top / "src/app.py").read_bytes() == b"one\r\ntwo\r\nthree\r\n"
    os.utime(top / "src/app.py", (1, 1))  # git has to look at the bytes again
    assert GitRepository(top, scratch=tmp_path / "s").facts().dirty == ()


def test_a_revert_undoes_one_commit_and_keeps_later_ones(top: Path, repo: GitRepository):
    one = repo.draft("main", message="one", at=NOW, files={"x": b"1\n", "logo.bin": b"\0\1"})
    two = repo.draft(one, message="two", at=NOW, files={"y": b"2\n"})
    undone = repo.revert(one, parent=two, message="undo one", at=NOW)
    assert repo.read(undone, "x") is None
    assert repo.read(undone, "logo.bin") == bytes(range(256))
    assert repo.read(undone, "y") == b"2\n"
    built_on = repo.draft(two, message="three", at=NOW, files={"x": b"1\nmore\n"})
    with pytest.raises(Conflict):
        repo.revert(one, parent=built_on, message="m", at=NOW)
    with pytest.raises(Invalid, match="0 parents"):
        repo.revert("main", parent=two, message="m", at=NOW)


def test_a_worktree_of_the_persons_is_as_good_as_the_first(top: Path, tmp_path: Path):
    second = tmp_path / "second"
    git(top, "worktree", "add", "-q", "-b", "topic", str(second))
    repo = GitRepository(second, scratch=tmp_path / "s")
    assert (repo.facts().branch, repo.facts().top) == ("topic", str(second))
    space = repo.open("topic", "t")
    (Path(space.path) / "src/app.py").write_text("x\n")
    sha = repo.draft("topic", message="m", at=NOW, patch=repo.change(space))
    repo.forward(sha, expected=head(second))
    assert (second / "src/app.py").read_text() == "x\n"


def test_a_git_environment_around_us_is_ignored(top: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere")
    monkeypatch.setenv("GIT_WORK_TREE", "/nowhere")
    assert GitRepository(top, scratch=tmp_path / "s").facts().head == head(top)


def test_there_is_a_git():
    assert git_usable()
