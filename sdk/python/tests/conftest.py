import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator

import pytest

import commy


@pytest.fixture(autouse=True)
def directory(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A directory of the test's own, where its meshes are."""
    place = tempfile.mkdtemp(prefix="commy-python-", dir="/dev/shm")
    monkeypatch.setenv("COMMY_DIR", place)
    monkeypatch.delenv("COMMY_MESH", raising=False)
    yield place
    commy.cleanup()
    shutil.rmtree(place)


@pytest.fixture
def mesh() -> Iterator[commy.CommyMesh]:
    with commy.CommyMesh("tester", 8080, capacity=64) as mesh:
        yield mesh


@pytest.fixture
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program of its own, which imports the package that is tested."""

    def run(text: str, **environment: str) -> subprocess.CompletedProcess[str]:
        # Python warns of any fork beside a thread, such as the library's, which its fork handlers know of.
        return subprocess.run(
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c", text], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
        )

    return run
