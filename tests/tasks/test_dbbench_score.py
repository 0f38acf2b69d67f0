"""DBBench's pure parts: how replies, SQL, answers and tables are read."""

from __future__ import annotations

import builtins
import json
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from harness.types import Row
from tasks.dbbench import action, output, score, sql
from tasks.dbbench.server import Address
from tasks.dbbench.table import escape
from tasks.dbbench.world import address_of

# -- replies


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Action: Operation\n```sql\nx\n```", "Operation"),
        ("so\nAction: Answer\nFinal Answer: 1", "Answer"),
        ("Action: Operation", None),
        ("Action: Operation \n", "Operation "),
        ("action: Operation\n", None),
        ("Action:Operation\n", None),
        ("Action: Answer\nAction: Operation\n", "Answer"),
    ],
)
def test_action_is_the_first_and_needs_its_newline(text: str, word: str | None):
    assert action.word(text) == word


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```sql\nSELECT 1;\n```", "SELECT 1;"),
        ("```sql\nSELECT 1\n  FROM t\n```", "SELECT 1   FROM t"),
        ("```sql\n-- note\nSELECT 1\n```", "-- note SELECT 1"),
        ("```SQL\nSELECT 1\n```", None),
        ("```sql\nSELECT 1", None),
        ("```sql SELECT 1\n```", None),
        ("```sql\nA\n```\n```sql\nB\n```", "A"),
    ],
)
def test_statement_is_the_first_block_on_one_line(text: str, found: str | None):
    assert action.statement(text) == found


def test_a_flattened_comment_swallows_the_statement():
    assert sql.statements("-- note SELECT 1") == []


@pytest.mark.parametrize(
    ("text", "answer"),
    [("x\nFinal Answer: [1]\nmore", " [1]"), ("Final Answer: 1", ""), ("x\nFinal Answer:", ""), ("", "")],
)
def test_final_answer_needs_a_line_of_its_own(text: str, answer: str):
    assert action.final(text) == answer


# -- answers


@pytest.mark.parametrize(
    ("answer", "labels", "paper", "fixed"),
    [
        (' ["Women +60kg Bronze"]', ["Women +60kg Bronze"], 1, 1),
        (' ["women +60kg bronze"]', ["Women +60kg Bronze"], 0, 1),
        (' ("a",)', ["a"], 1, 1),
        (' ["5"]', ["5.0"], 1, 1),
        (" [5]", ["5.0"], 1, 1),
        (" 5", ["5.0"], 1, 1),
        (" 1,020", ["1020"], 0, 1),
        (' "abc"', ["abc"], 0, 1),
        (' "a"', ["a"], 1, 1),
        (" abc", ["abc"], 0, 1),
        (' ["b", "a"]', ["a", "b"], 1, 1),
        (' ["a", "a", "b"]', ["a", "b"], 1, 0),
        (' ["1", "2"]', ["1.0", "2"], 0, 1),
        (' [1, "b"]', ["1", "b"], 0, 1),
        (' [["a"]]', ["a"], 0, 1),
        (' [["a"], "b"]', ["a", "b"], 0, 1),
        (" []", ["a"], 0, 0),
        ("", ["a"], 0, 0),
        (" None", ["none"], 0, 1),
        (' ["nan"]', ["nan"], 0, 1),
    ],
)
def test_answers_under_both_rules(answer: str, labels: list[str], paper: int, fixed: int):
    assert score.judge(answer, labels) == {"paper": paper, "fixed": fixed}


EXPLOITS = [
    " cor",
    " labels",
    " [cor]",
    " gold",
    " locals().values()",
    " [x for x in [1]]",
    " globals()['label']",
    " __import__('os').system('touch {path}')",
    " open('{path}', 'w').write('x')",
    " [open('{path}', 'w')]",
    " exec(\"open('{path}', 'w')\")",
    " (lambda: open('{path}', 'w'))()",
    " type('X', (), {{'__eq__': lambda s, o: True}})()",
    " f\"{{open('{path}', 'w')}}\"",
    " 9**9**9",
    " " + "[" * 5000,
    " " + "(" * 90_000,
    " " + "-" * 90_000 + "1",
]


@pytest.mark.parametrize("answer", EXPLOITS, ids=lambda text: text[:20])
def test_answers_that_exploit_eval_score_0_and_run_nothing(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*args: object) -> None:
        raise AssertionError("an answer was run")

    path = tmp_path / "proof"
    text = answer.replace("{path}", str(path)).replace("{{", "{").replace("}}", "}")
    with monkeypatch.context() as patched:
        patched.setattr(builtins, "eval", refuse)
        patched.setattr(builtins, "exec", refuse)
        judged = score.judge(text, ["Women's 60 kg"])
    assert judged == {"paper": 0.0, "fixed": 0.0}
    assert not path.exists()


@settings(max_examples=200, deadline=None)
@given(st.text(), st.lists(st.text(), min_size=1, max_size=3))
def test_any_answer_has_a_value(text: str, labels: list[str]):
    assert set(score.judge(text, labels).values()) <= {0.0, 1.0}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1, max_size=4, unique=True))
@example(["1,020", "it's", '"', "\u2028\U0001f600"])
def test_labels_as_a_list_are_right(labels: list[str]):
    assume(all("nan" not in label.lower() for label in labels))
    assert score.judge(f" {json.dumps(labels, ensure_ascii=False)}", labels)["paper"] == 1.0


def test_all_released_labels_are_right_as_a_list(mirror: Path):
    path = mirror / "dbbench/AgentTuning/AgentBench.old/data/dbbench/standard.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    labels = [row["label"] for row in rows if row["type"][0] not in score.GROUPS]
    assert len(labels) == 100
    assert [score.judge(f" {json.dumps(label)}", label)["paper"] for label in labels] == [1.0] * 100


# -- tables and totals


def test_table_hash_ignores_order_and_nulls_but_not_empty_cells():
    rows = [["a", 1], ["b", 2]]
    assert score.table_hash(rows) == score.table_hash(rows[::-1])
    assert score.table_hash([["a", None]]) != score.table_hash([["a", ""]])
    assert score.table_hash([["16"]]) != score.table_hash([["16.0"]])


def row(kind: str, value: float, fixed: float) -> Row:
    rules = {"paper": value, "fixed": fixed}
    labels = {"kind": kind, "group": score.group(kind)}
    return Row(f"{kind}/{value}", 0, "scored", value, score.metrics(kind, value, rules, 2), labels)


def test_the_headline_weighs_the_three_groups_alike():
    rows = [row("other", 1, 1), row("counting", 0, 1), row("INSERT", 1, 1), row("UPDATE", 0, 0)]
    numbers = score.aggregate(rows)
    assert numbers["overall"] == numbers["paper"] == pytest.approx((0.5 + 1 + 0) / 3)
    assert numbers["fixed"] == pytest.approx((1 + 1 + 0) / 3)
    assert (numbers["other"], numbers["counting"], numbers["SELECT"]) == (1.0, 0.0, 0.5)
    assert score.aggregate(rows[:2])["overall"] == 0.5
    assert score.aggregate([]) == {}


# -- SQL


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SELECT 1;", ["SELECT 1"]),
        ("a; b ;", ["a", "b"]),
        ("SELECT ';' ; b", ["SELECT ';'", "b"]),
        ('SELECT "a;\\";" , `x;y`', ['SELECT "a;\\";" , `x;y`']),
        ("SELECT 'it''s;' # c ; d", ["SELECT 'it''s;' # c ; d"]),
        ("SELECT 1 /* ; */; SELECT 2", ["SELECT 1 /* ; */", "SELECT 2"]),
        ("SELECT 1 -- ; x", ["SELECT 1 -- ; x"]),
        ("SELECT 1--1; b", ["SELECT 1--1", "b"]),
        ("SELECT 'open ; b", ["SELECT 'open ; b"]),
        (" ; ;; ", []),
        ("CREATE PROCEDURE p() BEGIN SELECT 1; END", ["CREATE PROCEDURE p() BEGIN SELECT 1; END"]),
    ],
)
def test_statements_end_where_mysql_ends_them(text: str, parts: list[str]):
    assert sql.statements(text) == parts


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("SELECT Rank FROM t", "FROM t"),
        ("SELECT * FROM t WHERE rank = 1", "= 1"),
        ("SELECT * FROM t ORDER BY Rank", ""),
        ("UPDATE t SET Rank = 1 WHERE a = 2", "Rank = 1 WHERE a = 2"),
        ("UPDATE t SET a = 1, Rank = 2", "Rank = 2"),
        ("INSERT INTO t (Rank, a) VALUES (1, 2)", "Rank, a) VALUES (1, 2)"),
        ("SELECT System FROM t", "System FROM t"),
        ("SELECT 1 AS Rank", "Rank"),
        ("SELECT rank" + " " * 9 + "x" * 200, "x" * 80),
    ],
)
def test_mysql_reserves_more_words_than_mariadb(text: str, near: str):
    assert sql.reserved(text) == near
    assert sql.syntax_error(near).endswith(f"for the right syntax to use near '{near}' at line 1")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT `Rank` FROM t",
        "SELECT t.Rank FROM t",
        "SELECT RANK() OVER (ORDER BY a) FROM t",
        "SELECT 'rank', \"system\" FROM t -- rank",
        "SELECT Ranking, ranks FROM t",
        "SELECT * FROM t FOR UPDATE OF t",
        "INSERT INTO t VALUES ('x', 'rank')",
        "SELECT (1, 2) = ROW(1, 2)",
    ],
)
def test_other_uses_of_reserved_words_pass(text: str):
    assert sql.reserved(text) is None


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab ;'\"`\\/*-#\n!(),0."))
def test_any_sql_can_be_read(text: str):
    sql.reserved(text)
    joined = "".join(sql.statements(text)).replace(";", "")
    assert len(joined) <= len(text)


def test_long_sql_is_read_in_linear_time_and_bounded_stack():
    assert len(sql.statements("'" + "a" * 2_000_000)) == 1
    assert len(sql.statements("SELECT 1; " * 20_000)) == 20_000
    assert sql.statements("/* " * 1_000_000) == []


# -- wording


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        (
            1064,
            "check the manual that corresponds to your MariaDB server version",
            "1064 (42000): check the manual that corresponds to your MySQL server version",
        ),
        (1054, "Unknown column 'x' in 'WHERE'", "1054 (42000): Unknown column 'x' in 'where clause'"),
        (1054, "Unknown column 'x' in 'SELECT'", "1054 (42000): Unknown column 'x' in 'field list'"),
        (
            1292,
            "Truncated incorrect DECIMAL value: 'x'",
            "1292 (42000): Truncated incorrect DOUBLE value: 'x'",
        ),
        (1969, "Query execution was interrupted", output.TIMED_OUT),
    ],
)
def test_errors_are_told_in_mysqls_words(code: int, message: str, shown: str):
    assert output.error(code, message, "42000", "SELECT 1") == shown


def test_observations_are_cut_in_characters():
    assert output.cut("é" * 800) == "é" * 800
    assert output.cut("é" * 801) == "é" * 800 + "[TRUNCATED]"


def test_upstream_escapes_the_names_of_columns():
    assert escape("Men's \\n") == "Men\\'s \\\\n"


def test_the_users_server_is_named_by_an_address():
    assert address_of("") is None
    found = address_of("mysql://root:p%40ss@127.0.0.1:13306")
    assert found == Address("root", "p@ss", host="127.0.0.1", port=13306)
    with pytest.raises(Exception, match="HARNESS_MYSQL"):
        address_of("127.0.0.1:3306")
