"""Read YAML that a person wrote: strictly, and remembering where every value stands.

PyYAML's C parser does the parsing. What it would let pass in silence is refused here: duplicate
keys, alias bombs, custom tags, non-text keys. Plain scalars follow the YAML 1.2 core schema, so
`no`, `on`, `012`, `12:30` and dates stay text.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError, Problem

Loc = tuple[str | int, ...]
"""A place inside a document: `("cases", 0, "id")`."""

MAX_BYTES = 5_000_000
MAX_DEPTH = 40
MAX_NODES = 200_000  # values after aliases are expanded; a 9-level alias bomb has a billion
MAX_INT_DIGITS = 19
MAX_PROBLEMS = 100  # of one file; after that it is not a file of ours

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)")


@dataclass(frozen=True)
class Mark:
    """Where a value stands; lines and columns count from 1."""

    line: int
    column: int
    width: int


@dataclass(frozen=True)
class Document:
    """One YAML file: its data, and the place of every key and value in it."""

    path: Path
    data: Any
    lines: tuple[str, ...]
    values: Mapping[Loc, Mark]
    keys: Mapping[Loc, Mark]
    scalars: Mapping[Loc, yaml.ScalarNode]
    problems: tuple[Problem, ...] = ()
    """What is wrong with the YAML itself though it could be read, such as a duplicate key."""

    def line_of(self, loc: Loc) -> int:
        """Return the line of a value, or of the nearest enclosing one."""
        return self._mark(loc, prefer_key=False).line

    def problem(self, loc: Loc, code: str, message: str, *, help: str = "", key: bool = False) -> Problem:
        """Return a problem at a value (or at its key), or at the nearest enclosing place."""
        mark = self._mark(loc, prefer_key=key)
        source = self.lines[mark.line - 1] if mark.line <= len(self.lines) else ""
        return Problem(
            code=code,
            message=message,
            path=self.path,
            line=mark.line,
            column=mark.column,
            width=mark.width,
            source=source,
            where=dotted(loc),
            help=help,
        )

    def _mark(self, loc: Loc, *, prefer_key: bool) -> Mark:
        first, second = (self.keys, self.values) if prefer_key else (self.values, self.keys)
        for cut in range(len(loc), -1, -1):
            found = first.get(loc[:cut]) or second.get(loc[:cut])
            if found:
                return found
        return Mark(1, 1, 1)


def read_yaml(path: Path, *, aliases: bool = False) -> Document:
    """Read one file.

    With `aliases`, anchors and merge keys are expanded within bounds; without, they are refused.
    What does not keep the file from being read is in the document's `problems`. Raises InputError
    if it cannot be read at all.
    """
    try:
        raw = path.read_bytes()
    except OSError as exc:
        raise InputError([_bare(path, "unreadable-file", f"cannot read it: {exc.strerror}")]) from None
    if len(raw) > MAX_BYTES:
        message = f"{len(raw):,} bytes; at most {MAX_BYTES:,} are read"
        raise InputError([_bare(path, "file-too-large", message)])
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputError([_bare(path, "not-utf-8", f"byte {exc.start} is not UTF-8")]) from None
    return parse_yaml(text, path, aliases=aliases)


def parse_yaml(text: str, path: Path, *, aliases: bool = False) -> Document:
    """Parse YAML text as `read_yaml` does; `path` only names it in errors."""
    lines = tuple(text.splitlines())
    try:
        _refuse_bombs(text, path, lines)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as exc:
        raise InputError([_syntax_problem(exc, path, lines)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as exc:
        raise InputError([_bare(path, "not-yaml", str(exc).split("\n")[0])]) from None
    reader = _Reader(path, lines, aliases=aliases)
    data = reader.read(node, ()) if node is not None else None
    if reader.stopped:
        raise InputError(reader.problems)
    return Document(path, data, lines, reader.values, reader.keys, reader.scalars, tuple(reader.problems))


def dotted(loc: Loc) -> str:
    """Return a key path as people write it.

    >>> dotted(("cases", 0, "id"))
    'cases[0].id'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.removeprefix(".")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a help line naming the nearest known word, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean `{near[0]}`?"
    return f"known: {', '.join(names)}" if names else ""


def yaml_11_value(node: yaml.ScalarNode) -> Any:
    """Return what a YAML 1.1 reader (PyYAML, and so LiteLLM) makes of a scalar."""
    constructor = yaml.SafeLoader("")
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, KeyError, ValueError):
        return node.value
    finally:
        constructor.dispose()


def _bare(path: Path, code: str, message: str) -> Problem:
    return Problem(code=code, message=message, path=path)


def _syntax_problem(exc: yaml.MarkedYAMLError, path: Path, lines: tuple[str, ...]) -> Problem:
    mark = exc.problem_mark or exc.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    source = lines[line - 1] if line <= len(lines) else ""
    message = " ".join(str(part) for part in (exc.context, exc.problem) if part)
    return Problem(code="not-yaml", message=message, path=path, line=line, column=column, source=source)


def _refuse_bombs(text: str, path: Path, lines: tuple[str, ...]) -> None:
    """Stop before composing what would recurse or grow beyond bounds; event parsing does neither."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH or count > MAX_NODES:
            what = f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"over {MAX_NODES:,} values"
            line = event.start_mark.line + 1 if event.start_mark else 1
            source = lines[line - 1][:80] if line <= len(lines) else ""
            problem = Problem(code="too-complex", message=what, path=path, line=line, source=source)
            raise InputError([problem])


class _Reader:
    """Turns PyYAML's nodes into plain data, noting marks and collecting problems."""

    def __init__(self, path: Path, lines: tuple[str, ...], *, aliases: bool) -> None:
        self.path = path
        self.lines = lines
        self.aliases = aliases
        self.problems: list[Problem] = []
        self.values: dict[Loc, Mark] = {}
        self.keys: dict[Loc, Mark] = {}
        self.scalars: dict[Loc, yaml.ScalarNode] = {}
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._count = 0
        self.stopped = False

    def read(self, node: yaml.Node, loc: Loc) -> Any:
        self._count += 1
        if self.stopped or self._is_refused_alias(node, loc):
            return None
        self.values[loc] = _mark_of(node)
        if isinstance(node, yaml.ScalarNode):
            self.scalars[loc] = node
            return self._scalar(node, loc)
        self._seen.add(id(node))
        self._open.add(id(node))
        value = self._mapping(node, loc) if isinstance(node, yaml.MappingNode) else self._sequence(node, loc)
        self._open.discard(id(node))
        return value

    def _is_refused_alias(self, node: yaml.Node, loc: Loc) -> bool:
        if self._count > MAX_NODES or id(node) in self._open or len(loc) > MAX_DEPTH:
            self.stopped = True
            self._say(node, loc, "alias-bomb", f"aliases expand to more than {MAX_NODES:,} values")
            return True
        if id(node) in self._seen and not self.aliases:
            help = "write the value out; anchors are read in providers.yaml only"
            self._say(node, loc, "alias", "aliases are not read here", help=help, at=self.keys.get(loc))
            return True
        return False

    def _sequence(self, node: yaml.Node, loc: Loc) -> list[Any]:
        self._refuse_tag(node, "seq", loc)
        return [self.read(item, (*loc, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        self._refuse_tag(node, "map", loc)
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, loc)
            if key is None:
                continue
            if key == "<<" and not key_node.style:
                merged |= self._merge(value_node, loc)
                continue
            if key in result:
                first = self.keys[(*loc, key)].line
                message = f"key `{key}` stands twice; the first is on line {first}"
                self._say(key_node, (*loc, key), "duplicate-key", message, help="keep one of them")
                continue
            self.keys[(*loc, key)] = _mark_of(key_node)
            result[key] = self.read(value_node, (*loc, key))
        return merged | result

    def _key(self, node: yaml.Node, loc: Loc) -> str | None:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        self._say(node, loc, "bad-key", "a key has to be plain text")
        return None

    def _merge(self, node: yaml.Node, loc: Loc) -> dict[str, Any]:
        if not self.aliases:
            self._say(node, loc, "alias", "merge keys are not read here", help="write the keys out")
            return {}
        value = self.read(node, loc)
        parts = value if isinstance(value, list) else [value]
        result: dict[str, Any] = {}
        for part in reversed(parts):
            if not isinstance(part, dict):
                self._say(node, loc, "bad-merge", "`<<` needs a mapping")
                return {}
            result |= part
        return result

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        text = node.value
        if node.style in ("'", '"', "|", ">"):
            self._refuse_tag(node, "str", loc)
            return text
        self._refuse_tag(node, None, loc)
        if _NULL.fullmatch(text):
            return None
        if _BOOL.fullmatch(text):
            return text.lower() == "true"
        if _INT.fullmatch(text):
            return self._integer(node, loc)
        if _FLOAT.fullmatch(text):
            number = float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf"))
            if math.isinf(number):
                self._say(node, loc, "not-finite", f"`{text}` is not a finite number")
            return number
        return text

    def _integer(self, node: yaml.ScalarNode, loc: Loc) -> int:
        if len(node.value) > MAX_INT_DIGITS:
            self._say(node, loc, "number-too-long", f"more than {MAX_INT_DIGITS} digits", help="quote it")
            return 0
        return int(node.value, 0)

    def _refuse_tag(self, node: yaml.Node, plain: str | None, loc: Loc) -> None:
        standard = node.tag.startswith("tag:yaml.org,2002:")
        kind = node.tag.removeprefix("tag:yaml.org,2002:")
        implicit = {"null", "bool", "int", "float", "str", "timestamp", "merge", "value"}
        if standard and (kind == plain or (plain is None and kind in implicit)):
            return
        self._say(node, loc, "tag", f"the tag `{node.tag}` is not read", help="remove the tag")

    def _say(
        self, node: yaml.Node, loc: Loc, code: str, message: str, *, help: str = "", at: Mark | None = None
    ) -> None:
        self.stopped |= len(self.problems) >= MAX_PROBLEMS
        mark = at or _mark_of(node)  # an alias is the node of its anchor, so it has no place of its own
        self.problems.append(
            Problem(
                code=code,
                message=message,
                path=self.path,
                line=mark.line,
                column=mark.column,
                width=mark.width,
                source=self.lines[mark.line - 1] if mark.line <= len(self.lines) else "",
                where=dotted(loc),
                help=help,
            )
        )


def _mark_of(node: yaml.Node) -> Mark:
    start, end = node.start_mark, node.end_mark
    one_line = start.line == end.line
    return Mark(start.line + 1, start.column + 1, max(1, end.column - start.column) if one_line else 1)
