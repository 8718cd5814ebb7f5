"""What the command line names beside the runs: records files, a model to ask, a judge."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medgrpo.commands.data_config import add_config_option, sampling_of
from medgrpo.commands.judge_option import judge_option
from medgrpo.commands.media_options import add_media_options, media_options
from medgrpo.data.media import MediaPaths
from medgrpo.data.sampling import SamplingPolicy
from medgrpo.errors import UserError

if TYPE_CHECKING:
    from medgrpo.services.chat import ChatClient

__all__ = ["Endpoint", "Sources", "add_source_options", "directory_name", "sources_of"]

_TIMEOUT = 180.0
"""Seconds for an answer of an endpoint; a person waits for it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that speaks OpenAI's chat completions and reads pictures.

    Attributes:
        url: Of its API.
        model: Name under which it knows the model.
        key_env: Environment variable with the key; None if it needs none.
        allow_remote: Whether frames may leave this machine.
    """

    url: str
    model: str
    key_env: str | None = None
    allow_remote: bool = False

    def client(self, parameters: Mapping[str, Any]) -> ChatClient:
        """A client that asks once and waits for the answer.

        Raises:
            UserError: If the server is elsewhere and may not be asked, or something is missing.
        """
        from medgrpo.services.chat import ChatClient

        return ChatClient(
            self.model,
            self.url,
            self.key_env,
            self.allow_remote,
            timeout_s=_TIMEOUT,
            max_retries=0,
            concurrency=1,
            parameters=parameters,
        )


@dataclass(frozen=True, slots=True)
class Sources:
    """What was named on the command line.

    Attributes:
        records: Records files and where their frames are.
        sampling: How frames are chosen.
        sampling_origin: Where that comes from, in words.
        model: Hugging Face directory to ask; None for none.
        endpoint: Server to ask instead.
        judge: Compares an answer with its reference; None takes the offline lexicon judge.
    """

    records: tuple[tuple[Path, MediaPaths], ...] = ()
    sampling: SamplingPolicy = field(default_factory=SamplingPolicy)
    sampling_origin: str = "the usual settings"
    model: Path | None = None
    endpoint: Endpoint | None = None
    judge: Any = None


def add_source_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    data = parser.add_argument_group("for the pages Data and Try it")
    data.add_argument(
        "--records", type=Path, nargs="+", default=[], metavar="FILE", help="records files to browse"
    )
    add_media_options(data)  # type: ignore[arg-type]
    add_config_option(data, False, "sampling shows frames")  # type: ignore[arg-type]
    asked = data.add_mutually_exclusive_group()
    asked.add_argument("--model", type=Path, metavar="DIR", help="Hugging Face directory to ask")
    asked.add_argument("--endpoint", metavar="URL", help="server with OpenAI's chat API to ask instead")
    data.add_argument("--endpoint-model", metavar="NAME", help="name of the model on that server")
    data.add_argument(
        "--endpoint-key-env", metavar="VARIABLE", help="environment variable that holds its key"
    )
    data.add_argument(
        "--endpoint-elsewhere",
        action="store_true",
        help="the server may be another machine: frames and questions leave this one",
    )
    data.add_argument(
        "--judge",
        help="judge of answers on the page Try it: lexicon (default), or a YAML file with class_path and "
        "init_args such as configs/judge/lexicon.yaml",
    )


def sources_of(options: argparse.Namespace) -> Sources:
    """What the options say; paths become absolute, since the server runs in a folder of its own.

    Raises:
        UserError: If a file is not there or something cannot be built.
    """
    media = media_options(options)
    root = None if media["media_root"] is None else media["media_root"].resolve()
    records = [path.resolve() for path in options.records]
    for path in records:
        if not path.is_file():
            raise UserError(f"--records {path}: no such file")
    model = None if options.model is None else options.model.resolve()
    sampling, origin = _sampling(options.config, model)
    return Sources(
        tuple((path, MediaPaths.beside(path, root, media["media_prefixes"])) for path in records),
        sampling,
        origin,
        model,
        _endpoint(options),
        judge_option(options.judge),
    )


def directory_name(model: Path) -> str:
    """A model's directory for people; exports are called ``hf`` in the folder of their training."""
    return "/".join(model.parts[-2:])


def _sampling(configs: list[str], model: Path | None) -> tuple[SamplingPolicy, str]:
    """The policy of the configs, else that of the model, else the usual one; and which of them it is."""
    if configs:
        return sampling_of(configs), ", ".join(Path(config).name for config in configs)
    if model is not None:
        from medgrpo.modules.sampling_file import read_sampling

        return read_sampling(model), f"the model {directory_name(model)}"
    return SamplingPolicy(), "the usual settings"


def _endpoint(options: argparse.Namespace) -> Endpoint | None:
    if options.endpoint is None:
        if options.endpoint_model or options.endpoint_key_env or options.endpoint_elsewhere:
            raise UserError("--endpoint-model, --endpoint-key-env and --endpoint-elsewhere need --endpoint")
        return None
    if not options.endpoint_model:
        raise UserError("--endpoint needs --endpoint-model, the name of the model on that server")
    endpoint = Endpoint(
        options.endpoint, options.endpoint_model, options.endpoint_key_env, options.endpoint_elsewhere
    )
    try:
        endpoint.client({})
    except UserError as error:
        told = str(error).replace("allow_remote: true", "--endpoint-elsewhere")
        raise UserError(f"--endpoint: {told}") from error
    return endpoint
