#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is every program that scripts, tests and tools call by name installed by `./do setup`, and is nothing installed that nobody calls?

check_programs.py   prints FILE:LINE: what is wrong; exit code 1 if there was anything.

Calls are read from the sources: commands of shell scripts, the first word of what Python's subprocess and C++'s system() and
popen() run, COMMANDs and searches of CMake. tools/packages.txt says which package has a program; that package must be in the
list of tools/setup.sh for the part that the caller belongs to, or be Essential or "required", as what a minimal Debian has.
Where the program is put together at run time the line says its name in a comment: `runs: NAME...`, or `runs: our own`.

Scripts inside integration/scenarios are left out: they run on the applets of busybox and on what `lab.tool()` names, which is
read here, so one that calls anything else fails the first time.
"""
import ast
import collections
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import check_tree
import shell_words

SETUP, TABLE = "tools/setup.sh", "tools/packages.txt"
OWN = "our own"
# Who is run with which parts of ./do setup installed; the first prefix that fits decides.
PARTS = [("bench/", ("build", "bench", "rust")), ("integration/", ("nest", "rust", "aarch64")), ("tools/bare.sh", ("bare",)),
         ("cmake/aarch64.cmake", ("build", "aarch64")), ("CMakePresets.json", ("build", "lint", "fuzz", "aarch64")), ("", ("build", "lint", "fuzz"))]
FROM_CACHE = "(cache)"  # made or fetched by integration/images
OPTIONAL = "(optional)"  # used where it is there; says so where it is not

Call = collections.namedtuple("Call", "path line program")
Uses = collections.namedtuple("Uses", "programs libraries reasons")


def runs_comment(lines, first, last):
    """The programs that a comment at a call names, or None."""
    for line in lines[first - 1:last]:
        found = re.search(r"(?:#|//) runs: (.*)$", line)
        if found:
            return [] if found[1] == OWN else found[1].split()
    return None


# ---- Python

RUNNERS = {"run", "Popen", "call", "check_call", "check_output", "posix_spawnp", "execvp", "execlp", "system"}
SEARCHES = {"which", "tool", "guest_tools"}


def first_words(node, scope):
    """The words at the start of a command that are known from the source: [] if none is."""
    if isinstance(node, ast.Name):
        values = [found.value for found in ast.walk(scope) if isinstance(found, ast.Assign)
                  and any(isinstance(target, ast.Name) and target.id == node.id for target in found.targets)]
        return first_words(values[0], scope) if len(values) >= 1 and not isinstance(values[0], ast.Name) else []
    if isinstance(node, ast.BinOp):
        return first_words(node.left, scope)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.split()
    if not isinstance(node, (ast.List, ast.Tuple)):
        return []
    words = []
    for element in node.elts:
        if not (isinstance(element, ast.Constant) and isinstance(element.value, str)):
            # What sys.executable runs is Python itself, which reads this.
            own = ast.unparse(element) == "sys.executable"
            return words + (["python3"] if own and not words else [] if words else [])
        words.append(element.value)
    return words


def python_calls(source, lines):
    tree = ast.parse(source)
    scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] + [tree]
    seen = set()
    for scope in scopes:
        for node in ast.walk(scope):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)) or node in seen:
                continue
            seen.add(node)
            owner, name = ast.unparse(node.func.value), node.func.attr
            said = runs_comment(lines, node.lineno, node.end_lineno)
            if name in RUNNERS and owner in ("subprocess", "os"):
                words = first_words(node.args[0], scope) if node.args else []
                found = said if said is not None else [name for _, name in shell_words.commands(shlex.join(words))]
                yield from ((node.lineno, program) for program in found or [] or ([None] if said is None else []))
            elif name in SEARCHES and owner in ("shutil", "debian", "lab"):
                named = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                yield from ((node.lineno, program) for program in named or said or [])


# ---- C++, CMake, shell

def cxx_calls(source, lines):
    code = re.sub(r"//[^\n]*|/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), source, flags=re.S)
    for found in re.finditer(r"(?<![\w.>])(?:std::|::)?(system|popen|execvp|execlp|posix_spawnp)\(", code):
        line = code.count("\n", 0, found.start()) + 1
        said = runs_comment(lines, line - 1, line)
        literal = re.match(r'[(\s]*"([^"\s]+)', code[found.end():])
        if said is None:
            yield line, literal[1] if literal else None
        else:
            yield from ((line, program) for program in said)


def cmake_calls(source, lines):
    for found in re.finditer(r"\bCOMMAND\s+([^\s)]+)|find_program\(\w+\s+(?:NAMES\s+)?([^\s)]+)"
                             r"|set\(CMAKE_(?:\w+_COMPILER|CROSSCOMPILING_EMULATOR)\s+([^\s)]+)", source):
        program = next(filter(None, found.groups()))
        if re.fullmatch(r"[\w.+-]+", program):
            yield source.count("\n", 0, found.start()) + 1, program


def preset_calls(source, lines):
    for number, line in enumerate(lines, 1):
        found = re.search(r'"CMAKE_\w+_COMPILER": "([^"]+)"', line)
        if found or '"generator": "Ninja"' in line:
            yield number, found[1] if found else "ninja"


def shell_functions(paths):
    every = set()
    for path in paths:
        every |= shell_words.Parser(pathlib.Path(path).read_text(), 1).functions
    return frozenset(every)


def is_shell(path, source):
    return path.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", source) and "busybox" not in source.split("\n")[0]


def calls(paths):
    """Every Call; its program is None where it cannot be told."""
    texts = {}
    for path in paths:
        try:
            texts[path] = pathlib.Path(path).read_text()
        except UnicodeDecodeError:
            continue
    functions = shell_functions(path for path, source in texts.items() if is_shell(path, source))
    for path, source in texts.items():
        lines, kind = source.splitlines(), pathlib.Path(path).suffix
        if is_shell(path, source):
            found = shell_words.commands(source, functions=functions)
        elif kind == ".py":
            found = python_calls(source, lines)
        elif kind in check_tree.CXX:
            found = cxx_calls(source, lines)
        elif kind == ".cmake" or path.endswith("CMakeLists.txt"):
            found = cmake_calls(source, lines)
        elif path == "CMakePresets.json":
            found = preset_calls(source, lines)
        else:
            continue
        if lines and lines[0].startswith("#!/usr/bin/env "):
            yield Call(path, 1, lines[0].split()[1])
        yield from (Call(path, *each) for each in found)


# ---- what is installed

def package_lists(setup):
    """{part: [package]} of tools/setup.sh; another architecture's library is the same package."""
    return {part: [word.split(":")[0] for word in words.split()] for part, words in re.findall(r'^packages_(\w+)="([^"]*)"', setup, re.M)}


def package_table(text):
    """{package: Uses}: a library is a regular expression for the line of CMake that looks for it."""
    table = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            package, *what = line.split()
            table[package] = Uses([word for word in what if ":" not in word],
                                  [word.removeprefix("cmake:") for word in what if word.startswith("cmake:")],
                                  [word for word in what if word.startswith("for:")])
    return table


class Dpkg:
    """What dpkg says about the packages and programs of the table, asked once."""

    def __init__(self, table):
        said = self.ask("-W", "-f", "${Package}\t${Essential} ${Priority}\t${Pre-Depends}, ${Depends}\n",
                        *(package for package in table if package[0] != "("))
        fields = [line.split("\t") for line in said.splitlines()]
        #: what a minimal Debian has: asked, because a table of ours could be wrong
        self.minimal = {name for name, kind, _ in fields if re.search("yes|required$", kind)} | {"apt"}
        self.depends = {name: {word.split()[0].split(":")[0] for word in re.split("[,|]", needs) if word.strip()}
                        for name, _, needs in fields}
        self.paths = {program: self.places(program) for uses in table.values() for program in uses.programs}
        self.owners = collections.defaultdict(set)
        for line in self.ask("-S", *sorted(set().union(*self.paths.values()))).splitlines():
            packages, _, path = line.partition(": ")
            if not line.startswith("diversion"):
                self.owners[path] |= {package.split(":")[0] for package in packages.split(", ")}

    @staticmethod
    def ask(*arguments):
        return subprocess.run(["dpkg-query", *arguments], capture_output=True, text=True).stdout

    @staticmethod
    def places(program):
        """Where it is; an alternative leads elsewhere, and on a merged /usr a package may have it without /usr."""
        path = shutil.which(program, path="/usr/bin:/usr/sbin")
        names = {path, os.path.realpath(path)} if path else set()
        return names | {name.removeprefix("/usr") for name in names}

    def providers(self, program):
        """The packages that an installed program comes from; none where it is not installed, or not by dpkg."""
        return set().union(*(self.owners.get(path, set()) for path in self.paths[program]))


def parts_of(path):
    return next(parts for prefix, parts in PARTS if path.startswith(prefix))


def wrong_call(call, owner, lists, minimal):
    """What is wrong with a call, or None."""
    if call.program is None:
        return "which program this runs cannot be told: say so in a comment, `runs: NAME` or `runs: our own`"
    package = owner.get(call.program)
    if package is None:
        return f"calls {call.program}, and {TABLE} does not say which package has it"
    if package in (FROM_CACHE, OPTIONAL) or package in minimal:
        return None
    parts = parts_of(call.path)
    if any(package in lists.get(part, ()) for part in parts):
        return None
    return f"calls {call.program} of {package}, which ./do setup {' '.join(parts)} does not install"


def wrong_tables(table, lists, called, cmake, dpkg):
    for package, uses in table.items():
        for program in uses.programs:
            if program not in called:
                yield f"{TABLE}:1: nobody calls {program} of {package}"
            have = dpkg.providers(program) if package[0] != "(" else None
            if have and not have & {package, *dpkg.depends.get(package, ())}:
                yield f"{TABLE}:1: {program} is not of {package} but of {', '.join(sorted(have))}"
        for library in uses.libraries:
            if not re.search(library, cmake):
                yield f"{TABLE}:1: no CMake file looks for {library} of {package}"
    for part, packages in lists.items():
        for package in packages:
            if not any(table.get(package, ())):
                yield f"{SETUP}:1: packages_{part} has {package}, of which {TABLE} names nothing that is used"


def main():
    paths = check_tree.tree()
    lists = package_lists(pathlib.Path(SETUP).read_text())
    table = package_table(pathlib.Path(TABLE).read_text())
    owner = {program: package for package, uses in table.items() for program in uses.programs}
    dpkg = Dpkg(table)
    found = list(calls(paths))
    wrong = [f"{call.path}:{call.line}: {text}" for call in found if (text := wrong_call(call, owner, lists, dpkg.minimal))]
    cmake = "\n".join(pathlib.Path(path).read_text() for path in paths
                      if path.endswith((".cmake", "CMakeLists.txt", "CMakePresets.json")))
    wrong += wrong_tables(table, lists, {call.program for call in found}, cmake, dpkg)
    print("\n".join(sorted(set(wrong))), end="\n" if wrong else "")
    print(f"check_programs: {len(found)} calls, {len(wrong)} findings", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
