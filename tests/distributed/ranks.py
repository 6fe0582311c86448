"""Four processes of a gloo group that run what they are sent, again and again: starting them takes longest."""

import multiprocessing
import sys
import traceback
from contextlib import contextmanager
from datetime import timedelta

SIZE = 4


class RankError(Exception):
    """What jobs raised, by rank: the class's name and the message."""

    def __init__(self, errors):
        super().__init__(
            "\n".join(f"rank {rank}: {kind}: {text}\n{trace}" for rank, (kind, text, trace) in errors.items())
        )
        self.errors = errors


class Ranks:
    """Runs jobs, functions at the top of a module, on every rank at once; after a failure on fresh processes."""

    def __init__(self, folder, size=SIZE, timeout=60.0):
        self._folder, self._size, self._timeout, self._starts = folder, size, timeout, 0
        self.pipes, self.processes = [], []

    def run(self, job, *arguments):
        """Return what a job gives on each rank, or raise what any raised."""
        self.send(job, *arguments)
        return self.results()

    def send(self, job, *arguments):
        if not self.pipes:
            self._start()
        for pipe in self.pipes:
            pipe.send((job, arguments))

    def results(self, ranks=None):
        """Return what ranks, all of them if none are named, give for what was sent."""
        found, errors = [], {}
        for rank, pipe in enumerate(self.pipes):
            if ranks is not None and rank not in ranks:
                continue
            assert pipe.poll(2 * self._timeout + 60), f"rank {rank} does not answer"
            ok, result = pipe.recv()
            if ok:
                found.append(result)
            else:
                errors[rank] = result
        if errors:
            # others may wait for what never comes
            self.close()
            raise RankError(errors)
        return found

    def _start(self):
        method = "forkserver" if sys.platform == "linux" else "spawn"
        context = multiprocessing.get_context(method)
        if method == "forkserver":
            # imported once
            context.set_forkserver_preload(["distributed.on_ranks"])
        self._starts += 1
        group = self._size, f"{self._folder}/store{self._starts}", self._timeout
        for rank in range(self._size):
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, rank, *group), daemon=True)
            process.start()
            theirs.close()
            self.pipes.append(ours)
            self.processes.append(process)

    def close(self):
        for pipe in self.pipes:
            pipe.close()
        for process in self.processes:
            process.join(1)
            if process.is_alive():
                process.kill()
        self.pipes, self.processes = [], []


@contextmanager
def started(folder, **options):
    ranks = Ranks(folder, **options)
    try:
        yield ranks
    finally:
        ranks.close()


def _serve(pipe, rank, size, store, timeout):
    import torch
    import torch.distributed as dist

    import multirec as mr

    torch.set_num_threads(1)
    mr.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=size, timeout=timedelta(seconds=timeout)
    )
    while True:
        try:
            job, arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, job(*arguments)))
        except Exception as error:
            pipe.send((False, (type(error).__name__, str(error), traceback.format_exc())))
