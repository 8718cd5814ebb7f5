"""The texts of a shard as documents to search in, one a group, and what people type as a query for them."""

from __future__ import annotations

import re
from typing import Any

from app.index.scan import Part
from medgrpo.errors import MissingExtraError, UserError

__all__ = ["DocumentReader", "match_expression"]

_BREAK = "'\n0break0\n'"  # a word between two texts, so that no phrase is found across their border
_DOCUMENTS = f"""
SELECT min(file_row_number), concat_ws({_BREAK}, group_id, any_value(sample_id), any_value(video_id),
    any_value(question), any_value(reference_text), string_agg(completion_text, {_BREAK}),
    string_agg(array_to_string([d.rationale FOR d IN judge.dimensions], {_BREAK}), {_BREAK}))
FROM read_parquet($file, file_row_number = true, hive_partitioning = false)
WHERE file_row_number >= $first AND file_row_number < $first + $rows
GROUP BY group_id
"""
_TERM = re.compile(r'"([^"]*)"?(\*?)|([^\s"]+)')
_TERMS = 100


class DocumentReader:
    """Reads documents in a thread of its own, on one core, so that the pages keep the others.

    Raises:
        MissingExtraError: If duckdb is not installed.
    """

    def __init__(self) -> None:
        try:
            import duckdb
        except ImportError as error:
            raise MissingExtraError("duckdb", "app") from error
        self._error = duckdb.Error
        self._connection = duckdb.connect(":memory:", config={"threads": 1})

    def read(self, part: Part) -> list[tuple[int, str]]:
        """Number of the first row in the file, and all texts, of each group in a shard.

        Raises:
            UserError: If it cannot be read.
        """
        values: dict[str, Any] = {"file": part.file, "first": part.first, "rows": part.rows}
        try:
            return self._connection.execute(_DOCUMENTS, values).fetchall()
        except self._error as error:
            raise UserError(f"{part.file}: cannot be read ({str(error).splitlines()[0]})") from error


def match_expression(text: str) -> str:
    """What somebody typed as an FTS5 expression that is never a syntax error.

    All words must be there; ``"two words"`` beside each other, ``diss*`` as the beginning of a word.

    Returns:
        The expression; empty if there is no word to look for.

    Raises:
        UserError: If there are too many words.
    """
    clean = text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")
    terms = []
    for phrase, star, word in _TERM.findall(clean):
        wanted, begins = (word.rstrip("*"), word.endswith("*")) if word else (phrase, bool(star))
        if any(letter.isalnum() for letter in wanted):
            terms.append(f'"{wanted}"' + ("*" if begins else ""))
    if len(terms) > _TERMS:
        raise UserError(f"too many words to search for ({len(terms)}); use at most {_TERMS}")
    return " ".join(terms)
