# SPDX-License-Identifier: Apache-2.0
"""The judge convicts what it is there for, seen through a program that plays the VMM; the page says what there is."""
import pathlib
import re
import sys
import tempfile
import unittest

import judge
import vmm_under_test


class JudgeTest(unittest.TestCase):
    def complaints(self, first="", second="", after="", code=judge.ALL_GOOD, at_least=1, timeout=30, idle=0.1):
        """Of a program that says what a good guest says, with something else in between."""
        lines = ["import sys, time, threading, os", "sys.stdin.reconfigure(line_buffering=False)",
                 "def say(text): print(text, flush=True)", "def wait(): sys.stdin.read(1)",
                 first, "say('case row01.x ok\\nround 1 cases 1 failed 0'); wait()",
                 second, "say('case row01.x ok\\nround 2 cases 1 failed 0'); wait()", after, f"os._exit({code})"]
        with tempfile.TemporaryDirectory() as folder:
            program = pathlib.Path(folder, "program.py")
            program.write_text("\n".join(lines))
            run = vmm_under_test.run([sys.executable, program], rounds=2, idle=idle, timeout=timeout)
        return list(judge.complaints(run, rounds=2, at_least=at_least))

    def test_good_run_has_no_complaints(self):
        self.assertEqual(self.complaints(), [])

    def test_other_exit_code(self):
        self.assertEqual(self.complaints(code=1), ["the exit code is 1, not 40"])

    def test_crash(self):
        found = self.complaints(second="os.kill(os.getpid(), 11)")
        self.assertEqual(found, ["the exit code is -11, not 40", "1 of 2 rounds were finished"])

    def test_failed_case(self):
        found = self.complaints(first="say('case row02.y FAIL the size is 0x3')", code=41)
        self.assertIn("row02.y: the size is 0x3", found)

    def test_hang(self):
        self.assertIn("the run did not end", self.complaints(second="time.sleep(60)", timeout=1.5))

    def test_memory_that_grows(self):
        found = self.complaints(second="kept = bytearray(b'x' * (4 << 20))")
        self.assertTrue(any("memory grew" in text for text in found), found)

    def test_thread_that_finds_no_rest_after_a_case(self):
        rest = "say('rest row01.x'); wait()"
        self.assertEqual(self.complaints(second=rest), [])
        spin = "threading.Thread(target=exec, args=('while True: pass',), daemon=True).start()"
        found = self.complaints(second=f"{spin}; {rest}", timeout=60)
        self.assertTrue(any(re.fullmatch("row01.x: thread .* finds no rest", text) for text in found), found)

    def test_run_without_rests_where_some_were_promised(self):
        run = vmm_under_test.Run(names=["row01.x"], rounds=[], exit_code=judge.ALL_GOOD, rests=2)
        found = list(judge.complaints(run, rounds=0, at_least=1, rests=3))
        self.assertEqual(found, ["a spinning thread was looked for after 2 cases, at least 3 were promised"])

    def of_rounds(self, *anonymous_kib, warm_up=0):
        rounds = [vmm_under_test.Round(1, 0, vmm_under_test.Vitals(kib, 10, 3)) for kib in anonymous_kib]
        run = vmm_under_test.Run(names=["row01.x"], rounds=rounds, exit_code=judge.ALL_GOOD)
        return list(judge.complaints(run, rounds=len(rounds), at_least=1, warm_up=warm_up))

    def test_memory_that_grows_slowly(self):
        self.assertEqual(self.of_rounds(1000, 1200, 1400), ["memory grew by 400 KiB from one round to another"])

    def test_growth_of_the_first_rounds_is_forgiven_where_said(self):
        self.assertEqual(self.of_rounds(1000, 2000, 2000, warm_up=1), [])
        self.assertNotEqual(self.of_rounds(1000, 2000, 3000, warm_up=1), [])

    def test_descriptors_that_grow(self):
        found = self.complaints(second="kept = os.dup(0)")
        self.assertTrue(any("descriptors grew" in text for text in found), found)

    def test_threads_that_grow(self):
        found = self.complaints(second="threading.Thread(target=time.sleep, args=[60], daemon=True).start()")
        self.assertTrue(any("threads grew" in text for text in found), found)

    def test_spinning_thread(self):
        spin = "threading.Thread(target=lambda: [0 for _ in iter(int, 1)], daemon=True).start()"
        found = self.complaints(first=spin, idle=2)  # on a busy machine it gets a small part of that
        self.assertTrue(any("while there was nothing to do" in text for text in found), found)

    def test_log_flood(self):
        found = self.complaints(second="print('warn\\n' * 100, file=sys.stderr)")
        self.assertTrue(any("log lines" in text for text in found), found)

    def test_cases_that_went_missing(self):
        self.assertEqual(self.complaints(at_least=2), ["only 1 cases were run, at least 2 were promised"])

    def test_cases_of_one_name(self):
        found = self.complaints(first="say('case row01.x ok')")
        self.assertIn("two cases have the same name", found)


class PageTest(unittest.TestCase):
    """README.md and the tables of cases agree."""
    FAMILIES = {*range(1, 13), 14, 16, 17, 19, 20, 21, 24, 25, 27, 28, 35, 36}

    def setUp(self):
        sources = "".join(path.read_text() for path in sorted(pathlib.Path("guest").rglob("cases_*.cpp")))
        self.cases = [(int(row), name) for row, name in re.findall(r'\{(\d+),\s*"(\w+)"', sources)]
        text = pathlib.Path("README.md").read_text()
        here, _, elsewhere = text.partition("The other families")
        self.text = text
        row = r"^\| (\d+) \| .* \| (.*) \|$"
        self.page = {int(number): re.findall(r"`(\w+)`", examples) for number, examples in re.findall(row, here, re.M)}
        self.elsewhere = {int(number): where for number, where in re.findall(row, elsewhere, re.M)}

    def test_every_family_has_cases_and_is_on_the_page(self):
        self.assertLessEqual(self.FAMILIES, {row for row, _ in self.cases})
        self.assertEqual({row for row, _ in self.cases}, set(self.page))

    def test_cases_on_the_page_exist(self):
        for row, examples in self.page.items():
            self.assertTrue(examples, row)
            for name in examples:
                self.assertIn((row, name), self.cases)

    def test_every_known_family_is_somewhere(self):
        self.assertEqual(set(self.page) | set(self.elsewhere), set(range(1, 39)))
        self.assertFalse(set(self.page) & set(self.elsewhere))

    def test_tests_elsewhere_exist(self):
        root = pathlib.Path(__file__).resolve().parent.parent.parent
        tests = "".join(path.read_text() for room in ("src", "devices", "hv", "arch", "tests") for path in (root / room).rglob("*_test.cpp"))
        for suite, name in re.findall(r"`(\w+Test)\.(\w+)`", self.text):
            self.assertTrue(re.search(rf"TEST(_F|_P)?\({suite}, {name}\)", tests), f"{suite}.{name}")
        for number, where in self.elsewhere.items():
            for fuzzer in re.findall(r"`(\w+_fuzz)`", where):
                self.assertTrue([*root.glob(f"src/**/{fuzzer}.cpp")], number)
            self.assertTrue("`" in where or re.search(r"there (is|are) no", where), number)

    def test_there_are_enough_breaches(self):
        self.assertGreaterEqual(len({name for _, name in self.cases}), 150)


if __name__ == "__main__":
    unittest.main()
