# SPDX-License-Identifier: Apache-2.0
"""Each way of calling a program is seen, and each thing that can be wrong with one is said."""
import pathlib
import unittest

import check_programs
import shell_words


def of_shell(text):
    return sorted({name for _, name in shell_words.commands(text)})


def of_python(text):
    return [program for _, program in check_programs.python_calls(text, text.splitlines())]


def of_cxx(text):
    return [program for _, program in check_programs.cxx_calls(text, text.splitlines())]


class ShellTest(unittest.TestCase):
    def test_pipes_lists_and_substitutions(self):
        self.assertEqual(of_shell('a | b && c "$(d x; e)" || f <(g) >"$h" 2>&1 & x=$(i) j'), list("abcdefgij"))

    def test_keywords_builtins_and_functions_are_no_programs(self):
        self.assertEqual(of_shell("f() {\n  local x=1\n  cd /\n  a\n}\nif ! f; then b; else echo c; fi\nwhile read -r x; do d; done"),
                         ["a", "b", "d"])

    def test_case_for_and_arrays(self):
        self.assertEqual(of_shell("case $1 in\na | b) c ;;\n*) d ;;\nesac\nfor x in y z; do e; done\nw=(u v)\n[[ q =~ r ]] && f"),
                         ["c", "d", "e", "f"])

    def test_quotes_comments_and_here_documents(self):
        self.assertEqual(of_shell("a 'b; c' \"d | e\" # f; g\ncat <<'TEXT'\nh i\nTEXT\nj"), ["a", "cat", "j"])

    def test_what_is_put_together_at_run_time_is_left_out(self):
        self.assertEqual(of_shell('"$program" x; $y; "$T/z" w; ./own v'), [])

    def test_wrappers_and_scripts_in_quotes(self):
        self.assertEqual(of_shell("timeout 5 nice -n 3 env A=b c; bash -euo pipefail -c 'd | e' name"),
                         ["bash", "c", "d", "e", "env", "nice", "timeout"])

    def test_lines(self):
        self.assertEqual(list(shell_words.commands("a\n\nb \\\n  c\n'd' $(\ne)")), [(1, "a"), (3, "b"), (5, "d"), (6, "e")])


class PythonTest(unittest.TestCase):
    def test_lists_strings_and_names(self):
        self.assertEqual(of_python('subprocess.run(["a", x])'), ["a"])
        self.assertEqual(of_python('def f():\n  c = ["a", "b"] + x\n  subprocess.Popen(c)'), ["a"])
        self.assertEqual(of_python('os.execvp("a", ["a"])'), ["a"])
        self.assertEqual(of_python('subprocess.run(["sh", "-c", "a; b"])'), ["sh", "a", "b"])
        self.assertEqual(of_python("subprocess.run([sys.executable, x])"), ["python3"])

    def test_searches(self):
        self.assertEqual(of_python('shutil.which("a") or lab.tool("b") or lab.guest_tools("c", "d")'), ["a", "b", "c", "d"])

    def test_what_cannot_be_told_must_be_said(self):
        self.assertEqual(of_python("subprocess.run(command)"), [None])
        self.assertEqual(of_python("subprocess.run(command)  # runs: a b"), ["a", "b"])
        self.assertEqual(of_python("subprocess.run(command)  # runs: our own"), [])

    def test_other_methods_are_left_alone(self):
        self.assertEqual(of_python('runner.run(cases)\nprocess.call("x")'), [])


class CmakeTest(unittest.TestCase):
    def test_commands_searches_compilers_and_emulators(self):
        source = "COMMAND a b)\nfind_program(X NAMES c)\nset(CMAKE_CXX_COMPILER d)\nset(CMAKE_CROSSCOMPILING_EMULATOR e)"
        self.assertEqual([program for _, program in check_programs.cmake_calls(source, [])], ["a", "c", "d", "e"])


class CxxTest(unittest.TestCase):
    def test_constant_commands(self):
        self.assertEqual(of_cxx('std::system(("ip link del " + name).c_str());'), ["ip"])
        self.assertEqual(of_cxx('::popen("iasl -v", "r");'), ["iasl"])

    def test_comments_and_other_functions_are_left_alone(self):
        self.assertEqual(of_cxx('// system("a")\nrig.system("b"); subsystem("c");'), [])

    def test_what_cannot_be_told_must_be_said(self):
        self.assertEqual(of_cxx("::system(command);"), [None])
        self.assertEqual(of_cxx("// runs: a\n::system(command);"), ["a"])


class VerdictTest(unittest.TestCase):
    LISTS = {"build": ["iproute2"], "nest": ["passt"]}
    OWNER = {"ip": "iproute2", "passt": "passt", "cat": "coreutils", "go": "(cache)"}

    def verdict(self, path, program):
        return check_programs.wrong_call(check_programs.Call(path, 1, program), self.OWNER, self.LISTS, {"coreutils"})

    def test_installed_minimal_and_made_are_fine(self):
        for path, program in (("src/a.cpp", "ip"), ("src/a.cpp", "cat"), ("integration/a.py", "go")):
            self.assertIsNone(self.verdict(path, program))

    def test_unknown_program(self):
        self.assertEqual(self.verdict("do", "jq"), "calls jq, and tools/packages.txt does not say which package has it")

    def test_package_of_another_part(self):
        self.assertEqual(self.verdict("integration/a.py", "ip"),
                         "calls ip of iproute2, which ./do setup nest rust aarch64 does not install")

    def test_call_that_cannot_be_told(self):
        self.assertIn("cannot be told", self.verdict("do", None))


class TableTest(unittest.TestCase):
    def wrong(self, table, called=(), cmake="", lists=None):
        table = check_programs.package_table(table)
        return list(check_programs.wrong_tables(table, lists or {}, set(called), cmake, check_programs.Dpkg(table)))

    def test_what_nobody_calls(self):
        self.assertEqual(self.wrong("coreutils cat"), ["tools/packages.txt:1: nobody calls cat of coreutils"])

    def test_program_of_another_package(self):
        self.assertEqual(self.wrong("dash cat", ["cat"]), ["tools/packages.txt:1: cat is not of dash but of coreutils"])

    def test_program_of_a_package_that_it_depends_on(self):
        self.assertEqual(self.wrong("python3 python3", ["python3"]), [])

    def test_library_that_no_cmake_file_asks_for(self):
        self.assertEqual(self.wrong("libx-dev cmake:find\\(x", cmake="find(y)"),
                         ["tools/packages.txt:1: no CMake file looks for find\\(x of libx-dev"])
        self.assertEqual(self.wrong("libx-dev cmake:find\\(x", cmake="find(x)"), [])

    def test_package_that_nothing_is_used_of(self):
        self.assertEqual(self.wrong("", lists={"build": ["libx-dev"]}),
                         ["tools/setup.sh:1: packages_build has libx-dev, of which tools/packages.txt names nothing that is used"])

    def test_lists_of_the_set_up(self):
        self.assertEqual(check_programs.package_lists('packages_a="b\n  c"\npackages_d="e"'), {"a": ["b", "c"], "d": ["e"]})

    def test_library_of_another_architecture_is_the_same_package(self):
        self.assertEqual(check_programs.package_lists('packages_a="libz-dev:arm64"'), {"a": ["libz-dev"]})


class TreeTest(unittest.TestCase):
    def test_the_calls_that_gave_rise_to_this_are_seen(self):
        path = pathlib.Path(__file__).parent.parent / "src/backends/net/tap_test.cpp"
        self.assertIn("ip", of_cxx(path.read_text()))


if __name__ == "__main__":
    unittest.main()
