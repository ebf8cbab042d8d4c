"""How cases are dealt to xdist's workers: item i to worker i mod n, all of them at the start.

xdist's own schedulers hand out items as workers get free, so that no worker knows its share before
it is done. With all of it known up front each worker can fire its whole share concurrently.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdist.scheduler.load import LoadScheduling
from xdist.workermanage import WorkerController


class StaticScheduling(LoadScheduling):
    """Deals everything once; what a crashed worker leaves is dealt again by the inherited rule."""

    def schedule(self) -> None:
        """Deal all items when every worker has collected; later calls serve replacement workers."""
        if self.collection:
            super().schedule()
            return
        if not self._check_nodes_have_same_collection():
            return
        collected = list(next(iter(self.node2collection.values())))
        self.collection = collected
        self.maxschedchunk = len(collected)  # what the inherited rule hands to a replacement
        for node, number in zip(*slots(self.nodes), strict=True):
            share = dealt(len(collected), number, len(self.nodes))
            self.node2pending[node].extend(share)
            node.send_runtest_some(list(share))
        for node in self.nodes:
            node.shutdown()


def dealt(items: int, worker: int, workers: int) -> range:
    """Return the indices of a worker's items.

    >>> list(dealt(5, worker=1, workers=2))
    [1, 3]
    """
    return range(worker, items, workers)


def slots(nodes: Sequence[WorkerController]) -> tuple[list[WorkerController], list[int]]:
    """Return the workers and their numbers from 0; one that replaces a worker lost early takes its number."""
    ordered = sorted(nodes, key=worker_number)
    own = [number for number in map(worker_number, ordered) if number < len(ordered)]
    free = (number for number in range(len(ordered)) if number not in own)
    return ordered, [n if (n := worker_number(node)) < len(ordered) else next(free) for node in ordered]


def worker_number(node: WorkerController) -> int:
    """Return n of worker `gwn`."""
    return int(node.gateway.id.removeprefix("gw"))
