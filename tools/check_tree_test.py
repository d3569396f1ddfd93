# SPDX-License-Identifier: Apache-2.0
"""Each rule of check_tree.py finds what it is for, and leaves alone what is fine."""
import os
import pathlib
import tempfile
import unittest

import check_tree

TABLE = [("devices/serial/", {"vmm", "serial", "pci"}), ("devices/rtc/", {"vmm", "rtc"}), ("hv/", {"vmm", "kvm"}),
         ("src/backends/net/", {"vmm", "backends/net"}), ("src/backends/char/", {"vmm", "backends/char"})]


def findings(path, text):
    return [what for _, what in check_tree.includes(path, text.splitlines(), TABLE)]


class IncludeTest(unittest.TestCase):
    def test_own_room_and_the_joints_are_fine(self):
        self.assertEqual(findings("devices/serial/a.cpp", '#include "serial/a.hpp"\n#include "vmm/gpa.hpp"\n'), [])

    def test_another_device_is_found(self):
        self.assertEqual(findings("devices/serial/a.cpp", '#include "rtc/rtc.hpp"'), ["this room may not see rtc"])

    def test_hypervisor_in_a_device_is_found(self):
        self.assertEqual(findings("devices/serial/a.hpp", '#  include "kvm/vm.hpp"'), ["this room may not see kvm"])

    def test_room_of_two_folders_sees_itself_and_not_its_neighbour(self):
        self.assertEqual(findings("src/backends/net/a.cpp", '#include "backends/net/a.hpp"'), [])
        self.assertEqual(findings("src/backends/net/a.cpp", '#include "backends/char/a.hpp"'),
                         ["this room may not see backends/char"])

    def test_path_upwards_is_found(self):
        self.assertEqual(findings("hv/kvm/a.cpp", '#include "../x.hpp"'), ['no "../" in an include: name the room'])

    def test_kvm_header_outside_hv_is_found(self):
        self.assertEqual(findings("src/machine/a.cpp", "#include <linux/kvm.h>"),
                         ["<linux/kvm.h> may be used in hv/kvm/, bench/ only"])

    def test_kvm_header_in_hv_is_fine(self):
        self.assertEqual(findings("hv/kvm/a.cpp", "#include <linux/kvm.h>"), [])

    def test_gtest_in_a_test_beside_the_source_is_fine(self):
        self.assertEqual(findings("hv/kvm/a_test.cpp", "#include <gtest/gtest.h>"), [])

    def test_logging_library_outside_base_is_found(self):
        self.assertEqual(findings("cli/main.cpp", "#include <spdlog/spdlog.h>"),
                         ["<spdlog/ may be used in src/base/ only".replace("<spdlog/", "<spdlog/spdlog.h>")])


class ThreadTest(unittest.TestCase):
    def found(self, path, text):
        return [what for _, what in check_tree.threads(path, text)]

    def test_thread_of_a_rooms_own_is_found(self):
        said = ["makes a thread by itself: use make_thread() of vmm/thread.hpp"]
        self.assertEqual(self.found("devices/a.cpp", "thread_ = std::thread{[] {}};"), said)
        self.assertEqual(self.found("hv/a.cpp", "std::jthread made(run);"), said)

    def test_members_tests_and_the_one_place_are_fine(self):
        self.assertEqual(self.found("devices/a.hpp", "std::jthread thread_;  // std::thread{}"), [])
        self.assertEqual(self.found("devices/a_test.cpp", "std::thread{work}.join();"), [])
        self.assertEqual(self.found("src/base/thread.cpp", "std::jthread{body}"), [])


class MutexTest(unittest.TestCase):
    def found(self, path, text):
        return [what for _, what in check_tree.mutexes(path, text)]

    def test_mutex_without_a_rank_is_found(self):
        self.assertEqual(self.found("src/bus/bus.hpp", "    std::mutex mutex_;"),
                         ["std::mutex has no rank: use vmm/mutex.hpp"])

    def test_condition_variable_and_other_mutexes_are_found(self):
        for name in ["condition_variable", "condition_variable_any", "shared_mutex", "recursive_timed_mutex"]:
            self.assertEqual(self.found("hv/kvm/a.cpp", f"std::{name} x;"), [f"std::{name} has no rank: use vmm/mutex.hpp"])

    def test_ranked_mutex_comments_and_includes_are_fine(self):
        self.assertEqual(self.found("src/a.cpp", "#include <mutex>\nRankedMutex<LockRank::Device> a;  // a std::mutex\n"
                                                 "std::unique_lock lock{a};"), [])

    def test_tests_and_the_header_itself_are_fine(self):
        for path in ["src/bus/bus_test.cpp", "tests/support/fake.hpp", "include/vmm/mutex.hpp", "bench/bare.cpp"]:
            self.assertEqual(self.found(path, "std::mutex mutex_;"), [])


class SizeTest(unittest.TestCase):
    def sizes(self, path, source):
        return [text for _, text in check_tree.size(path, source, source.splitlines())]

    def test_long_file_is_found(self):
        self.assertEqual(self.sizes("a.cpp", "int x;\n" * 601), ["601 lines, at most 600"])

    def test_file_of_the_limit_is_fine(self):
        self.assertEqual(self.sizes("a.cpp", "int x;\n" * 600), [])

    def test_long_function_is_found(self):
        source = "namespace a {\nstruct B {\n    int f() {\n" + "        g();\n" * 61 + "    }\n};\n}\n"
        self.assertEqual(self.sizes("a.hpp", source), ["a function of 61 lines, at most 60"])

    def test_long_class_of_short_functions_is_fine(self):
        source = "struct B {\n" + '    void f() { say("{"); }  // }\n' * 100 + "};\n"
        self.assertEqual(self.sizes("a.hpp", source), [])

    def test_long_table_is_fine(self):
        self.assertEqual(self.sizes("a.cpp", "constexpr int kTable[] = {\n" + "    f(1),\n" * 100 + "};\n"), [])

    def test_long_shell_function_is_found(self):
        self.assertEqual(self.sizes("a.sh", "f() {\n" + "    true\n" * 61 + "}\n"),
                         ["a function of 61 lines, at most 60"])


class WordTest(unittest.TestCase):
    def words(self, line):
        return [text for _, text in check_tree.words("a.cpp", [line])]

    def test_marker_without_issue_is_found(self):
        self.assertEqual(len(self.words("// TO" + "DO: later")), 1)

    def test_marker_with_issue_is_fine(self):
        self.assertEqual(self.words("// TO" + "DO(#12): later"), [])

    def test_path_of_a_machine_is_found(self):
        self.assertEqual(self.words('open("/home' + '/me/kernel")'), ["a path outside the repository"])


class MarkdownTest(unittest.TestCase):
    def widths(self, line):
        return [text for _, text in check_tree.width([line])]

    def links(self, text, **files):
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (pathlib.Path(folder) / f"{name}.md").write_text(content)
            page = pathlib.Path(folder) / "page.md"
            page.write_text(text)
            return list(check_tree.links(str(page), text.splitlines()))

    def test_line_of_the_limit_is_fine(self):
        self.assertEqual(self.widths("ab " * 33 + "c"), [])

    def test_line_above_the_limit_is_found(self):
        self.assertEqual(self.widths("ab " * 33 + "cd"), ["101 columns, at most 100 outside tables"])

    def test_wide_table_is_fine(self):
        self.assertEqual(self.widths("| " + "ab " * 60 + "|"), [])

    def test_wide_line_that_cannot_be_broken_is_fine(self):
        self.assertEqual(self.widths("  https://example.com/" + "a" * 100), [])
        self.assertEqual(self.widths("## " + "ab " * 60), [])

    def test_link_to_a_file_is_fine(self):
        self.assertEqual(self.links("[a](other.md) [b](https://example.com/x) [c](.)", other="# x\n"), [])

    def test_link_to_no_file_is_found(self):
        self.assertEqual(self.links("text\n[a](nothing.md)\n"), [(2, "the link to nothing.md has no target")])

    def test_link_to_a_heading_is_fine(self):
        self.assertEqual(self.links("[a](other.md#what-a-guest-does-it-is-so) [b](#here)\n## Here\n",
                                    other="# Top\n\n## What a guest does: it is `so`\n"), [])

    def test_link_to_no_heading_is_found(self):
        self.assertEqual(self.links("[a](other.md#here)", other="```\n# here\n```\n"),
                         [(1, "the link to other.md#here names a heading that other.md does not have")])

    def test_link_to_no_heading_of_its_own_page_is_found(self):
        self.assertEqual(self.links("[a](#there)\n# Here\n"),
                         [(1, "the link to #there names a heading that page.md does not have")])

    def test_link_inside_code_is_left_alone(self):
        self.assertEqual(self.links("`x[0](y)`\n```\n[a](nothing)\n```\n"), [])


class TreeTest(unittest.TestCase):
    def test_every_include_root_of_the_tree_has_a_rule(self):
        os.chdir(pathlib.Path(__file__).resolve().parent.parent)
        prefixes = [prefix for prefix, _ in check_tree.rooms()]
        rooms = [path for path in check_tree.tree()
                 if path.endswith(".hpp") and not path.startswith(("tests/", "bench/", "tools/"))]
        self.assertEqual([path for path in rooms if not path.startswith(tuple(prefixes))], [])


class LicenseTest(unittest.TestCase):
    LINE = "SPDX-License-Identifier: Apache-2.0"

    def found(self, path, *lines):
        return [number for number, _ in check_tree.license_line(path, lines)]

    def test_first_line_or_the_one_after_the_interpreter(self):
        self.assertEqual(self.found("a.cpp", f"// {self.LINE}", "int i;"), [])
        self.assertEqual(self.found("a.py", "#!/usr/bin/env python3", f"# {self.LINE}"), [])

    def test_missing_or_too_late(self):
        self.assertEqual(self.found("a.hpp", "// A header."), [1])
        self.assertEqual(self.found("a.hpp", "// A header.", f"// {self.LINE}"), [1])
        self.assertEqual(self.found("a.sh", "#!/bin/sh"), [2])
        self.assertEqual(self.found("x/CMakeLists.txt"), [1])

    def test_documents_and_data_need_none(self):
        self.assertEqual(self.found("README.md", "# x") + self.found("a.json", "{}"), [])


class HeaderTest(unittest.TestCase):
    def test_says_what_it_is_for(self):
        self.assertEqual(list(check_tree.header(["// SPDX", "// A thing.", "#pragma once"])), [])
        self.assertEqual([n for n, _ in check_tree.header(["// SPDX", "#pragma once"])], [2])


if __name__ == "__main__":
    unittest.main()
