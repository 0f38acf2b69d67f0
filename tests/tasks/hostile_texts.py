"""The worst texts for each parser of model text: what a pattern or a loop would read again and again."""

from __future__ import annotations

from collections.abc import Callable

Worst = str | tuple[str, str] | Callable[[int], str]
"""A unit that is repeated, or what stands before it and the unit, or a function of the size."""

COMMON: tuple[Worst, ...] = (
    "a",
    " ",
    "\n",
    "a ",
    "5",
    "5 ",
    ("x", "["),
    "]",
    "`",
    "#",
    "(",
    "-",
    ".",
    ",",
    "\t\n",
)


def halves(first: str, second: str) -> Callable[[int], str]:
    """A text whose first half repeats one thing and whose second half another."""
    return lambda size: first * (size // 2 // len(first)) + second * (size // 2 // len(second))


def called(unit: str, *, value: str = "x") -> Callable[[int], str]:
    """A plan whose second call names variables without end."""
    return lambda size: f"#E1 = {value}\n#E2 = LLM[" + unit * (size // len(unit)) + "]"


def numbered(line: str) -> Callable[[int], str]:
    """Lines with numbers that rise from 10."""
    return lambda size: "".join(line.format(n) for n in range(10, 10 + size // (len(line) + 2)))


def listed(item: Callable[[int], str], marks: str) -> Callable[[int], str]:
    """A list of as many items as the size holds."""

    def build(size: int) -> str:
        count = size // (len(item(5000)) + 1)
        return marks[0] + ",".join(item(n) for n in range(1, count)) + marks[1]

    return build


def defined_and_called(size: int) -> str:
    """Many variables, and one call that names them all."""
    names = [f"#E{n}" for n in range(10, 10 + size // 12)]
    return "".join(f"{name}=\n" for name in names) + f"#E9 = LLM[{''.join(names)}]"


def many_calls_of_much(line: str) -> Callable[[int], str]:
    """A long evidence that the rest of the plan names again and again."""
    return lambda size: "#E1 = " + "x" * (size // 2) + "\n" + line * (size // 2 // len(line))


COLLIDING_INT = lambda n: str(n * ((1 << 61) - 1))  # noqa: E731  (all of them have the hash 0)
COLLIDING = lambda n: f"{-1000003 * n}+{n}j"  # noqa: E731  (the same)

WORST: dict[str, tuple[Worst, ...]] = {
    "alfworld": ("ACTION:", ("ACTION: ", "go to "), ("ACTION:", "\n")),
    "card_game.guess": (
        *("{", "}", "{}", "{'", '{"', "{[", '{"a": [', "'", '{"target_position": ', "{{}"),
        *(('{"guess_type": ', "["), ('{"target_position": ', "9"), ('{"a": "', "\\"), ('{"a": ', "9.")),
        *(listed(COLLIDING_INT, "{}"), '{"guess_type": "eel", "target_position": 9}'),
        lambda size: '{"guess_type": "eel", "target_position": ' + "0" * size + "}",
        lambda size: '{"guess_type": "eel", "target_position": "' + "1" * size + '"}',
        lambda size: '{"a": ' + "[" * size + "}",
    ),
    "card_game.move": (
        *("{", "{}", '{"pick_fish": "eel", "action": "normal", "target_position": 9}'),
        *(halves("{", "}"), halves("{", '{"action": "normal"}')),
        lambda size: '{"pick_fish": "eel", "action": "normal", "target_position": "' + " " * size + '9"}',
        lambda size: '{"pick_fish": "eel", "action": "normal", "target_position": "' + "1" * size + '"}',
    ),
    "dbbench.action": ("Action: ", "Action:\n"),
    "dbbench.statement": ("```sql\n", "```sql", ("```sql\n", "\n``")),
    "dbbench.final": ("\nFinal Answer:", "\n"),
    "dbbench.judge": (
        *(
            "a, ",
            " and ",
            "a and",
            "answer is ",
            "$1,",
            "$",
            "1 a ",
            ("1", " a"),
            ("1", ",000"),
            ("answer", " "),
            '*"',
            ".",
        ),
        *("1,", "'a',", "[", "{1:", "-", "'a'", "1+1j,"),
        *(listed(COLLIDING_INT, "[]"), listed(COLLIDING_INT, "{}")),
        *(listed(COLLIDING, "[]"), listed(COLLIDING, "{}")),
    ),
    "dbbench.statements": (
        *("a;", ";", "'", "'a", '"\\', "`", "/*", "/*a*/", "--\n", "-- ", "1.", "1a", "'' ", "\\"),
        ("CREATE PROCEDURE p() BEGIN ", "a;"),
    ),
    "dbbench.reserved": (
        *("RANK(", "RANK (", ".RANK", "a,", "OF ", "ROW ", "RANK", "/*", "'"),
        ("UPDATE a SET a=(", ",RANK("),
        ("INSERT INTO t VALUES (", ",RANK("),
        ("SELECT ", ",RANK("),
        ("UPDATE a SET a=(", ",ROW("),
        ("REPLACE t SELECT ", "GROUPING("),
    ),
    "dbbench.position": (("SELECT ", "(a),"), ("SELECT ", "`a`,"), ("SELECT ", "z."), "/*"),
    "dbbench.ungrouped": (("SELECT ", "MAX(a),"), ("SELECT ", "AS "), ("SELECT ", "DISTINCT ")),
    "gsm8k": (
        *("Question:", "</s>", "the answer is ", "1,111,", "1,1111", "0.", "-$5", "####", "#### "),
        *(
            "1,",
            "$",
            "-",
            ("#### ", "9"),
            ("0.", "0"),
            "#### 1\n",
            "#### x\n",
            "\\boxed{",
            "\\boxed{1}",
            "no, 1",
        ),
        *(
            "\\boxed{{",
            ("\\boxed{", "\\boxed{"),
            "answer is 1 = 2. ",
            "answer of ",
            ("answer of", " "),
            "wait, ",
        ),
        *(
            "answer is x. ",
            "answer is",
            "answer: ",
            "1/",
            "1-",
            "1 ",
            "5. 5",
            "=",
            "1=",
            "check ",
            "not 1 but ",
            "1.\n",
        ),
        *(
            "one ",
            "answer is one ",
            ("the answer is ", "one "),
            "step 1",
            "1 2/3 ",
            "the answer is 1 or ",
            "(1) ",
        ),
    ),
    "hotpotqa.action": (
        *("Search[", "Search ", "search\t", "Search[]", "finish", ("Search", " "), ("Search[", "[")),
        *(("Finish[", "]"), ("Finish[", "].")),
    ),
    "hotpotqa.careful": (
        *(
            "a. ",
            "a.",
            "1st ",
            "1-1-",
            "1776-07-04 ",
            "$1",
            "$ 1.",
            "jan. ",
            "st. ",
            "one ",
            "one and ",
            "%",
            "1,000",
            "1 000",
        ),
        *("1 to ", "\u00e9", "a-", ("1", " "), ("$", " "), ("1", ",000"), ("one", " and")),
    ),
    "hotpotqa.answer": ("a ", "an the ", "b ", "a!"),
    "humaneval.completion": ("\n", "\ndef", "   ", "\ncla"),
    "humaneval.chat": (
        *(
            "~~~",
            "~~~\n",
            "a```\n",
            "import a\n",
            "half =",
            "(",
            "A a a",
            "This is prose\n",
            "return a\n",
            "\t",
            "\t\n",
            '"""\n',
        ),
        *(("```\n", "import a\n"), ("```\n", "\tx\n"), ("def", " "), ("def a\n", "a."), ("def a\n", "a ")),
        *(("```\n", "def half(x):\n"), "```\ndef half(x):\n```\n", ("```\n", " half")),
        *("```", "````", "```\n", "\n```", "def ", "\ndef ", "async ", "import"),
        *(("def", "\n"), ("async", "\n"), ("async\ndef", "\n"), ("def half", " "), ("```\n", "\ndef half")),
    ),
    "knowledgegraph": (
        *("count(", "a, ", "a ", "a,", ")", "variable ", "Final Answer: ", "Observation", "Action\n", "\\_"),
        *(("Action: count(", unit) for unit in ("a,", "a ,", " ,", "count(", "a, b", "x1(", "a(")),
        halves("Action: count(" + "a," * 40, " "),
        halves("count(", ")"),
    ),
    "mind2web": ("Answer: ", "Action: ", "Value: ", ("Value: ", "a "), "Value: \n", "Value:\r"),
    "miniwob": (
        "`",
        "\\n",
        "'",
        ("type ", "a\\n"),
        ("type ", '"'),
        ("press ", " "),
        "1.",
        "1",
        ("type", " "),
    ),
    "mmlu": ("A", " A", "_A", "(A)"),
    "mt_bench.paper": ("[[", "[[1", "[1", "[[1]", ("[[", "1"), ("[", "1"), ("[[1.", "1"), ("[[1", "."), "1."),
    "mt_bench.fixed": (
        *(
            "rating: 1 ",
            "rating",
            "score is ",
            "[[one]]",
            "1/10",
            "1 /",
            "1 out of 10",
            ("rating", " "),
            ("1", " "),
            ("1.", "0"),
        ),
        *("[[", "[[ ", "[[1", "[[1]", "[[1/", "rating", "rating[", "rating 1 [", "Rating: [1"),
        *(("[[1", " "), ("[[", " "), ("[[1/", " "), ("[[1 / 10", " "), ("[[1]", " "), ("rating[1", " ")),
        *(("[[", "1"), ("[[1.", "1"), ("rating [", "1"), ("rating[1/", " "), ("ratingrating[", " ")),
    ),
    "os.action": (
        *(
            "Act:",
            "Act: ",
            "Act:\n",
            "Act: answer\n",
            "Act: answer(",
            "Act: x\n",
            ("Act:", "\n"),
            ("Act:", " "),
        ),
        *(("Act: bash\n", "```bash\n"), ("Act: bash\n", "\n```"), ("Act: bash\n", "```bash\n\n```")),
    ),
    "rewoo.label": ("yes ", "no or ", "answer is ", "not ", "yes or no "),
    "rewoo.unbracketed": (
        "[",
        "[1",
        "[1]",
        "[ ",
        ("[", " "),
        ("[", "1"),
        ("[1.", "1"),
        ("[1,", ","),
        ("[1e", "1"),
    ),
    "os.graders": (
        *("the answer is ", "one ", "5 K", "`"),
        *(("5", " "), ("answer is", " "), ("5", ",5")),
        "5_",
        "B",
        "KB",
        " 5",
        "\r\n",
        "\r",
    ),
    "rewoo.paper": (
        *("#E1", "#E1=", "Plan:", "Plan:\n", "#E", "#E1=#E1\n", "#E1 = LLM[#E1]\n"),
        *(called("#E1"), called("#E1 "), called("#E1", value="#E1"), called("#E1", value="#E1#E1")),
        *(called("#E1#E12"), called("#E1", value=""), called("#E1", value="#E3"), called("#E11", value="1")),
        *(numbered("#E{}=\n"), numbered("Plan: a\n#E{}=a\n"), defined_and_called),
        *(numbered("#E9=LLM[#E{}]\n"), many_calls_of_much("#E2=NO[#E1]\n"), ("#E1=LLM[", "[")),
    ),
    "rewoo.fixed": (
        *("#E1", "#E1=", "# E 1 ", "plan", "plan 1 ", "Plan:\n", "- ", "1. ", "1", "#E1=#E1\n"),
        *(("plan", " "), ("plan 1", " "), ("- ", " "), ("#E1", " "), ("#E1=", " "), ("#E1=LLM", " ")),
        *(("#E1=LLM[", "["), ("#E1=a", "a"), called("#E1"), called("#E1", value="#E1"), called("#E11")),
        *(
            numbered("#E{}=\n"),
            numbered("Plan: a\n#E{}=a\n"),
            defined_and_called,
            numbered("#E{}=NO[#E10]\n"),
        ),
        *(many_calls_of_much("#E2=NO[#E1]\n"), many_calls_of_much("Plan:\n#E1=x\n")),
        lambda size: "#E1 = " + "x" * (size // 2) + numbered("\n#E{}=NO[#E1]")(size // 2),
        lambda size: numbered("Plan:\n#E1=\n")(size // 2) + "#E1=" + "x" * (size // 2),
    ),
    "rewoo.quantity": (
        *("5 ", "5x", "5;", "5 ;", "59 ", "5,", "5.", "1,111", "-.5", "5e", "5 m ", "5 kg ", "5  ", "5\n"),
        *(halves("5x", " "), halves("5;", " x"), ("0.", "0")),
    ),
    "rewoo.number": ("5 ", "1,111", "1,", ".5", "5e5", "5e-", "+", ("0.", "1")),
    "rewoo.names": ("a ", "b", "the "),
    "rewoo.words": ("a ", "b ", "the "),
    "rewoo.verdict": ("IN", "CORRECT1", "a1", "INCORRECTS "),
    "rewoo.calculator": ("```text", ("```text", "`"), ("```text", "("), "Answer:", ("```text", "1+")),
    "rewoo.algebra": ("x = ", "for x ", "solve ", " "),
    "rewoo.speech": ("we ", "meet", "_"),
    "sciworld": ("go ", "green house ", "Action:", "!", " a"),
    "webarena.action": (
        *("type [1] [", "type [1] ", "click [", "http://", "http://reddit.com", "press [", "stop [a"),
        *(("type [1] [", "] [1"), ("type [1] [", "][1]"), ("goto [", "http://onestopmarket.co")),
    ),
    "webarena.reply": ("```", "``", ("```", "a"), "```a\n"),
    "webarena.verbs": ("] [", "][1]", "+", "] [press_enter_after=0"),
    "webarena.answer": ("0", "'", "0.", "--", "$0"),
    "webarena.url": ("/f/x", "http://127.0.0.1:9000", "http://127.0.0.1:900", "/", "%"),
    "webshop.action": (
        *("Action:\n", "Action: ", "Action:\nsearch[", "Action:\nsearch[a", "action:", "search["),
        *(("Action:", "\n"), ("Action:", " "), ("Action:\nsearch[", "["), ("Action:\nclick[", "x[y")),
        lambda size: "Action:\nsearch[" + "[" * size + "]",
    ),
    "webshop.terms": (
        *(
            "a:",
            "a_",
            "1,",
            "_",
            "'s",
            "a.",
            "1a",
            "é",
            "é_",
            "é:",
            "a\u0301",
            "\u0301",
            "漢",
            "ก",
            "カ_",
            "★",
        ),
        *("\U0001f44d\u200d", "\U0001f1e6", ("é", "_"), ("é", "\u0301"), lambda size: "é" + "_" * size + " "),
    ),
    "_shared.numerals": (
        *(
            "1,",
            "1,111,",
            "1/",
            "1-",
            "1:00",
            "1 k",
            "1e",
            "-",
            "- 1",
            "$",
            "$-",
            "1 1/2 ",
            "\\frac{1}{2}",
            "\\frac{",
        ),
        *(
            "\u00bd",
            "1\u00bd",
            "{,}",
            "1{,}",
            "1\\,111",
            "m^2",
            "^2",
            "minus ",
            "1 to ",
            ("1", ",111"),
            ("1.", "1"),
        ),
        *(("1", " "), ("1 x", " "), ("minus", " "), "\\text", "*", "__", "1 \\times 10^9 "),
    ),
    "_shared.balanced": ("[", "[]", "x"),
    "_shared.normalize": ("a ", "an.", "the"),
    "_shared.clean": (
        *("\x1b", "\x1b[", "\x1b]", "\x1bP", "\x1b[?2004l", "\r\n", "\r", "\n", "\x07"),
        *(("\x1b[", "0"), ("\x1b[", " "), ("\x1b]", "a"), ("\x1bP", "a"), ("\x1b", " ")),
    ),
    "_shared.thought": ("<think>", "</think>", "<think></think>\n", ("<think>", "<"), ("</think>", " \n")),
    "_shared.stops": ("<think>", "STO", ("<think>", "STOP"), "<think></think>STOP", "</think>x"),
    "_shared.command_lines": ("'", "\n", "\\", "é"),
}


def built(worst: Worst, size: int) -> str:
    if callable(worst):
        return worst(size)
    head, unit = ("", worst) if isinstance(worst, str) else worst
    return head + unit * (size // len(unit))
