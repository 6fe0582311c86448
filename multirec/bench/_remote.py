"""The parent's end of a worker: start, ask with a time limit, notice its death, restart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from multiprocessing import Pipe
from typing import IO, Any

from ._case import Case
from ._results import Status
from .contestants import Contestant


class WorkerFailure(Exception):
    """A request was not answered with a value; `status` and `reason` go into the cell's row."""

    def __init__(self, status: Status, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


class Worker:
    """A disposable process for one contestant. After a death the next request starts another one."""

    def __init__(self, contestant: Contestant, case: Case) -> None:
        self.contestant, self.case = contestant, case
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process and let it import; does not wait."""
        self._connection, theirs = Pipe()
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        command = [sys.executable, "-m", "multirec.bench._worker", str(theirs.fileno())]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._errors,
            stderr=self._errors,
            pass_fds=[theirs.fileno()],
            env=os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"},
            # Ctrl-C is the parent's to handle
            process_group=0,
        )
        theirs.close()
        self.tell("start", self.contestant, self.case)
        self.tell("load")

    def tell(self, method: str, *arguments: Any) -> None:
        """Send a request without waiting for the answer."""
        try:
            self._connection.send((method, arguments))
        except OSError:
            raise self._death() from None

    def answer(self, limit: float) -> Any:
        """Return the answer to the oldest request; raise `WorkerFailure` if there is none within `limit` seconds."""
        try:
            if not self._connection.poll(limit):
                self.kill()
                raise WorkerFailure("timeout", f"no answer after {limit:.0f} s; its process was ended")
            outcome, *values = self._connection.recv()
        except (EOFError, OSError):
            raise self._death() from None
        if outcome == "failed":
            raise WorkerFailure(*values)
        return values[0]

    def loaded(self, limit: float) -> Any:
        """Start if need be, and return the answer to the first two requests."""
        if self._process is None:
            self.start()
        self.answer(limit)
        return self.answer(limit)

    def ask(self, limit: float, method: str, *arguments: Any) -> Any:
        """Send a request and return its answer, in a new process if the last one died."""
        if self._process is None:
            self.loaded(limit)
        self.tell(method, *arguments)
        return self.answer(limit)

    def kill(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._connection.close()
            self._errors.close()
            self._process = None

    def _death(self) -> WorkerFailure:
        assert self._process is not None
        code = self._process.wait()
        self._errors.seek(0)
        said = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines()
        self.kill()
        if code == -signal.SIGKILL:
            return WorkerFailure("oom", "its process was killed, most likely for memory")
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return WorkerFailure("crash", f"its process died ({how})" + (f": {said[-1]}" if said else ""))
