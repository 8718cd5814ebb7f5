"""The program in process: parsing, saved configs, checkpoints, users' mistakes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from lightning.pytorch.utilities.exceptions import SIGTERMException

from medgrpo import cli, commands
from medgrpo.errors import UserError
from medgrpo.lightning_run import main as lightning_main
from medgrpo.lightning_run import translate
from medgrpo.trainer_cli import mask_secrets

TOY = """\
paths: {run: toy}
vars: {lr: 0.01, judge: {class_path: tests.toys.LexiconJudge}, cls: tests.toys.ToyModule}
model:
  class_path: ${vars.cls}
  init_args:
    judge: ${vars.judge}
    components: {tal: {class_path: tests.toys.ToyReward, init_args: {weight: 0.5}}}
    optimizer: {class_path: torch.optim.SGD, init_args: {lr: "${vars.lr}"}}
data: {class_path: tests.toys.ToyData}
trainer: {accelerator: cpu, devices: 1, max_epochs: 1}
"""

Fit = Callable[..., int]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(TOY)
    return path


@pytest.fixture
def fit(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fit:
    monkeypatch.setattr(sys, "argv", ["medgrpo"])

    def _fit(*arguments: str) -> int:
        return cli.main(["fit", f"--config={toy}", f"--paths.root={tmp_path}/runs", *arguments])

    return _fit


@pytest.fixture
def printed(fit: Fit, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    def _printed(*arguments: str) -> dict:
        with pytest.raises(SystemExit) as stop:
            fit(*arguments, "--print_config")
        assert stop.value.code == 0
        return yaml.safe_load(capsys.readouterr().out)

    return _printed


def test_print_config_is_complete_resolved_and_typed(printed: Callable[..., dict]) -> None:
    config = printed()
    assert "vars" not in config
    assert "paths" not in config
    assert config["model"]["class_path"] == "tests.toys.ToyModule"
    assert config["model"]["init_args"]["judge"] == {
        "class_path": "tests.toys.LexiconJudge",
        "init_args": {"lexicon": "surgery", "api_key": None},
    }
    assert config["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.01
    assert config["trainer"]["default_root_dir"].endswith("runs/toy")


def test_overlays_swap_a_class_and_add_a_component(printed: Callable[..., dict], tmp_path: Path) -> None:
    over = tmp_path / "over.yaml"
    over.write_text(
        "vars: {judge: {class_path: tests.toys.ServerJudge, init_args: {url: u}}}\n"
        "model: {init_args: {components: {vs: {class_path: tests.toys.ToyReward}}}}\n"
    )
    arguments = printed(f"--config={over}", "--model.components.vs.weight", "2")["model"]["init_args"]
    assert arguments["judge"]["init_args"] == {"url": "u", "timeout": 5.0}
    assert [c["init_args"]["weight"] for c in arguments["components"].values()] == [0.5, 2.0]


def test_override_of_a_variable_reaches_the_typed_value(printed: Callable[..., dict]) -> None:
    assert printed("--vars.lr=0.5")["model"]["init_args"]["optimizer"]["init_args"]["lr"] == 0.5


def test_plus_appends_to_a_list(printed: Callable[..., dict]) -> None:
    names = [c["class_path"] for c in printed("--trainer.callbacks+=ModelSummary")["trainer"]["callbacks"]]
    assert names[-1].endswith("ModelSummary")
    assert any(name.endswith("ModelCheckpoint") for name in names)


def test_environment_sets_what_no_file_sets(
    printed: Callable[..., dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDGRPO_FIT__TRAINER__MAX_STEPS", "7")
    monkeypatch.setenv("MEDGRPO_FIT__TRAINER__MAX_EPOCHS", "7")
    trainer = printed()["trainer"]
    assert (trainer["max_steps"], trainer["max_epochs"]) == (7, 1)


def test_fit_writes_what_it_says_and_its_saved_config_repeats_it(fit: Fit, tmp_path: Path) -> None:
    assert fit("--model.judge.api_key=sk-secret") == 0
    run = tmp_path / "runs" / "toy"
    assert (run / "checkpoints" / "last.ckpt").is_file()
    assert (run / "csv" / "version_0" / "metrics.csv").is_file()
    written = [path for path in run.rglob("*") if path.is_file()]
    assert not [path for path in written if b"sk-secret" in path.read_bytes()]
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert cli.main(["fit", f"--config={run / 'config.yaml'}"]) == 0
    assert yaml.safe_load((run / "config.yaml").read_text()) == saved


def test_resume_takes_the_given_config_over_the_checkpoints(
    fit: Fit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit() == 0
    again = ["--trainer.max_epochs=2", "--model.components.tal.weight=0.75"]
    assert fit(*again, "--ckpt_path=last") == 0
    assert "Epoch 1: 100%" in capsys.readouterr().out.rpartition("\n")[0]
    assert fit(*again, f"--ckpt_path={tmp_path}/runs/toy/checkpoints/last.ckpt") == 0
    saved = yaml.safe_load((tmp_path / "runs" / "toy" / "config.yaml").read_text())
    assert saved["model"]["init_args"]["components"]["tal"]["init_args"]["weight"] == 0.75
    assert (tmp_path / "runs" / "toy" / "csv" / "version_1" / "metrics.csv").is_file()


MISTAKES = [
    (["--config=none.yaml"], "none.yaml does not exist"),
    (["--trainer.max_epoch=3"], "did you mean trainer.max_epochs"),
    (["--nope=3"], "unknown key nope"),
    (["--trainer.max_epochs=abc"], "trainer.max_epochs: expected int"),
    (["--model.width=x"], "model.init_args.width (of ToyModule): expected int, got x"),
    (["--model.widht=3"], "unknown key model.init_args.widht"),
    (["--model.components.tal.weight=x"], "init_args.weight (of ToyReward): expected float, got x"),
    (["--vars.judge.class_path=Nope"], "model.init_args.judge (of ToyModule): unknown class Nope"),
    (["--vars.judge.class_path=tests.toys.ServerJudge"], "needs url"),
    (["--model=medgrpo.nope.Nope"], "cannot use class medgrpo.nope.Nope"),
    (["--model=tests.toys.ToyData"], "not correspond to a subclass of LightningModule"),
    (["--data=null"], "data is missing"),
    (["--model.optimizer.lr=x"], "lr"),
    (["--trainer.strategy=nope"], "invalid strategy"),
    (["--trainer.accelerator=nope"], "nope"),
    (["--ckpt_path=none.ckpt"], "none.ckpt"),
    (["--vars.lr=${vars.none}"], "vars.none"),
    (["--paths.run=???"], "--paths.run=VALUE"),
    (["--trainer.max_steps"], "needs a value"),
    (["stray"], "stray"),
    (["--model.fail=extra"], "pip install 'medgrpo[vllm]'"),
    (["--model.fail=user"], "row 3"),
    (["--model.fail=full"], "no space left on the disk while writing shard.parquet"),
    (["--paths.root=/dev/null/x"], "/dev/null"),
]


@pytest.mark.parametrize(("arguments", "words"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_users_mistake_is_one_line_and_status_2(
    fit: Fit, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert fit(*arguments) == 2
    captured = capsys.readouterr().err
    lines = [line for line in captured.splitlines() if line.startswith("medgrpo: error: ")]
    assert len(lines) == 1
    assert words in lines[0]
    assert len(lines[0]) < 400
    assert "Traceback" not in captured
    assert "medgrpo-" not in lines[0]


def test_malformed_yaml_is_named_with_its_line(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toy.write_text("model:\n  class_path: [\n")
    assert cli.main(["fit", f"--config={toy}"]) == 2
    assert "toy.yaml, line 3" in capsys.readouterr().err


def test_a_defect_keeps_its_traceback(fit: Fit) -> None:
    with pytest.raises(ZeroDivisionError):
        fit("--model.fail=defect")


@pytest.mark.parametrize(
    ("local_rank", "status", "told"),
    [
        ("0", 143, ["medgrpo: stopped by SIGTERM; the same command with --ckpt_path=last continues"]),
        ("1", 0, []),
    ],
)
def test_one_process_tells_of_sigterm(
    local_rank: str,
    status: int,
    told: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def leave() -> int:
        raise SIGTERMException

    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert cli.guarded(leave) == status
    told = "medgrpo: stopped by SIGTERM; the same command with --ckpt_path=last continues"
    assert capsys.readouterr().err.splitlines() == ([told] if status else [])


def test_an_interruption_is_one_line_and_status_130(fit: Fit, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit("--model.fail=interrupt") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "medgrpo: interrupted"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["fitt"], "did you mean fit"),
        (["qqq"], "medgrpo --help"),
        (["fit"], "fit needs --config FILE"),
        (["export", "--no-such-option"], "medgrpo export --help"),
    ],
)
def test_wrong_commands(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    captured = capsys.readouterr().err
    assert words in captured
    assert len(captured.splitlines()) == 1


def test_overview_lists_every_command_with_its_purpose(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in [*commands.TRAINER_COMMANDS, *commands.COMMANDS]:
        listed = [line.split(maxsplit=1) for line in lines if line.startswith(f"  {name} ")]
        assert listed
        assert all(len(row) == 2 for row in listed)


@pytest.mark.parametrize("name", [*commands.TRAINER_COMMANDS, *commands.COMMANDS])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main([name, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: medgrpo {name}")
    if name in commands.TRAINER_COMMANDS:
        assert "\n  medgrpo fit --config configs/sft.yaml --ckpt_path=last  " in text


def test_help_of_one_class(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["fit", "--model.help", "tests.toys.ToyModule"])
    assert stop.value.code == 0
    assert "--model.judge" in capsys.readouterr().out


def test_secrets_are_masked_and_names_of_variables_stay() -> None:
    config = {"api_key": "s", "api_key_env": "OPENAI_API_KEY", "eos_token": "<e>", "a": [{"hf_token": "t"}]}
    masked = {"api_key": None, "api_key_env": "OPENAI_API_KEY", "eos_token": "<e>", "a": [{"hf_token": None}]}
    assert mask_secrets(config) == masked


@pytest.mark.parametrize(
    ("argv", "arguments"),
    [
        ("model -m medgrpo fit --config a", "fit --config a"),
        ("-m medgrpo fit", "fit"),
        ("medgrpo fit", "fit"),
        ("model medgrpo/__main__.py test", "test"),
        (
            "model --devices=2 --num_nodes 3 --strategy ddp -m medgrpo fit --trainer.devices=4",
            "fit --trainer.devices=2 --trainer.num_nodes=3 --trainer.strategy=ddp --trainer.devices=4",
        ),
        ("medgrpo synthesize out", "synthesize out"),
    ],
)
def test_lightning_run_is_translated(argv: str, arguments: str) -> None:
    assert translate(argv.split()) == (arguments.split(), {})


def test_lightning_run_passes_the_machines_through_the_environment() -> None:
    translated = translate(["--node-rank", "1", "--main-address", "h", "--main-port=5", "medgrpo", "fit"])
    assert translated == (["fit"], {"NODE_RANK": "1", "MASTER_ADDR": "h", "MASTER_PORT": "5"})


@pytest.mark.parametrize("argv", ["other.py", "model", "--cloud medgrpo fit", "-m other"])
def test_lightning_run_of_something_else_is_not_ours(argv: str) -> None:
    assert translate(argv.split()) is None


def test_launcher_options_need_a_trainer_command() -> None:
    with pytest.raises(UserError, match="launcher options"):
        translate(["--devices=2", "medgrpo", "synthesize", "out"])


def test_lightning_without_the_sdk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert lightning_main(["login"]) == 2
    captured = capsys.readouterr().err
    assert "pip install lightning-sdk" in captured
    assert len(captured.splitlines()) == 1


def test_lightning_hands_the_rest_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    class Entry:
        group, name = "console_scripts", "lightning"

        @staticmethod
        def load() -> Callable[[], None]:
            return lambda: seen.append(sys.argv)

    class Distribution:
        entry_points = (Entry,)

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Distribution)
    assert lightning_main(["run", "job", "x.py"]) == 0
    assert seen == [["lightning", "run", "job", "x.py"]]
