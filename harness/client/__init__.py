"""Answering requests. Everything here has one verb: `async complete(request) -> reply`.

From the inside out: `litellm_client` asks one deployment once; `recorded` puts the ledger around that;
`limits` lets only so many through at a time; `chain` walks a route's hops with retries.
"""

from harness.client.base import Client
from harness.client.chain import AllHopsFailed, ChainClient
from harness.client.limits import LimitedClient, Limits
from harness.client.litellm_client import LiteLLMClient
from harness.client.recorded import Mode, RecordedClient, Recording

__all__ = [
    "AllHopsFailed",
    "ChainClient",
    "Client",
    "LimitedClient",
    "Limits",
    "LiteLLMClient",
    "Mode",
    "RecordedClient",
    "Recording",
]
