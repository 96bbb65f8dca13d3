"""The SDK's reference: what its public modules export, from signatures and docstrings."""

import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from pathlib import Path

import griffe

ROOT = Path(__file__).parent.parent
SOURCES = [ROOT / "compute_horde_sdk" / "src", ROOT / "compute_horde_common" / "src"]
MODULES = ["compute_horde_sdk.v1", "compute_horde_sdk.v1.local", "compute_horde_sdk.v1.fallback"]
PARTS = {
    griffe.DocstringSectionKind.parameters: "Arguments",
    griffe.DocstringSectionKind.other_parameters: "Arguments",
    griffe.DocstringSectionKind.attributes: "Attributes",
    griffe.DocstringSectionKind.raises: "Raises",
    griffe.DocstringSectionKind.returns: "Returns",
    griffe.DocstringSectionKind.yields: "Yields",
}
LINE = 88
INTRODUCTION = """\
# Reference

Rendered from the docstrings by `./dev nox -s docs`; do not edit. Import everything from the module
under which it stands here.
"""

_NAMES = griffe.ExprName | griffe.ExprAttribute
_CODE = re.compile(r"``([^`]+)``|`([^`]+)`")
_FENCE = "```"


class UndocumentedError(Exception):
    """Public names have no docstring."""


def reference(modules: Iterable[str] = tuple(MODULES), sources: Iterable[Path] = SOURCES) -> str:
    """The page.

    Raises:
        UndocumentedError: something on it has no docstring; the message names what.
    """
    return _Page(list(modules), list(sources)).text()


class _Page:
    def __init__(self, modules: list[str], sources: list[Path]) -> None:
        loader = griffe.GriffeLoader(search_paths=sources, docstring_parser="google")
        self._modules = [loader.load(name) for name in modules]
        loader.resolve_aliases(external=True)
        self._objects = loader.modules_collection
        self._missing: list[str] = []
        # Exported names by the path of what they are, and all headings.
        self._names: dict[str, str] = {}
        for module in self._modules:
            for name, shown in _exports(module):
                self._names.setdefault(shown.canonical_path, name)
        self._headings = {name for each in self._modules for name, _ in _exports(each)}
        for path, name in self._names.items():
            shown = self._objects[path]
            if shown.is_class:
                self._headings |= {f"{name}.{inner}" for inner in self._callables(shown)}

    def text(self) -> str:
        parts = [INTRODUCTION]
        for module in self._modules:
            names = sorted(name for name, _ in _exports(module) if self._stands_in(module, name))
            parts += [f"## {module.path}", self._said(module, module.path)]
            parts += ["\n".join(f"- {self._link(name, name)}" for name in names)]
            for name in names:
                parts += self._shown(name, _target(module[name]))
        if self._missing:
            raise UndocumentedError("without a docstring: " + ", ".join(self._missing))
        return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"

    def _stands_in(self, module: griffe.Object | griffe.Alias, name: str) -> bool:
        """Whether a name stands below a module, and not below an earlier one already."""
        return next(each for each in self._modules if name in each.members) is module

    def _shown(self, name: str, shown: griffe.Object) -> Iterator[str]:
        yield f"### {name}"
        original = self._names[shown.canonical_path]
        if original != name:
            yield f"The same as {self._link(original, original)}."
            return
        if isinstance(shown, griffe.Attribute):
            yield _block(f"{name} = {self._typed(shown.value)}")
            yield self._said(shown, name)
            return
        yield _block(*self._signatures(shown, name))
        if isinstance(shown, griffe.Class):
            if bases := [link for base in shown.bases if (link := self._base(base))]:
                yield "Derives from " + ", ".join(bases) + "."
            yield self._said(shown, name)
            yield self._values(shown)
            for inner, member in self._callables(shown).items():
                yield f"#### {name}.{inner}"
                yield _block(*self._signatures(member, inner))
                yield self._said(member, f"{name}.{inner}")
        else:
            yield self._said(shown, name)

    def _callables(self, shown: griffe.Class) -> dict[str, griffe.Object | griffe.Alias]:
        """A class's public methods and properties: its own, and those of bases that readers do not
        meet elsewhere."""
        hidden = takewhile(lambda base: base.canonical_path not in self._names, shown.mro())
        found: dict[str, griffe.Object | griffe.Alias] = {}
        for owner in (shown, *hidden):
            for name, member in owner.members.items():
                is_called = member.is_function or "property" in member.labels
                if is_called and not name.startswith("_"):
                    found.setdefault(name, member)
        return found

    def _base(self, base: str | griffe.Expr) -> str:
        """A base that readers know; none that is private."""
        path = base.canonical_path if isinstance(base, griffe.Expr) else base
        if path in self._names:
            return self._link(self._names[path], self._names[path])
        name = path.rpartition(".")[2]
        return "" if name.startswith("_") or "compute_horde" in path else f"`{name}`"

    def _values(self, shown: griffe.Class) -> str:
        """The members of an enumeration."""
        if not any(str(base).endswith("Enum") for base in shown.bases):
            return ""
        members = [each for each in shown.members.values() if isinstance(each, griffe.Attribute)]
        names = [each for each in members if not each.name.startswith("_")]
        return "\n".join(f"- `{each.name}` = `{each.value}`" for each in names)

    def _signatures(self, shown: griffe.Object | griffe.Alias, name: str) -> Iterator[str]:
        if isinstance(shown, griffe.Attribute):
            yield f"{name}: {self._typed(shown.annotation)}"
            return
        if isinstance(shown, griffe.Class):
            yield self._signature(f"class {name}", self._fields(shown), None)
            return
        if not isinstance(shown, griffe.Function):
            raise TypeError(f"{shown.path} is neither a class nor a function nor a property")
        is_iterated = str(shown.returns).startswith(("AsyncGenerator", "AsyncIterator"))
        prefix = "async " if "async" in shown.labels and not is_iterated else ""
        prefix = "classmethod " + prefix if "classmethod" in shown.labels else prefix
        for each in shown.overloads or [shown]:
            yield self._signature(prefix + name, each.parameters, each.returns)

    def _fields(self, shown: griffe.Class) -> Iterable[griffe.Parameter]:
        """What makes an instance: arguments of ``__init__``, or the fields of a data class."""
        if "__init__" in shown.members or "dataclass" in shown.labels:
            return shown.parameters
        kind = griffe.ParameterKind.keyword_only
        return [
            griffe.Parameter(each.name, annotation=each.annotation, kind=kind, default=each.value)
            for each in shown.members.values()
            if isinstance(each, griffe.Attribute)
            and each.annotation
            and not (each.name.startswith("_") or "property" in each.labels)
        ]

    def _signature(
        self,
        name: str,
        parameters: Iterable[griffe.Parameter],
        returns: str | griffe.Expr | None,
    ) -> str:
        words: list[str] = []
        marked = False
        for each in parameters:
            if each.name in {"self", "cls"}:
                continue
            keyword_only = each.kind is griffe.ParameterKind.keyword_only
            if keyword_only and not marked:
                words.append("*")
            marked = marked or keyword_only or each.kind is griffe.ParameterKind.var_positional
            words.append(self._parameter(each))
        end = f" -> {self._typed(returns)}" if returns is not None else ""
        line = f"{name}({', '.join(words)}){end}"
        if name.startswith("class ") and not words:
            return name
        if len(line) <= LINE:
            return line
        return "\n".join([f"{name}(", *(f"    {word}," for word in words), f"){end}"])

    def _parameter(self, given: griffe.Parameter) -> str:
        stars = {"variadic positional": "*", "variadic keyword": "**"}
        word = stars.get(given.kind.value if given.kind else "", "") + given.name
        if given.annotation is not None:
            word += f": {self._typed(given.annotation)}"
        default = given.default
        if default is None or stars.get(given.kind.value if given.kind else ""):
            return word
        while isinstance(default, griffe.ExprName):
            default = _target(self._objects[default.canonical_path]).value
        return f"{word} = {default}" if given.annotation is not None else f"{word}={default}"

    def _typed(self, annotation: object) -> str:
        """A type, with the exported names of what is in it."""
        text = str(annotation)
        if isinstance(annotation, griffe.Expr):
            for each in annotation.iterate(flat=True):
                if isinstance(each, griffe.ExprName):
                    text = re.sub(rf"(?<!\w){each.name}(?!\w)", self._known(each), text)
        return re.sub(r"Annotated\[(\w+), [^\]]*\]", r"\1", text)

    def _known(self, used: griffe.ExprName) -> str:
        """What readers know a name by: the exported name; what a private one stands for."""
        if used.name.startswith("_"):
            return self._typed(self._objects[used.canonical_path].value)
        return self._names.get(used.canonical_path, used.name)

    def _said(self, shown: griffe.Object | griffe.Alias, path: str) -> str:
        if shown.docstring is None:
            self._missing.append(path)
            return ""
        sections = shown.docstring.parse("google", warnings=False)
        return "\n\n".join(self._section(section, path) for section in sections)

    def _section(self, section: griffe.DocstringSection, path: str) -> str:
        if section.kind not in PARTS:
            return self._linked(str(section.value), path)
        lines = [f"{PARTS[section.kind]}:", ""]
        for each in section.value:
            name = getattr(each, "name", "") or (
                str(each.annotation) if section.kind is griffe.DocstringSectionKind.raises else ""
            )
            text = " ".join(each.description.split())
            shown = self._linked(f"`{name}`: {text}" if name else text, path)
            lines.append(f"- {shown}")
        return "\n".join(lines)

    def _linked(self, text: str, path: str) -> str:
        """Text with its names in backticks as links, where they are headings."""

        def link(found: re.Match[str]) -> str:
            literal, name = found.groups()
            inside = path.partition(".")[0] + f".{name}"
            target = next((each for each in (inside, name) if each in self._headings), None)
            if literal or target is None or target == path:
                return f"`{literal or name}`"
            return self._link(name, target)

        return _CODE.sub(link, text)

    def _link(self, name: str, heading: str) -> str:
        anchor = heading.lower().replace(".", "")
        return f"[`{name}`](#{anchor})"


def _exports(module: griffe.Object | griffe.Alias) -> Iterator[tuple[str, griffe.Object]]:
    """Public names of a module and what they are; not its sub-modules."""
    exported = module.exports
    for name, member in module.members.items():
        # A module that is imported, for example one of Python's own.
        is_module = isinstance(member, griffe.Alias) and "." not in member.target_path
        if name.startswith("_") or is_module or member.is_module:
            continue
        if exported is None or name in {str(each) for each in exported}:
            yield name, _target(member)


def _target(member: griffe.Object | griffe.Alias) -> griffe.Object:
    target = member.final_target if isinstance(member, griffe.Alias) else member
    if isinstance(target, griffe.Attribute) and isinstance(target.value, _NAMES):
        # Another name of a class.
        found = target.modules_collection[target.value.canonical_path]
        return _target(found) if found.is_class else target
    return target


def _block(*lines: str) -> str:
    return "\n".join([_FENCE + "text", *lines, _FENCE])
