"""What several test modules share."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from harness.client.litellm_client import load_litellm
from harness.golden import Suite, load_suite
from harness.testing import Answer, LoopbackProvider

ROOT = Path(__file__).parents[1]

settings.register_profile("untimed", deadline=None)  # tests never assert on time
settings.load_profile("untimed")

PROVIDERS = """
model_list:
  - model_name: groq-t3
    litellm_params:
      model: groq/openai/gpt-oss-120b
      api_key: os.environ/GROQ_API_KEY
      api_base: os.environ/LOOPBACK_URL
    model_info: {id: groq-x}
  - model_name: free
    litellm_params:
      {model: openai/free, api_key: none, api_base: os.environ/LOOPBACK_URL, input_cost_per_token: 0, output_cost_per_token: 0}
    model_info: {id: free-x, provider: free}
harness:
  tiers:
    T1: {chain: [free]}
    T2: {chain: [free]}
    T3: {chain: [groq-t3, free]}
"""

TASK = """
task: {id}
tier: {tier}
category: ci_flakiness
prompt: "{id}: say {{{{ expect }}}}"
max_tokens: 16
cases:
  - {{id: one, expect: alpha}}
  - {{id: two, expect: beta}}
checks:
  - equals: "{{{{ expect }}}}"
oracle: "{{{{ expect }}}}"
wrong: ["", gamma]
"""


def echo(request: dict[str, object]) -> Answer:
    """Answer with the last word of the prompt, as a perfect model would here."""
    messages = request["messages"]
    assert isinstance(messages, list)
    return Answer(text=messages[-1]["content"].split()[-1])


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackProvider]:
    """A provider that knows every answer."""
    with LoopbackProvider(echo) as provider:
        monkeypatch.setenv("LOOPBACK_URL", provider.url)
        yield provider


@pytest.fixture(scope="session")
def litellm_loaded() -> None:
    """Import LiteLLM before pytester notes what is imported, to forget the rest after each test.

    LiteLLM's `importlib_metadata` does not survive being forgotten: pytest finds no plugins after it.
    """
    load_litellm()


@pytest.fixture
def project(litellm_loaded: None, pytester: pytest.Pytester) -> pytest.Pytester:
    """A user's project with two tasks of T1 and one of T3, two cases each."""
    (pytester.path / "providers.yaml").write_text(PROVIDERS)
    for tier, name in (("T1", "first"), ("T1", "second"), ("T3", "third")):
        folder = pytester.path / "golden" / tier
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.yaml").write_text(TASK.format(id=name, tier=tier))
    return pytester


@pytest.fixture
def suite_of(tmp_path: Path) -> Callable[..., Suite]:
    """Load a suite from the texts of its files."""

    def load(*texts: str) -> Suite:
        paths = []
        for number, text in enumerate(texts):
            path = tmp_path / f"task{number}.yaml"
            path.write_text(textwrap.dedent(text))
            paths.append(path)
        return load_suite(paths)

    return load
