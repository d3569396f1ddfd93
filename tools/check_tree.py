#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks of the tree that no compiler makes: size budget, who includes whom, who may use which library,
and what Markdown looks like.

check_tree.py [FILE]...   (default: every file that git knows or would add)
Prints FILE:LINE: what is wrong; exit code 1 if there was anything.
"""
import ast
import pathlib
import re
import subprocess
import sys

FILE_LINES = 600
FUNCTION_LINES = 60
MARKDOWN_COLUMNS = 100
CODE = {".cpp", ".hpp", ".py", ".sh", ".go", ".S", ".cmake", ".c", ".h"}
CXX = {".cpp", ".hpp"}

# A library or kernel interface, and the folders that alone may use it. Tests may look over the fence where said.
LIBRARIES = [
    (r"<linux/kvm\.h>", ("hv/kvm/", "bench/")),  # bench has a bare KVM program to be compared with
    (r"<(spdlog|fmt)/", ("src/base/",)),
    (r"<boost/", ("src/backends/char/", "src/machine/", "cli/")),
    (r"<(nlohmann|CLI)/", ("src/config/", "cli/", "tests/")),
    (r"<liburing", ("src/backends/block/", "src/backends/net/")),
    (r"<(zlib|zstd|lzma|lz4\w*)\.h>", ("arch/payload/", "tests/")),
    (r"<seccomp\.h>", ("src/sandbox/",)),
    (r"<benchmark/", ("bench/",)),
    (r"<(gtest|gmock)/", ("tests/",)),
]

# Where a room lies, and the rooms that its files may include. docs/architecture.md draws it.
GROUND = {"vmm"}


def folders(parent):
    return {path.name for path in pathlib.Path(parent).glob("*/") if path.is_dir()}


def rooms():
    """(prefix of the path, rooms that may be included); the first prefix that fits decides."""
    devices, arch, hv = folders("devices"), folders("arch"), folders("hv")
    backends = {f"backends/{room}" for room in folders("src/backends")}
    table = [("include/", GROUND), ("src/base/", GROUND)]
    table += [(f"src/{room}/", GROUND | {room}) for room in sorted({"memory", "bus", "config", "sandbox"} | backends)]
    table += [("devices/pci/", GROUND | {"pci"}), ("devices/virtio/", GROUND | {"pci", "virtio"})]
    # The PCI bus and the virtio core are what devices stand on; no device sees another device.
    table += [(f"devices/{room}/", GROUND | {"pci", room} | ({"virtio"} if room.startswith("virtio") else set()))
              for room in sorted(devices)]
    neutral = {"payload", "acpi", "fdt"}
    table += [(f"arch/{room}/", GROUND | {room} | (set() if room in neutral else neutral)) for room in sorted(arch)]
    table += [("hv/", GROUND | hv)]
    table += [("src/machine/", GROUND | {"machine", "memory", "bus", "config", "sandbox"} | backends | devices | arch | hv)]
    table += [("cli/", GROUND | {"cli", "machine", "config", "sandbox"})]
    return table


def room_of(header, known):
    """The room that an include names: its first folder, or the first two where those are one ("backends/net")."""
    parts = header.split("/")
    return next((room for room in ("/".join(parts[:2]), parts[0]) if room in known), parts[0])


def of_tests(path):
    return path.startswith("tests/") or re.search(r"(_(test|fuzz)(_support)?\.[ch]pp|_rig\.hpp)$", path)


def includes(path, lines, table):
    allowed = next((rooms for prefix, rooms in table if path.startswith(prefix)), None)
    known = set().union(*(rooms for _, rooms in table))
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s*([<"][^>"]*[>"])', line)
        if not found:
            continue
        what = found[1]
        if what.startswith('"..'):
            yield number, 'no "../" in an include: name the room'
        for pattern, places in LIBRARIES:
            if re.match(pattern, what) and not path.startswith(places):
                if "gtest" in pattern and of_tests(path):
                    continue
                yield number, f"{what} may be used in {', '.join(places)} only"
        room = room_of(what[1:], known)
        if what[0] == '"' and allowed is not None and room in known and room not in allowed and not of_tests(path):
            yield number, f"this room may not see {room}"


def without_text(source):
    """The code with comments, strings and character constants blanked, line breaks kept."""
    pattern = (r'//[^\n]*|/\*.*?\*/|R"(?P<raw>[^(\s]*)\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*"'
               r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'")
    return re.sub(pattern, lambda found: re.sub(r"[^\n]", " ", found[0]), source, flags=re.S)


def cxx_functions(source):
    """(first line, number of lines) of each function body."""
    code = without_text(source)
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", lambda found: re.sub(r"[^\n]", " ", found[0]), code, flags=re.M)
    stack, head = [], 0
    for found in re.finditer(r"[{};]", code):
        at = found.start()
        if found[0] == "{":
            text = code[head:at].strip()
            inner = any(is_function for _, is_function in stack)
            is_function = (not inner and "(" in text and not text.endswith(("=", ",", "("))
                           and not re.match(r"(template\s*<.*>\s*)?(namespace|class|struct|enum|union)\b", text, re.S))
            stack.append((at, is_function))
        elif found[0] == "}" and stack:
            start, is_function = stack.pop()
            if is_function:
                yield source.count("\n", 0, start) + 1, source.count("\n", start, at) - 1
        head = at + 1


def functions(path, source):
    kind = pathlib.Path(path).suffix
    if kind in CXX:
        yield from cxx_functions(source)
    elif kind == ".py":
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield node.lineno, node.end_lineno - node.lineno
    elif kind == ".sh":
        for found in re.finditer(r"^\w+\(\) \{\n(.*?)^\}$", source, re.M | re.S):
            yield source.count("\n", 0, found.start()) + 1, found[1].count("\n")


def size(path, source, lines):
    if len(lines) > FILE_LINES:
        yield FILE_LINES, f"{len(lines)} lines, at most {FILE_LINES}"
    for number, length in functions(path, source):
        if length > FUNCTION_LINES:
            yield number, f"a function of {length} lines, at most {FUNCTION_LINES}"


OUTSIDE = re.compile("|".join([r"\.\./" + "shared", r"(?<![\w.])/" + r"work/", r"(?<![\w.])/" + r"root/(?!\.)",
                               r"(?<![\w.])/" + r"home/\w"]))
MARKER = re.compile(r"\b(" + "|".join(["TO" + r"DO(?!\(#\d+\))", "FIX" + "ME", "X" + "XX\\b(?!X)", "DIS" + r"ABLED_\w"]) + r")")


def words(path, lines):
    for number, line in enumerate(lines, 1):
        if OUTSIDE.search(line):
            yield number, "a path outside the repository"
        if pathlib.Path(path).suffix in CODE and MARKER.search(line):
            yield number, "a marker without an issue's number, or a test that is switched off"


def without_code(lines):
    """Lines of Markdown with what is code blanked: fenced blocks, and spans between backticks."""
    fenced = False
    for line in lines:
        fence = line.lstrip().startswith("```")
        yield "" if fenced or fence else re.sub(r"`[^`]*`", "", line)
        fenced ^= fence


def width(lines):
    for number, line in enumerate(lines, 1):
        breakable = " " in line.strip() and not line.startswith("#")
        if len(line) > MARKDOWN_COLUMNS and breakable and not line.lstrip().startswith("|"):
            yield number, f"{len(line)} columns, at most {MARKDOWN_COLUMNS} outside tables"


def anchors(lines):
    """What a link can name after `#`: a heading in lower case, without punctuation, hyphens for spaces."""
    code = list(without_code(lines))
    for line, shown in zip(lines, code):
        if shown.startswith("#"):
            yield re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


def links(path, lines):
    """Links to files and headings of this repository lead somewhere; those to other places are not followed."""
    for number, line in enumerate(without_code(lines), 1):
        for target in re.findall(r"\]\(([^)\s]+)\)", line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = pathlib.Path(path).parent / name if name else pathlib.Path(path)
            if not file.exists():
                yield number, f"the link to {target} has no target"
            elif anchor and file.suffix == ".md":
                there = lines if not name else file.read_text().splitlines()
                if anchor not in anchors(there):
                    yield number, f"the link to {target} names a heading that {file.name} does not have"


def header(lines):
    if "#pragma once" not in lines:
        yield 1, "no #pragma once"
    if len(lines) < 2 or not lines[1].startswith("//"):
        yield 2, "the line after the license says in a sentence what the header is for"


LICENSED = CXX | {".S", ".cmake", ".go", ".inc", ".py", ".rs", ".s", ".sh"}
LICENSE = "SPDX-License-Identifier: Apache-2.0"


def license_line(path, lines):
    named = pathlib.Path(path)
    if named.suffix not in LICENSED and named.name != "CMakeLists.txt":
        return
    place = 1 if lines and lines[0].startswith("#!") else 0
    if len(lines) <= place or not lines[place].endswith(LICENSE):
        yield place + 1, f"does not begin with a comment that says {LICENSE}"


PRODUCT = ("include/", "src/", "devices/", "arch/", "hv/", "cli/")
UNRANKED = re.compile(r"\bstd::((recursive_|shared_)?(timed_)?mutex|condition_variable(_any)?)\b")


def mutexes(path, source):
    """The order in which locks are taken is checked for those that have a rank."""
    if not path.startswith(PRODUCT) or of_tests(path) or path in ("include/vmm/mutex.hpp", "src/base/mutex.cpp"):
        return
    for number, line in enumerate(without_text(source).splitlines(), 1):
        if found := UNRANKED.search(line):
            yield number, f"{found[0]} has no rank: use vmm/mutex.hpp"


MADE_THREAD = re.compile(r"\bstd::j?thread\s*(\w+\s*)?[({]")


def threads(path, source):
    """One place makes threads: a name, a kind, blocked signals and a stack for faults come with it."""
    if not path.startswith(PRODUCT) or of_tests(path) or path == "src/base/thread.cpp":
        return
    for number, line in enumerate(without_text(source).splitlines(), 1):
        if MADE_THREAD.search(line):
            yield number, "makes a thread by itself: use make_thread() of vmm/thread.hpp"


def readmes(paths):
    """A room is a folder with a module of its own; each says what lives there."""
    homes = {str(pathlib.PurePosixPath(path).parent) for path in paths
             if path.endswith("CMakeLists.txt") and re.search(r"^\s*vmm_module\(", pathlib.Path(path).read_text(), re.M)}
    homes |= {"cli", "docs", "tools", "tests", "bench", "integration", "integration/nest", "integration/images",
              "integration/scenarios"}
    for home in sorted(homes):
        if f"{home}/README.md" not in paths and pathlib.Path(home).is_dir():
            yield f"{home}/README.md", 1, "is missing: what lives here, what it may see, how to test it"


def tree():
    out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True)
    return sorted(path for path in set(out.stdout.splitlines()) if pathlib.Path(path).is_file())


def check(path, table):
    try:
        source = pathlib.Path(path).read_text()
    except UnicodeDecodeError:
        return
    lines = source.splitlines()
    kind = pathlib.Path(path).suffix
    if kind in CXX:
        yield from includes(path, lines, table)
        yield from mutexes(path, source)
        yield from threads(path, source)
    yield from license_line(path, lines)
    if kind == ".hpp":
        yield from header(lines)
    if kind in CODE or path == "do":
        yield from size(path, source, lines)
    if kind == ".md":
        yield from width(lines)
        yield from links(path, lines)
    yield from words(path, lines)


def main(arguments):
    every = tree()
    table = rooms()
    wrong = [(path, *found) for path in arguments or every for found in check(path, table)]
    if not arguments:
        wrong += readmes(set(every))
    for path, number, text in wrong:
        print(f"{path}:{number}: {text}")
    print(f"check_tree: {len(arguments or every)} files, {len(wrong)} findings", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
