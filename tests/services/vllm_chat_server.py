"""vLLM's own OpenAI-compatible server on the CPU, serving the packaged base model, for tests of judges."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from medgrpo.demo.stages import base_model

__all__ = ["MODEL", "NAMES", "VLLMChatServer"]

MODEL = base_model()
NAMES = ("tiny", "tiny-again")
"""The model's names: the same weights under both."""

_START_S = 600.0
_OPTIONS = {
    "--max-model-len": "4096",
    "--max-num-seqs": "8",
    "--dtype": "float32",
    "--limit-mm-per-prompt": '{"video": 0, "image": 0}',
    "--generation-config": "vllm",
    "--distributed-executor-backend": "uni",
    # A model that has never seen JSON would write white space between its fields for ever.
    "--structured-outputs-config": '{"backend": "xgrammar", "disable_any_whitespace": true}',
}
_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    # Compiling one small function of vLLM's sampler takes longer than all tests of it.
    "TORCHDYNAMO_DISABLE": "1",
}


class VLLMChatServer:
    """A server process on a free port.

    Args:
        log: File for what it says.
    """

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.base_url = f"{self.address}/v1"
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
        command += ["--model", str(MODEL), "--host", "127.0.0.1", "--port", str(port)]
        command += [word for option in _OPTIONS.items() for word in option]
        command += ["--served-model-name", *NAMES]
        with log.open("wb") as stream:
            # A session of its own, so that the engine's process ends with the server's.
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=stream, env=os.environ | _ENVIRONMENT, start_new_session=True
            )
        until = time.monotonic() + _START_S
        while self._get("/health") is None:
            if self._process.poll() is not None or time.monotonic() > until:
                self.kill()
                raise AssertionError(f"the vLLM server did not start: {log.read_text()[-2000:]}")
            time.sleep(0.2)

    def answered(self) -> int:
        """Completions that the server has finished, by its own count."""
        counts = re.findall(r"^vllm:request_success_total\{.*\} (\S+)$", self._get("/metrics") or "", re.M)
        return round(sum(float(count) for count in counts))

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=60)

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(self.address + path, timeout=10) as reply:
                return str(reply.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None
