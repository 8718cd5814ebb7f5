"""submit, compare and report on files, by the program's own entry point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from medgrpo.cli import main
from medgrpo.evaluation import evaluate
from medgrpo.types import Sample
from tests.evaluation.test_strict import BagOfLetters
from tests.tasks.samples import make_sample

CVS = "Two structures: {}, Cystic plate: 0, Hepatocystic triangle: 1"


def _row(k: int, qa_type: str, question: str) -> dict[str, Any]:
    return {
        "id": f"v{k // 2}&&0&&9&&1.0",  # two rows an id, as in the test split
        "qa_type": qa_type,
        "conversations": [{"from": "human", "value": f"<video>\n{question}"}],
        "video": ["a.jpg"],
        "metadata": {"fps": "1.0", "video_id": f"v{k // 2}"},
        "is_RC": False,
        "data_source": "AVOS",
    }


@pytest.fixture
def split(tmp_path: Path) -> Path:
    """A test split of four rows without answers; the last two are equal, as 29 rows of the real one are."""
    rows = [
        _row(0, "tal", "When?"),
        _row(1, "tal", "When else?"),
        _row(2, "stg", "Where?"),
        _row(3, "stg", "Where?"),
    ]
    path = tmp_path / "test.json"
    path.write_text(json.dumps(rows))
    return path


def _entries(path: Path) -> list[dict[str, Any]]:
    return [
        {"id": row["id"], "qa_type": row["qa_type"], "prediction": f"answer {k}"}
        for k, row in enumerate(json.loads(path.read_text()))
    ]


def _submit(split: Path, entries: Any) -> int:
    predictions = split.with_name("p.json")
    predictions.write_text(json.dumps(entries))
    out = split.with_name("submission.json")
    return main(["submit", "--records", str(split), "--predictions", str(predictions), "--out", str(out)])


def test_a_submission_has_the_order_and_the_fields_of_the_leaderboard(
    split: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from medgrpo.data.records import read_records

    keys = [sample.key for sample in read_records(split)]
    entries = _entries(split)
    assert _submit(split, [e | {"truncated": False} for e in entries]) == 0
    assert json.loads(split.with_name("submission.json").read_text()) == entries
    assert "fewer than 100 rows" in capsys.readouterr().out
    keyed = [e | {"key": key} for e, key in zip(entries, keys, strict=True)]
    assert _submit(split, [keyed[2], keyed[1], keyed[0], keyed[3]]) == 0
    assert json.loads(split.with_name("submission.json").read_text()) == entries


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda e: e[:-1], "3 predictions for 4 records"),
        (lambda e: [*e, e[0]], "5 predictions for 4 records"),
        (
            lambda e: [e[1], e[0], e[2] | {"qa_type": "tal"}, e[3]],
            "predictions row 2: field \"qa_type\" is 'tal'",
        ),
        (lambda e: [*e[:3], e[3] | {"id": "w"}], "predictions row 3: field \"id\" is 'w'"),
        (lambda e: [*e[:2], e[2] | {"prediction": None}, e[3]], 'row 2: field "prediction" must be a string'),
        (lambda e: [e[0]["prediction"], *e[1:]], 'predictions row 0: needs "id" and "qa_type"'),
        (
            lambda e: [{"key": f"k{k}", **x} for k, x in enumerate(e)],
            'field "key" no record has this',
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_row(
    change: Any, message: str, split: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _submit(split, change(_entries(split))) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "p.json" in error
    assert error.count("\n") == 1
    assert not split.with_name("submission.json").exists()


@pytest.fixture
def scores(tmp_path: Path) -> tuple[Path, Path]:
    """Two strict score files of the same records; the second is right more often."""
    samples: list[Sample] = [
        make_sample("cvs_assessment", CVS.format(k % 3), dataset="Cholec80_CVS", video=f"v{k % 8}", row=k)
        for k in range(24)
    ]
    samples += [
        make_sample(f"video_summary_{w}", "the hook cuts", video=f"v{k}", row=30 + k)
        for k, w in enumerate(("gpt", "gemini") * 3)
    ]
    return (
        _write(tmp_path / "base.json", samples, [CVS.format(0)] * 24 + ["a knife"] * 6),
        _write(
            tmp_path / "tuned.json", samples, [CVS.format(k % 3) for k in range(24)] + ["the hook cuts"] * 6
        ),
    )


def _write(path: Path, samples: Sequence[Sample], answers: Sequence[str], protocol: str = "strict") -> Path:
    evaluate(samples, answers, protocol, encoder=BagOfLetters()).write(path)
    return path


def test_compare_ranks_and_tests(scores: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    base, tuned = scores
    assert main(["compare", str(base), f"ours={tuned}", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in content["ranks"]] == ["ours", "base"]
    rows = {(r["dataset"], r["task"], r["quantity"]): r for r in content["differences"]["ours"]}
    cvs = rows["Cholec80_CVS", "cvs_assessment", "score"]
    assert (cvs["verdict"], cvs["videos"], cvs["n"]) == ("gained", 8, 24)
    assert cvs["p"] == pytest.approx(2 / 2**8)
    assert cvs["p"] < cvs["p_holm"] <= len(rows) * cvs["p"]
    assert rows["(all)", "video_summary", "score"]["after"] == pytest.approx(1.0)
    page = base.with_name("page.md")
    assert main(["compare", str(base), str(tuned), "--out", str(page)]) == 0
    assert "tuned against base" in capsys.readouterr().out
    assert "| gained" in page.read_text()


def test_compare_refuses_what_does_not_compare(
    scores: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, _ = scores
    other = _write(tmp_path / "other.json", [make_sample("cvs_assessment", CVS.format(0))], [CVS.format(0)])
    official = _write(
        tmp_path / "official.json",
        [make_sample("cvs_assessment", CVS.format(0))],
        [CVS.format(0)],
        "official",
    )
    for arguments, message in (
        ([base], "at least two"),
        ([base, other], "same records"),
        ([base, official], "different protocols"),
        ([base, base], "two score files are called"),
        ([base, tmp_path / "none.json"], "cannot be read"),
    ):
        assert main(["compare", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
    assert main(["compare", f"a={official}", f"b={official}"]) == 0
    assert "By dataset" in capsys.readouterr().out


@pytest.mark.parametrize("ending", ["html", "md"])
def test_a_report_holds_tables_and_plots(
    ending: str, scores: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made" / f"report.{ending}"
    assert main(["report", *map(str, scores), "--out", str(out)]) == 0
    text = out.read_text()
    for part in ("base", "tuned", "quadratic_kappa", "majority", "tuned against base", "rows set aside"):
        assert part in text
    pictures = sorted(out.parent.glob("*.png"))
    if ending == "html":
        assert text.count("data:image/png;base64,") == 5
        assert pictures == []
        assert "http" not in text.replace("http-equiv", "")  # nothing is loaded from elsewhere
    else:
        assert len(pictures) == 5
        assert all(f"]({p.name})" in text for p in pictures)
        assert all(p.read_bytes().startswith(b"\x89PNG") for p in pictures)


def test_a_report_of_official_scores_and_of_another_ending(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = [make_sample("cvs_assessment", CVS.format(0), row=k) for k in range(3)]
    path = _write(tmp_path / "o.json", samples, [CVS.format(0)] * 3, "official")
    assert main(["report", str(path), "--out", str(tmp_path / "r.html")]) == 0
    assert '<td class="n">1.000</td>' in (tmp_path / "r.html").read_text()
    assert main(["report", str(path), "--out", str(tmp_path / "r.pdf")]) == 2
    assert ".html or .md" in capsys.readouterr().err


def test_the_writers_of_references_are_told_apart(scores: tuple[Path, Path]) -> None:
    tables = json.loads(scores[1].read_text())["by_dataset"]
    table = tables["AVOS"]["video_summary"]
    assert {name: part["n"] for name, part in table["by_origin"].items()} == {"gpt": 3, "gemini": 3}
    assert table["by_origin"]["gpt"]["score"] == pytest.approx(1.0)
    assert (
        "by_origin" not in json.loads(scores[1].read_text())["by_dataset"]["Cholec80_CVS"]["cvs_assessment"]
    )
