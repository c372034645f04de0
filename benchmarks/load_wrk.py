"""wrk as the load generator, where it is installed: flat out only, for it knows no fixed rate."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from .load import CONNECTIONS, Load

__all__ = ["flat_out", "found"]

_SCRIPT = """
local file = assert(io.open("{requests}", "rb"))
local requests, following = {{}}, 0
while true do
  local length = file:read(8)
  if not length then break end
  requests[#requests + 1] = file:read(tonumber(length))
end
function request()
  following = following % #requests + 1
  return requests[following]
end
function done(summary, latency)
  io.write(string.format("counted %d %d %d\\n", summary.requests, summary.duration, summary.errors.status))
  for share = 1, 999 do io.write(string.format("at %.1f\\n", latency:percentile(share / 10))) end
end
"""


def found() -> bool:
    return shutil.which("wrk") is not None


def flat_out(port: int, requests: Sequence[bytes], seconds: float, connections: int = CONNECTIONS) -> Load:
    """As load.flat_out. The latencies are the 999 permilles that wrk tells; it counts answers from 400 on, under one status."""
    with TemporaryDirectory() as folder:
        given, script = Path(folder, "requests"), Path(folder, "script.lua")
        given.write_bytes(b"".join(b"%08d" % len(request) + request for request in requests))
        script.write_text(_SCRIPT.format(requests=given))
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(round(seconds), 1)}s",
            "-s",
            str(script),
            f"http://127.0.0.1:{port}/",
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    counted = re.search(r"^counted (\d+) (\d+) (\d+)$", told, re.MULTILINE)
    if counted is None:
        raise RuntimeError(f"wrk said: {told}")
    done, microseconds, refused = map(int, counted.groups())
    latencies = [float(text) for text in re.findall(r"^at ([\d.]+)$", told, re.MULTILINE)]
    own = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / max(done, 1) * 1e6
    return Load(microseconds / 1e6, Counter({200: done - refused, 400: refused}), latencies, own)
