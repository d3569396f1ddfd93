# SPDX-License-Identifier: Apache-2.0
"""The harness itself: what a result says, how cases are dealt out, and the archives that it writes."""
import contextlib
import io
import pathlib
import shutil
import subprocess
import tempfile
import unittest
from unittest import mock

from images import cpio
from nest import __main__ as program
from nest import machine, runner
from nest.case import Case, Failed, Host, Only, Result, command
from nest.lab import Lab
from nest.runner import Direct, Nest, Pulse


def result(out, code=0):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nest-test-"))
    (folder / "out").write_bytes(out.encode())
    made = Result("a.b", code, 1.0, folder)
    shutil.rmtree(folder)
    return made


class ResultTest(unittest.TestCase):
    def test_last_line_of_a_step_counts(self):
        r = result("@test cpus count=1\r\nnoise\r\n@test cpus count=2\r\n")
        self.assertEqual(r.step("cpus"), {"count": "2"})

    def test_kernel_message_in_the_midst_of_a_line_is_taken_out(self):
        r = result("@test disk at=vda bits=1.2[   27.408093] hrtimer: interrupt took 12 ns\n.3 ro=[   28.000001] b\n1\nx\n")
        self.assertEqual(r.step("disk", "vda"), {"at": "vda", "bits": "1.2.3", "ro": "1"})
        self.assertEqual(r.out, "[   27.408093] hrtimer: interrupt took 12 ns\n[   28.000001] b\n"
                                "@test disk at=vda bits=1.2.3 ro=1\nx\n")

    def test_kernel_message_in_the_midst_of_a_flood_is_taken_out(self):
        r = result("flood 18 yy[  105.264192] clocksource: Long readout interval\nyy\nflood 19 z\n")
        self.assertEqual(r.out, "[  105.264192] clocksource: Long readout interval\nflood 18 yyyy\nflood 19 z\n")

    def test_carriage_returns_are_no_lines(self):
        self.assertEqual(result("@test a x=1\r\r\n@test b\r\n").out, "@test a x=1\n@test b\n")

    def test_missing_step_fails(self):
        with self.assertRaisesRegex(Failed, "did not print a line for step cpus"):
            result("nothing").says("cpus", count=1)

    def test_wrong_value_fails_and_names_both(self):
        with self.assertRaisesRegex(Failed, "count=1, expected 2"):
            result("@test cpus count=1\n").says("cpus", count=2)

    def test_failed_step_fails(self):
        with self.assertRaisesRegex(Failed, "no such file"):
            result('@test file failed="no such file"\n').step("file")

    def test_number_below_its_limit_fails(self):
        with self.assertRaisesRegex(Failed, "kib=5, expected at least 6"):
            result("@test memory kib=5\n").number("memory", "kib", least=6)

    def test_line_about_the_named_device_counts(self):
        r = result("@test disk at=vda ro=1\n@test disk at=vdb ro=0\n")
        r.says("disk", "vda", ro=1)
        with self.assertRaisesRegex(Failed, "step disk at vdb: ro=0, expected 1"):
            r.says("disk", "vdb", ro=1)

    def test_failure_of_the_named_device_fails_and_of_another_does_not(self):
        r = result('@test sum at=vda bytes=1\n@test sum of="vdb:1" failed="EIO"\n')
        r.says("sum", "vda", bytes=1)
        with self.assertRaisesRegex(Failed, "step sum at vdb failed in the guest: EIO"):
            r.step("sum", "vdb")

    def test_line_that_comes_twice_is_not_printed_once(self):
        with self.assertRaisesRegex(Failed, "2 lines"):
            result("gone\ngone\n").prints_once("^gone$")

    def test_odd_pci_function_is_not_fine(self):
        with self.assertRaisesRegex(Failed, "odd=1, expected 0"):
            result("@test pcicheck odd=1\n@test kmsg count=0\n").fine()

    def test_complaint_of_the_kernel_is_not_fine(self):
        with self.assertRaisesRegex(Failed, "oops"):
            result("@test pcicheck odd=0\n@test kmsgline level=3 oops\n@test kmsg count=1\n").fine()

    def test_more_on_stderr_than_is_expected_is_not_fine(self):
        r = result("@test pcicheck odd=0\n@test kmsg count=0\n")
        r.err = "sandbox: 6\nmore\n"
        r.fine(r"sandbox: \d\nmore")
        for expected in "", "sandbox: 6":
            with self.assertRaisesRegex(Failed, "stderr has"):
                r.fine(expected)

    def test_wrong_exit_code_fails(self):
        with self.assertRaisesRegex(Failed, "exit code 3, expected 0"):
            result("", 3).exits(0)


class CommandTest(unittest.TestCase):
    def test_case_variables_are_left_to_the_shell_and_nothing_else(self):
        self.assertEqual(command("$T/vmm", "a b", '$O/x"$HOME'), '"$T/vmm" \'a b\' "$O/x\\"\\$HOME"')


class BatchTest(unittest.TestCase):
    def test_cases_with_equal_hosts_share_a_boot(self):
        big = Host(memory=4096)
        cases = [Case("a", "", None), Case("b", "", None, host=big), Case("c", "", None)]
        names = [[case.name for case in batch] for batch in program.batches(cases, 1)]
        self.assertEqual(names, [["a", "c"], ["b"]])

    def test_two_jobs_share_a_group(self):
        cases = [Case(name, "", None) for name in "abc"]
        names = [[case.name for case in batch] for batch in program.batches(cases, 2)]
        self.assertEqual(names, [["a", "c"], ["b"]])


class OnlyTest(unittest.TestCase):
    """What only one architecture can do is made there, and said elsewhere."""

    ONLY = Only("aarch64", "of a reason")

    def add(self, arch, *names):
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab("/bin/true", folder, arch)
            lab.scenario = "s"
            lab.only(self.ONLY, lambda lab: lab.case("one", "true", None), *names)
            return lab

    def test_case_is_made_where_it_runs(self):
        lab = self.add("aarch64", "one")
        self.assertEqual([(case.name, case.script) for case in lab.cases], [("s.one", "true")])
        self.assertEqual(Nest(lab, "out").refuses(lab.cases[0]), "")

    def test_case_of_another_architecture_is_skipped_with_its_reason(self):
        lab = self.add("x86_64", "one")
        self.assertEqual([case.name for case in lab.cases], ["s.one"])
        self.assertEqual(Nest(lab, "out").refuses(lab.cases[0]), "for aarch64 only: of a reason")
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(Direct(lab, folder).refuses(lab.cases[0]), "for aarch64 only: of a reason")

    def test_names_that_were_not_announced_are_an_error(self):
        with self.assertRaisesRegex(ValueError, "were announced as"):
            self.add("aarch64", "two")


class MachineTest(unittest.TestCase):
    def setUp(self):
        patches = (mock.patch.object(machine.catalog, "kernel", lambda series, arch: f"{series}-{arch}"),
                   mock.patch.object(machine.debian, "tool", lambda name: name))
        for patch in patches:
            patch.start()
            self.addCleanup(patch.stop)

    def test_console_and_results_are_two_devices(self):
        for arch, device in ("x86_64", "-serial chardev:results"), ("aarch64", "virtserialport,chardev=results"):
            words = machine.command(arch, Host(), "initramfs", "file:console", "channel")
            self.assertIn("-serial file:console", " ".join(words))
            self.assertIn("-chardev file,id=results,path=channel", " ".join(words))
            self.assertIn(device, " ".join(words))
            self.assertEqual(words[words.index("-kernel") + 1], f"6.12-{arch}")

    def test_without_results_there_is_no_device_for_them(self):
        self.assertNotIn("results", " ".join(machine.command("aarch64", Host(), "initramfs", "stdio")))


class DirectTest(unittest.TestCase):
    def test_scripts_run_on_the_applets_of_busybox(self):
        with tempfile.TemporaryDirectory() as folder:
            busybox = pathlib.Path(folder, "busybox")
            busybox.write_text('#!/bin/sh\necho "echo applet" >$3/tunctl && chmod +x $3/tunctl\n')
            busybox.chmod(0o755)
            run = Direct(Lab("/bin/true", folder), folder, busybox).run([Case("x.y", "tunctl", None)])
            self.assertEqual(next(run).out.strip(), "applet")

    def test_what_needs_another_kernel_is_not_for_this_host(self):
        with tempfile.TemporaryDirectory() as folder:
            direct = Direct(Lab("/bin/true", folder), folder)
            for case in Case("a", "", None, nest=True), Case("a", "", None, host=Host(kernel="6.1")):
                self.assertIn("needs a machine of its own", direct.refuses(case))
            self.assertEqual(direct.refuses(Case("a", "", None, host=Host(memory=4096))), "")

    def run_one(self, script, limit=20):
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab("/bin/true", folder)
            return next(Direct(lab, folder).run([Case("x.y", script, None, limit=limit)]))

    def test_exit_code_and_output_come_back(self):
        r = self.run_one("echo out; echo err >&2; exit 7")
        self.assertEqual((r.exit_code, r.out, r.err, r.note), (7, "out\n", "err\n", ""))

    def test_what_runs_too_long_is_ended_with_its_children(self):
        r = self.run_one("sleep 1000 & echo $!; sleep 1000", limit=0.5)
        self.assertIn("no end", r.note)
        stat = pathlib.Path(f"/proc/{r.out.strip()}/stat")
        self.assertTrue(not stat.exists() or ") Z " in stat.read_text())


class LostTest(unittest.TestCase):
    """What a nest does about cases that it lost L1 with; each boot is a list of (case, lost)."""

    def run_all(self, names, boots):
        with tempfile.TemporaryDirectory() as folder:
            nest = Nest(Lab("/bin/true", folder), folder)
            boots = iter(boots)

            def boot(left):
                for name, lost in next(boots):
                    self.assertIn(name, [case.name for case in left])
                    yield Result(name, None if lost else 0, 0, folder, "L1 hung" if lost else "", lost)

            nest.boot = boot
            with contextlib.redirect_stdout(io.StringIO()) as said:
                results = list(nest.run([Case(name, "", None) for name in names]))
            return [(r.name, r.lost) for r in results], said.getvalue()

    def test_lost_once_runs_again_and_is_said(self):
        results, said = self.run_all("abc", [[("a", False), ("b", True)], [("b", False), ("c", False)]])
        self.assertEqual(results, [("a", False), ("b", False), ("c", False)])
        self.assertEqual(said, "once more: b (L1 hung)\n")

    def test_lost_twice_fails_and_the_others_go_on(self):
        results, _ = self.run_all("ab", [[("a", True)], [("a", True)], [("b", False)]])
        self.assertEqual(results, [("a", True), ("b", False)])

    def test_no_boot_fails_all(self):
        results, _ = self.run_all("ab", [[]])
        self.assertEqual([name for name, _ in results], ["a", "b"])


class PulseTest(unittest.TestCase):
    def test_silence_is_counted_from_the_last_sign_of_life(self):
        pulse = Pulse(25)
        pulse.beat(10)
        pulse.beat(30)
        self.assertFalse(pulse.stopped(55))
        self.assertTrue(pulse.stopped(56))

    def test_no_sign_is_expected_before_the_first_and_during_a_rest(self):
        pulse = Pulse(25)
        self.assertFalse(pulse.stopped(100))
        pulse.beat(100)
        pulse.rest()
        self.assertFalse(pulse.stopped(200))


class FollowTest(unittest.TestCase):
    """What is read from the result channel of an emulator that spins and says nothing more."""

    def test_l1_that_is_silent_for_too_much_cpu_time_is_lost(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(runner, "SILENCE", 0.3):
            pathlib.Path(folder, "channel").write_text("@up 1\n@begin a.b\n@alive\n")
            spins = subprocess.Popen(["sh", "-c", "while :; do :; done"])  # runs: sh
            try:
                nest = Nest(Lab("/bin/true", folder), folder)
                lost = list(nest.follow(spins, pathlib.Path(folder), {"a.b": Case("a.b", "", None)}))
            finally:
                spins.kill()
                spins.wait()
        self.assertEqual([(r.name, r.lost) for r in lost], [("a.b", True)])
        self.assertIn("L1 hung", lost[0].note)


class ArchiveTest(unittest.TestCase):
    def test_cpio_reads_what_was_written(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "a.cpio"
            with cpio.Archive(path) as archive:
                archive.text("etc/one", "1\n")
                archive.link("etc/two", "one")
            listing = subprocess.run(["python3", "-c", READ_NEWC, path], capture_output=True, text=True).stdout
        self.assertEqual(listing, "etc 40755 0\netc/one 100644 2\netc/two 120777 3\nTRAILER!!! 0 0\n")


# A reader of its own, straight from the format's description.
READ_NEWC = """
import sys
data, at = open(sys.argv[1], 'rb').read(), 0
while at < len(data):
    field = lambda n: int(data[at + 6 + 8 * n:at + 14 + 8 * n], 16)
    mode, size, length = field(1), field(6), field(11)
    name = data[at + 110:at + 110 + length - 1].decode()
    print(name, oct(mode)[2:], size)
    at = (at + 110 + length + 3) // 4 * 4
    at = (at + size + 3) // 4 * 4
"""

if __name__ == "__main__":
    unittest.main()
