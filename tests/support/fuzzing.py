"""Study files and command lines that nobody would write on purpose."""

from __future__ import annotations

import re

VALUES = (
    *("nan", "inf", "-inf", "1e400", "-0.0", "1e-320", "0", "-1", "1.5", "true", "9" * 30, "0x7fffffffffffffff"),
    *('""', '"x"', '"\\u0000"', '"../.."', f'"{"n" * 300}"', '"ä/ \\n"', "2026-01-01", "07:30:00", "[]", "{}", "[[]]"),
    *("[1, 0]", "[0, 0]", '["a", "a"]', "[1, 1.0, true]", "[0.0, 1e308]", "{ int = [1, 2] }", "{ choice = [] }"),
    *("{ float = [0.0, 1.0], log = true }", "{ float = [0.0, 1.0], step = 1e-12 }", "{ a = { b = { c = 1 } } }"),
    *("[" * 2000 + "]" * 2000, "{ int = [1, 5], when = { x = 1 } }", '{ choice = ["a", 1], when = { k = [] } }'),
)
"""Right-hand sides that TOML takes, and some that it does not."""

KEYS = ("seed", "", '""', "a.b", "'x y'", "class", "trials", "metric", "n" * 300, "ä")
LINES = ("[space]", "[search]", "[[search.enqueue]]", "[objective.x]", "[]", "=", "x = 1", "\x00", "# nothing", '"""')


def mutated(text, draw):
    """Returns the bytes of a study file with one to four faults in it.

    Args:
        text: of a sound study file.
        draw: a `random.Random`.
    """
    lines = text.splitlines()
    for _ in range(draw.randint(1, 4)):
        config = draw.randrange(len(lines)) if lines else 0
        match draw.randrange(8):
            case 0 if lines:
                del lines[config]
            case 1 if lines:
                lines.insert(config, lines[draw.randrange(len(lines))])
            case 2:
                lines.insert(config, draw.choice(LINES))
            case 3 | 4 if lines:
                lines[config] = re.sub(r"=.*", lambda _: f"= {draw.choice(VALUES)}", lines[config])
            case 5 if lines:
                lines[config] = re.sub(r"^[^=\[]+=", lambda _: f"{draw.choice(KEYS)} =", lines[config])
            case 6 if lines:
                lines[config] = lines[config].replace("[", draw.choice('[({"'), 1)
            case _ if lines:
                lines[config] += f"\n{draw.choice(KEYS)} = {draw.choice(VALUES)}"
    content = "\n".join(lines).encode()
    if draw.random() < 0.1 and content:
        at = draw.randrange(len(content))
        content = content[:at] + draw.randbytes(draw.randint(1, 4)) + content[at + draw.randint(0, 3) :]
    return content[: draw.randrange(len(content) + 1)] if draw.random() < 0.05 else content


NUMBERS = ("0", "1", "2", "-1", "9" * 30, "1e3", "nan", "inf", "0x1", "1.5", "", "x", "٣", "1_000")
PATHS = (
    "afile",
    "afolder",
    "nowhere",
    ".",
    "/",
    "",
    "n" * 300,
    "afolder/new",
    "afile/x",
    "deep",
    "-",
    "a\nb",
    "\udcff",
)
TEXTS = ("curve", "curv", "", "..", "studies/curve.toml", "studies", "ä", "x" * 300, "--", "%s%n", "val", "\udcff")
URLS = (
    *("sqlite:///hpo.db", "sqlite:///nowhere/x.db", "sqlite:///afolder", "sqlite:///afile", "sqlite://", "hpo.db", ""),
    *("postgresql://u:p@127.0.0.1:1/x", "mysql://u@h/x", "http://[::1", "sqlite:///hpo.db?timeout=x", "sqlite:///\x01"),
)
URL_OPTIONS = {"--storage", "--from", "--ray-address", "--jobs-address"}
ALWAYS = {"--backend": "local", "--trials": "3", "--trainings": "6", "--epochs-total": "40", "--time": "5s"}
ALWAYS |= {"--storage-wait": "0.5"}
"""Options that keep a fuzzed command from training for long, or from waiting for a server."""


def _words(parameter):
    """Returns what a parameter of the command line is made for, and what else it may be given."""
    option, kind = max(parameter.opts, key=len), str(parameter.type_descriptor.annotation)
    if option in URL_OPTIONS:
        return URLS[:1], URLS
    if option == "--study":
        return ("curve",), TEXTS
    if "Path" in kind or option in {"--out", "--outputs", "--workdir"}:
        return ("afolder/new", "outputs"), PATHS
    if "int" in kind or "float" in kind:
        return ("0", "1", "2"), NUMBERS
    return ("0", "1", "x", "42,43"), (*TEXTS, *PATHS, *NUMBERS)


def arguments_of(command, draw):
    """Returns arguments for one command of the command line, hostile ones among them.

    Args:
        command: typer's, with its parameters.
        draw: a `random.Random`.
    """
    found = []
    for parameter in command.params:
        option = max(parameter.opts, key=len)
        if option == "--study" and draw.random() < 0.9:
            found += [option, "curve"]
            continue
        if option in {"--help", "--open", "--version"} or draw.random() < (0.1 if parameter.required else 0.85):
            if option in ALWAYS:
                found += [option, ALWAYS[option]]
            elif not parameter.required:
                continue
        elif getattr(parameter, "is_flag", False):
            found.append(option)
        else:
            meant, others = _words(parameter)
            word = ALWAYS.get(option) or draw.choice(meant) if draw.random() < 0.8 else draw.choice(others)
            found += [option, word] if option.startswith("-") else [word]
    return found
