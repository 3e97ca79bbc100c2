"""The commit in a model's card: the checkout's own, whoever owns it, and no other repository's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tenfold.extras import CHECKOUT
from tenfold.storage.environment import environment, git_commit

OTHER_OWNER = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


def git(*arguments: str, cwd: Path) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("check out")
    git("init", "--quiet", cwd=folder)
    git("commit", "--quiet", "--allow-empty", "--message", "first", cwd=folder)
    return folder


def test_the_commit_does_not_depend_on_the_checkouts_owner(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit, own = git("rev-parse", "HEAD", cwd=checkout), environment()["git_commit"]
    for name, value in OTHER_OWNER.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(subprocess.CalledProcessError):  # as git is asked usually
        git("rev-parse", "HEAD", cwd=checkout)
    assert git_commit(checkout) == commit and environment()["git_commit"] == own


def test_a_second_worktree_has_its_own_commit(checkout: Path) -> None:
    git("worktree", "add", "--quiet", "--detach", "second", cwd=checkout)
    git("commit", "--quiet", "--allow-empty", "--message", "second", cwd=checkout / "second")
    assert git_commit(checkout / "second") == git("rev-parse", "HEAD", cwd=checkout / "second") != git_commit(checkout)


def test_another_repository_around_the_package_is_not_its_checkout(checkout: Path) -> None:
    installed = checkout / "lib"
    installed.mkdir()
    assert git("rev-parse", "HEAD", cwd=installed) and git_commit(installed) is None
    assert (CHECKOUT / "pipeline/tenfold/storage/environment.py").is_file()
