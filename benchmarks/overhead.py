"""What a run costs beside the calls themselves: httpx, LiteLLM and the harness, in turn, on one machine.

    python benchmarks/overhead.py [cases] [rounds]

A loopback provider answers after 200 ms; 50 calls are in flight. Prints the median wall time of each and
its ratio to the floor (bare httpx). Every run is a process of its own, imports included.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness.testing import Answer, LoopbackProvider

IN_FLIGHT = 50
LATENCY_S = 0.2

PROVIDERS = f"""
model_list:
  - model_name: free
    litellm_params: {{model: openai/free, api_key: none, api_base: os.environ/LOOPBACK_URL,
                     input_cost_per_token: 0, output_cost_per_token: 0}}
    model_info: {{provider: free}}
harness:
  tiers: {{T1: {{chain: [free]}}}}
  concurrency: {{free: {IN_FLIGHT}}}
"""

HTTPX = f"""
import asyncio, httpx, os, sys
async def main(n):
    places = asyncio.Semaphore({IN_FLIGHT})
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections={IN_FLIGHT})) as client:
        async def one(i):
            async with places:
                body = {{"model": "free", "messages": [{{"role": "user", "content": f"say {{i}}"}}]}}
                await client.post(os.environ["LOOPBACK_URL"] + "/chat/completions", json=body)
        await asyncio.gather(*(one(i) for i in range(n)))
asyncio.run(main(int(sys.argv[1])))
"""

LITELLM = f"""
import asyncio, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
async def main(n):
    places = asyncio.Semaphore({IN_FLIGHT})
    async def one(i):
        async with places:
            await litellm.acompletion(model="openai/free", api_key="none", max_retries=0,
                                      api_base=os.environ["LOOPBACK_URL"],
                                      messages=[dict(role="user", content=f"say {{i}}")])
    await asyncio.gather(*(one(i) for i in range(n)))
asyncio.run(main(int(sys.argv[1])))
"""


def make_project(folder: Path, cases: int) -> None:
    """Write a project with this many cases."""
    (folder / "providers.yaml").write_text(PROVIDERS)
    (folder / "golden").mkdir()
    rows = "\n".join(f"  - {{id: c{i}, n: {i}}}" for i in range(cases))
    (folder / "golden" / "t.yaml").write_text(
        f'task: t\ntier: T1\ncategory: c\nprompt: "say {{{{ n }}}}"\n'
        f'cases:\n{rows}\nchecks: [contains: "ok"]\n'
    )


def timed(command: list[str], folder: Path, url: str) -> float:
    """Return a command's wall time, in seconds."""
    started = time.perf_counter()
    environment = os.environ | {"LOOPBACK_URL": url}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Run all of them in turn and print a table."""
    cases, rounds = (int(a) for a in [*sys.argv[1:], *["250", "3"][len(sys.argv) - 1 :]])
    pytest = [sys.executable, "-m", "pytest", "-q", "golden"]
    commands = {
        "bare httpx (floor)": [sys.executable, "-c", HTTPX, str(cases)],
        "bare LiteLLM": [sys.executable, "-c", LITELLM, str(cases)],
        "harness, asking": [*pytest, "--fresh"],
        "harness, recorded": pytest,
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    with (
        LoopbackProvider(Answer(text="ok", delay_s=LATENCY_S)) as provider,
        tempfile.TemporaryDirectory() as name,
    ):
        make_project(Path(name), cases)
        for _ in range(rounds):
            for label, command in commands.items():
                times[label].append(timed(command, Path(name), provider.url))
    floor = statistics.median(times["bare httpx (floor)"])
    print(f"{cases} cases, {LATENCY_S * 1000:.0f} ms, {IN_FLIGHT} in flight, median of {rounds}")
    for label, found in times.items():
        median = statistics.median(found)
        print(f"{label:<20} {median:7.2f} s   {median / floor:5.2f} x floor")


if __name__ == "__main__":
    main()
