#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fails when a constant of the program lies in memory that the program can write to.

check_constants.py PROGRAM   PROGRAM: with its symbols
Tables of constants hold pointers to functions: writable, they are what somebody who can change one word of memory
looks for. GCC 12 puts `constexpr std::array kX{...}` there, unlike `constexpr auto kX = std::array{...}`.
"""
import re
import subprocess
import sys

CONSTANT = re.compile(r"(^|::)k[A-Z]\w*$")
PRIVATE = re.compile(r"\.lto_priv\.\d+$", re.MULTILINE)  # which c++filt does not understand


def output_of(*command, text=None):
    return subprocess.run(command, check=True, capture_output=True, text=True,  # runs: c++filt nm readelf
                          input=text).stdout


def protected(program_headers):
    """The addresses [first, end) that are written before main() only, from `readelf -lW`."""
    for words in map(str.split, program_headers):
        if words[:1] == ["GNU_RELRO"]:
            return int(words[2], 16), int(words[2], 16) + int(words[5], 16)
    return 0, 0


def writable_constants(symbols, relro):
    """Names out of `nm`, demangled, which says `d` or `D` for what has initial values and is not read-only."""
    for symbol in symbols:
        address, _, rest = symbol.partition(" ")
        kind, _, name = rest.partition(" ")
        if kind in ("d", "D") and CONSTANT.search(name) and not relro[0] <= int(address, 16) < relro[1]:
            yield name


def main(program):
    relro = protected(output_of("readelf", "-lW", program).splitlines())
    symbols = output_of("c++filt", text=PRIVATE.sub("", output_of("nm", "--defined-only", program))).splitlines()
    if not symbols:
        sys.exit(f"{program} has no symbols, so its constants cannot be told")
    found = sorted(writable_constants(symbols, relro))
    for name in found:
        print(f"{program}: the constant {name} can be written to: define it as `constexpr auto NAME = std::array{{...}}`")
    print(f"check_constants: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
