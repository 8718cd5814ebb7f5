"""The typed parser's reports, shortened."""

import pytest

from medgrpo.parse_errors import useful_line

_UNION = "Does not validate against any of the Union subtypes\n  Subtypes: [{types}]\n  Errors:\n    - "
_MODULE = _UNION.format(types="<class 'lightning.LightningModule'>, <class 'NoneType'>")
_TAIL = "\n    - Expected a <class 'NoneType'>\n  Given value type: <class 'dict'>\n  Given value: {'a': 1}"


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (
            f'Parser key "model":\n  {_MODULE}Problem with given class_path \'a.B\':\n Parser key "width":'
            f" Expected a <class 'int'>. Got value: x{_TAIL}",
            "model.init_args.width (of B): expected int, got x",
        ),
        (
            f"Parser key \"model\":\n  {_MODULE}Problem with given class_path 'a.B':\n"
            f" Option 'z' is not accepted{_TAIL}",
            "unknown key model.init_args.z: a.B has no argument z",
        ),
        (
            f"Parser key \"model\":\n  {_MODULE}Problem with given class_path 'x.Y':\n"
            f" No module named 'x'{_TAIL}",
            "model: cannot use class x.Y: No module named 'x'",
        ),
        (
            "the following arguments are required: fit.data",
            "data is missing; name its class_path in a config file or with --data=CLASS",
        ),
        ("something new", "something new"),
    ],
)
def test_line(message: str, line: str) -> None:
    assert useful_line(message) == line


def test_unknown_key_suggests_the_nearest() -> None:
    message = "Subcommand 'fit' does not accept option 'trainer.max_epoch'"
    known = ["trainer.max_epochs", "trainer.devices"]
    assert useful_line(message, known) == "unknown key trainer.max_epoch; did you mean trainer.max_epochs?"
    assert useful_line("Subcommand 'fit' does not accept option 'zzz'", known) == "unknown key zzz"
