from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medgrpo.cli import main
from medgrpo.data.records import read_records
from medgrpo.data.splits import Stratum, assign_splits, canonical_video_id, split_rows
from medgrpo.errors import UserError

THREE = {"train": 0.7, "val": 0.1, "test": 0.2}
PAIRS = [("CholecT50", "tal"), ("CholecTrack20", "stg"), ("Cholec80_CVS", "cvs_assessment"), ("AVOS", "tal")]


@pytest.mark.parametrize(
    ("video_id", "dataset", "canonical"),
    [
        ("VID01", "CholecT50", "cholec:1"),
        ("VID1", "CholecTrack20", "cholec:1"),
        ("video01", "Cholec80_CVS", "cholec:1"),
        ("video_080", "Cholec80_CVS", "cholec:80"),
        ("VID111", "CholecTrack20", "cholec:111"),
        ("07_part3", "CoPESD", "copesd:07"),
        ("01_2", "EgoSurgery", "egosurgery:01"),
        ("Suturing_B001_capture2", "JIGSAWS", "jigsaws:Suturing_B001"),
        ("Suturing_B001", "JIGSAWS", "jigsaws:Suturing_B001"),
        ("a1-_bCdEfGh", "AVOS", "avos:a1-_bCdEfGh"),
        ("01_2", "NurViD", "nurvid:01_2"),
    ],
)
def test_one_operation_has_one_name(video_id: str, dataset: str, canonical: str) -> None:
    assert canonical_video_id(video_id, dataset) == canonical


VIDEOS = st.dictionaries(
    st.tuples(st.sampled_from(["cholec", "avos", "copesd"]), st.integers(0, 60)).map(
        lambda v: f"{v[0]}:{v[1]}"
    ),
    st.lists(st.sampled_from(PAIRS), min_size=1, max_size=3).map(lambda pairs: tuple(sorted(set(pairs)))),
    max_size=60,
)


@given(VIDEOS, st.integers(0, 5))
def test_shares_hold_in_every_stratum_and_source(videos: dict[str, Stratum], seed: int) -> None:
    splits = assign_splits(videos, seed, THREE)
    assert set(splits) == set(videos)
    for family in {name.partition(":")[0] for name in videos}:
        members = [name for name in videos if name.startswith(f"{family}:")]
        for split, share in THREE.items():
            count = sum(splits[name] == split for name in members)
            assert abs(count - share * len(members)) < 1.0 + 1e-6
            for stratum in set(videos.values()):
                own = [name for name in members if videos[name] == stratum]
                count = sum(splits[name] == split for name in own)
                assert abs(count - share * len(own)) < 2.0 + 1e-6


@given(VIDEOS, st.randoms(), st.integers(0, 3))
def test_the_order_of_videos_does_not_matter(videos: dict[str, Stratum], random, seed: int) -> None:  # noqa: ANN001
    shuffled = list(videos.items())
    random.shuffle(shuffled)
    assert assign_splits(dict(shuffled), seed, THREE) == assign_splits(videos, seed, THREE)


@given(VIDEOS, VIDEOS)
def test_settled_videos_stay_whatever_is_added(first: dict[str, Stratum], more: dict[str, Stratum]) -> None:
    before = assign_splits(first, 0, THREE)
    after = assign_splits(more | first, 0, THREE, keep=before)
    assert {name: after[name] for name in before} == before
    assert set(after) == set(first) | set(more)


@given(st.integers(1, 60), st.integers(0, 400))
def test_a_new_video_moves_at_most_one_other_across_each_border(count: int, added: int) -> None:
    stratum: Stratum = (("AVOS", "tal"),)
    videos = {f"avos:{k}": stratum for k in range(count)}
    before = assign_splits(videos, 0, THREE)
    after = assign_splits(videos | {f"avos:x{added}": stratum}, 0, THREE)
    assert sum(before[name] != after[name] for name in videos) <= len(THREE) - 1


def test_seeds_are_independent_and_the_assignment_is_fixed_for_good() -> None:
    videos = {f"avos:{k}": (("AVOS", "tal"),) for k in range(1000)}
    first, second = assign_splits(videos, 0, THREE), assign_splits(videos, 1, THREE)
    assert Counter(first.values()) == {"train": 700, "val": 100, "test": 200}
    both = sum(first[name] == second[name] == "train" for name in videos)
    assert both == pytest.approx(490, abs=40)
    # Golden: a change here moves videos between the splits of existing experiments.
    few = assign_splits({f"cholec:{k}": (("CholecT50", "tal"),) for k in range(1, 13)}, 7, THREE)
    assert "".join(few[f"cholec:{k}"][:2] for k in range(1, 13)) == "trtetetrtrtrtrtrtrtevatr"


@pytest.mark.parametrize("fractions", [{"train": 0.5}, {"train": 1.5, "val": -0.5}, {}])
def test_shares_that_do_not_add_up_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(UserError, match="sum to 1"):
        assign_splits({}, 0, fractions)


def test_an_empty_share_gets_nothing_and_other_names_are_refused() -> None:
    videos = {f"avos:{k}": (("AVOS", "tal"),) for k in range(30)}
    assert set(assign_splits(videos, 0, {"train": 1.0, "val": 0.0}).values()) == {"train"}
    with pytest.raises(UserError, match="earlier split is called 'dev'"):
        assign_splits(videos, 0, THREE, keep={"avos:1": "dev"})


def test_operations_stay_together_across_sources() -> None:
    rows = [(f"VID{k:02d}", "CholecT50", "tal") for k in range(1, 20)]
    rows += [(f"VID{k}", "CholecTrack20", "stg") for k in range(5, 25)]
    rows += [(f"video{k:02d}", "Cholec80_CVS", "cvs_assessment") for k in range(1, 30)]
    names = [canonical_video_id(video, dataset) for video, dataset, _ in rows]
    splits, videos = split_rows(names, [(d, t) for _, d, t in rows], 0, THREE)
    assert len({(name, split) for name, split in zip(names, splits, strict=True)}) == len(videos) == 29


def test_the_command_writes_one_file_a_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {
            "id": f"v{k % 10}&&{k}&&9&&1.0",
            "qa_type": "tal",
            "conversations": [
                {"from": "human", "value": f"<video>\nWhen {k}?"},
                {"from": "gpt", "value": "1-2"},
            ],
            "video": [f"{k}.jpg"],
            "metadata": {"fps": "1.0", "video_id": f"v{k % 10}"},
            "data_source": "AVOS",
        }
        for k in range(40)
    ]
    records = tmp_path / "all.json"
    records.write_text(json.dumps(rows))
    arguments = ["split", str(records), "--fractions", "train=0.7", "val=0.3"]
    assert main([*arguments, "--json"]) == 0
    counts = json.loads(capsys.readouterr().out)["splits"]
    assert counts == {"train": {"rows": 28, "videos": 7}, "val": {"rows": 12, "videos": 3}}
    train, val = (read_records(tmp_path / f"all.{name}.json") for name in ("train", "val"))
    assert {s.video_id for s in train}.isdisjoint({s.video_id for s in val})
    assert sorted(s.id for s in [*train, *val]) == sorted(row["id"] for row in rows)
    assert main([*arguments, "--keep", str(tmp_path / "all.splits.json"), "--seed", "5"]) == 0
    assert "AVOS" in capsys.readouterr().out
    assert {s.video_id for s in read_records(tmp_path / "all.val.json")} == {s.video_id for s in val}
    for bad, message in (("val", "NAME=SHARE"), ("a/b=1.0", "file name"), ("val=0.3", "sum to 1")):
        assert main(["split", str(records), "--fractions", bad]) == 2
        assert message in capsys.readouterr().err
