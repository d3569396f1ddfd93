# SPDX-License-Identifier: Apache-2.0
"""What ran in a process with many cases counts as many cases; one that ended early is a failure."""
import pathlib
import tempfile
import unittest
import xml.etree.ElementTree

import count_tests

CASE = '<testcase name="{}" status="run" result="{}">{}</testcase>'
FAILED = CASE.format("c", "completed", '<failure message="no"/>')


def google(*cases):
    return f'<testsuites><testsuite name="S">{"".join(cases)}</testsuite></testsuites>'


def ctest(status):
    return xml.etree.ElementTree.fromstring(f'<testcase name="room.shard0" status="{status}"/>')


class ColumnsTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name, "results.xml")

    def left(self, *cases):
        self.path.write_text(google(*cases))
        return str(self.path)

    def test_one_process_is_one_test(self):
        self.assertEqual(count_tests.columns_of(ctest("run"), None), [1, 0, 0])
        self.assertEqual(count_tests.columns_of(ctest("fail"), None), [0, 1, 0])
        self.assertEqual(count_tests.columns_of(ctest("notrun"), None), [0, 0, 1])

    def test_cases_of_one_process_are_counted(self):
        results = self.left(CASE.format("a", "completed", ""), CASE.format("b", "completed", ""),
                            CASE.format("d", "skipped", "<skipped/>"), CASE.format("e", "suppressed", ""))
        self.assertEqual(count_tests.columns_of(ctest("run"), results), [2, 0, 1])

    def test_failed_cases_are_counted(self):
        results = self.left(CASE.format("a", "completed", ""), FAILED, FAILED)
        self.assertEqual(count_tests.columns_of(ctest("fail"), results), [1, 2, 0])

    def test_a_report_of_a_sanitizer_after_the_last_case_is_a_failure(self):
        results = self.left(CASE.format("a", "completed", ""))
        self.assertEqual(count_tests.columns_of(ctest("fail"), results), [1, 1, 0])

    def test_a_process_that_left_no_results_is_a_failure(self):
        self.assertEqual(count_tests.columns_of(ctest("fail"), str(self.path)), [0, 1, 0])

    def test_failed_tests_are_quoted_from_their_end(self):
        self.path.write_text('<testsuite><testcase name="a" status="run"><system-out>fine</system-out></testcase>'
                             '<testcase name="b" status="fail"><system-out>one\ntwo\n</system-out></testcase>'
                             f'<testcase name="c" status="fail"><system-out>{"x&#10;" * 100}end</system-out></testcase>'
                             '</testsuite>')
        said = list(count_tests.last_lines_of_failed(self.path))
        self.assertEqual(said[:3], ["b failed; the end of what it said:", "one", "two"])
        self.assertEqual(said[3], "c failed; the end of what it said:")
        self.assertEqual([len(said), said[-1]], [4 + count_tests.LINES_OF_FAILED, "end"])


if __name__ == "__main__":
    unittest.main()
