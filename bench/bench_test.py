# SPDX-License-Identifier: Apache-2.0
"""Tests of the benchmarks' own machinery; needs no /dev/kvm."""
import argparse
import contextlib
import io
import os
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

import counted
import devices
import disk_icount
import report
import sides
import start_order
import terminal
import usage

from nest.case import Result  # counted has made integration/ known
from nest.lab import Lab


def shell(script):
    return ["/bin/sh", "-c", script]


def output_of(function, *arguments):
    """What the function printed, what it gave back, and the SystemExit that ended it, if one did."""
    text, ended, result = io.StringIO(), None, None
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        try:
            result = function(*arguments)
        except SystemExit as error:
            ended = error
    return text.getvalue(), result, ended


def arguments(**changed):
    values = {"vmm": None, "build": pathlib.Path("/nowhere"), "qemu": "/bin/sh", "alioth": "/bin/sh",
              "with_alioth": False, "without": []}
    return argparse.Namespace(**{**values, **changed})


class TerminalTest(unittest.TestCase):
    def test_two_bytes_apart_have_their_own_times(self):
        transcript = terminal.run(shell("printf banner; sleep 0.3; printf '|'; exec sleep 5"), b"|")

        self.assertEqual(transcript.text, b"banner|")
        self.assertGreater(transcript.arrival(6) - transcript.arrival(0), 250e6)

    def test_memory_of_the_program_is_read(self):
        self.assertGreater(terminal.run(shell("printf x; read until_it_is_killed"), b"x").pss_kib, 0)

    def test_a_program_that_ends_early_is_an_error_with_its_words(self):
        with self.assertRaisesRegex(terminal.DidNotRun, "said b'He', on stderr 'no such luck'"):
            terminal.run(shell("printf He; echo no such luck >&2"), b"Hello")

    def test_a_program_that_says_nothing_is_given_up(self):
        with self.assertRaisesRegex(terminal.DidNotRun, "said b''"):
            terminal.run(shell("exec sleep 5"), b"Hello", timeout=0.2)


class UsageTest(unittest.TestCase):
    BUSY = ("import threading, time\nprint('[', end='', flush=True)\n"
            "end = time.process_time() + {seconds}\nwhile time.process_time() < end: sum(range(20000))\n"
            "for _ in range({naps}): time.sleep(0.001)\nprint(']', end='', flush=True)\ninput()\n")

    # Work of the program itself, which asks the kernel for the time now and then only.
    def used(self, **job):
        meter = usage.Meter(b"[", b"]")
        terminal.run([sys.executable, "-c", self.BUSY.format(**job)], b"]", note=meter)
        return meter.used()

    def test_work_is_time_and_sleep_is_wakeups(self):
        idle = self.used(seconds=0, naps=200)  # the first of them before the meter has looked
        busy = self.used(seconds=0.2, naps=0)

        self.assertGreaterEqual(idle.wakeups, 100)
        self.assertGreater(busy.cpu, 0.15)
        self.assertGreater(busy.user, 0.03)

    def test_a_vcpu_is_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("comm", "vcpu0\n"), ("schedstat", "1 0 1"), ("stat", ""), ("status", "")):
                pathlib.Path(folder, name).write_text(text)

            self.assertIsNone(usage.of_thread(pathlib.Path(folder)))

    def test_a_name_with_parentheses_moves_no_field(self):
        with tempfile.TemporaryDirectory() as folder:
            tick = usage.TICK
            for name, text in (("comm", "io (net) 0\n"), ("schedstat", "3500000000 0 9"),
                               ("stat", f"7 (io (net) 0) S 1 1 1 0 -1 0 0 0 0 0 {2 * tick} {tick} 0 0 20"),
                               ("status", "Name:\tx\nvoluntary_ctxt_switches:\t41\nnonvoluntary_ctxt_switches:\t9\n")):
                pathlib.Path(folder, name).write_text(text)

            self.assertEqual(usage.of_thread(pathlib.Path(folder)), usage.Usage(3.5, 2.0, 1.0, 41))


class FinishTest(unittest.TestCase):
    def test_a_side_that_did_not_run_is_a_failure(self):
        report.finish(None, {}, [])
        with self.assertRaisesRegex(SystemExit, "did not run: a, b"):
            report.finish(None, {}, ["a", "b"])


class StartOrderTest(unittest.TestCase):
    MAP = """Discarded input sections
 .text          0x0000000000000000       0x10 gone.o
Linker script and memory map
 .text          0x0000000000001000       0x20 /usr/lib/x86_64-linux-gnu/rcrt1.o
 .text._ZN3vmm3runEv
                0x0000000000001020       0x30 /tmp/ccX1.ltrans0.ltrans.o
 .text.evex     0x0000000000001060       0x40 /usr/lib/libc.a(memmove-evex.o)
 .text          0x00000000000010a0        0x0 /usr/lib/libc.a(empty.o)
 .rodata        0x0000000000002000       0x40 /usr/lib/libc.a(memmove-evex.o)
"""

    def test_functions_are_named_by_their_sections_in_the_order_of_their_calls(self):
        placed = start_order.sections(self.MAP)

        lines = start_order.patterns([0x1070, 0x1024, 0x1000, 0x1030, 0x1058, 0x2000], placed)

        self.assertEqual(lines, ["*libc.a:memmove-evex.o(.text.evex)", "*(.text._ZN3vmm3runEv)", "*rcrt1.o(.text)"])

    def test_script_goes_before_the_linkers_own_text(self):
        self.assertRegex(start_order.script(["*(.text.a)"]), r"(?s)\.text\.start :\s*{\s*\*\(\.text\.a\)\s*}.*INSERT BEFORE \.text;")


class RowTest(unittest.TestCase):
    def test_units(self):
        reads = devices.Row("r", "K/s", "read,depth=4", 1000, 4096)
        latency = devices.Row("l", "us", "read,depth=1", 1000, 4096, latency=True)
        bulk = devices.Row("b", "MiB/s", "send", 512 << 20, 61440, bytes=True)
        blocks = devices.Row("s", "MiB/s", "read,depth=8", 512, 1 << 20)

        self.assertEqual(reads.value(0.5, 1), 2)
        self.assertEqual(latency.value(0.5, 1), 500)
        self.assertEqual(bulk.value(0.5, 1), 1024)
        self.assertEqual(blocks.value(0.5, 1), 1024)
        self.assertEqual(reads.value(0.5, 10), 0.2)

    def test_the_guest_is_told_what_the_row_is_about(self):
        row = devices.Row("r", "K/s", "read,random=1,depth=4", 1000, 4096)

        self.assertEqual(row.command_line(10), "do=read,random=1,depth=4,size=4096,count=100,bytes=0,span=65536")


class StopwatchTest(unittest.TestCase):
    def test_what_it_says_is_read(self):
        counts = counted.parse("counts to-mark=10 to-last=25 to-end=30 exit=0\n")

        self.assertEqual(counts, counted.Counts(to_mark=10, to_last=25, to_end=30, exit_code=0))

    def test_a_mark_that_never_came_is_no_count(self):
        self.assertIsNone(counted.parse("counts to-mark=- to-last=- to-end=30 exit=0\n"))


class CountTest(unittest.TestCase):
    def count(self, results):
        """count() in a folder where an earlier run left a number; the nest gives these results."""
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "a").mkdir()
            (folder / "a/out").write_text("counts to-mark=1 to-last=2 to-end=3 exit=0\n")
            with unittest.mock.patch.object(counted.Nest, "boot", lambda nest, cases: results(folder)):
                return counted.count(Lab("/bin/true", folder), folder, "a", "true")

    def test_a_machine_that_hung_has_no_number_though_an_earlier_run_left_one(self):
        with self.assertRaisesRegex(counted.NoCount, "L1 hung"):
            self.count(lambda folder: iter([Result("a", None, 0, folder / "a", "L1 hung", lost=True)]))

    def test_a_machine_that_did_not_come_up_has_no_number(self):
        with self.assertRaisesRegex(counted.NoCount, "did not come up"):
            self.count(lambda folder: iter([]))

    def test_what_an_earlier_run_left_is_gone_before_the_machine_starts(self):
        with self.assertRaises(counted.NoCount):
            self.count(lambda folder: iter([Result("a", 0, 0, folder / "a")]))


class DiskIcountTest(unittest.TestCase):
    READ = disk_icount.REQUESTS[0]

    def test_the_guest_is_told_what_to_do(self):
        line = self.READ.command_line(300)

        self.assertIn(" vmm.test=wait:2000,repeat:vda:0:4:300,wait:100,off", line)

    def test_each_side_gets_the_disk_in_its_words(self):
        calls = {name: " ".join(call("p", "k", "i", "l")) for name, call in disk_icount.CALLS.items()}

        self.assertIn(" --disk path=disk", calls["vmm"])
        self.assertIn(" --blk file,path=disk,api=iouring", calls["alioth"])

    def test_what_does_not_depend_on_the_number_is_no_part_of_the_cost(self):
        self.assertEqual(disk_icount.cost(lambda number: 5000 + 7 * number, self.READ), 7)

    def test_a_run_that_hangs_is_repeated_with_another_number(self):
        def hangs_with(number):
            if number == self.READ.few:
                raise counted.NoCount("hung")
            return 5000 + 7 * number

        text, cost, _ = output_of(disk_icount.cost, hangs_with, self.READ)

        self.assertEqual(cost, 7)
        self.assertEqual(text, "once more, with 301 requests: hung\n")

    def test_one_that_always_hangs_is_given_up(self):
        def hangs(number):
            raise counted.NoCount(f"hung with {number}")

        with self.assertRaisesRegex(counted.NoCount, "hung with 301"), contextlib.redirect_stderr(io.StringIO()):
            disk_icount.cost(hangs, self.READ)

    def test_ratios_are_to_the_peer_and_a_number_that_is_missing_is_a_dash(self):
        values = {"vmm": {"4 KiB read": 25000, "4 KiB write": 24000}, "Alioth": {"4 KiB read": 50000}}

        self.assertEqual(list(disk_icount.rows(values, disk_icount.REQUESTS[:2], "Alioth")),
                         [["vmm", "25.0", "0.500", "24.0", "-"], ["Alioth", "50.0", "1.000", "-", "-"]])

    def test_requests_that_nobody_knows_are_an_error_with_those_there_are(self):
        with unittest.mock.patch("sys.argv", ["disk_icount.py", "--only", "erase"]):
            _, _, ended = output_of(disk_icount.main)

        self.assertEqual(str(ended), "no request has 'erase' in its name; there are: 4 KiB read, 4 KiB write, 1 MiB read")


class InterleaveTest(unittest.TestCase):
    def test_the_first_round_is_not_counted(self):
        counters = {"a": iter(range(100)), "b": iter(range(100))}

        values, failed = report.interleave({k: lambda c=c: next(c) for k, c in counters.items()}, 3)

        self.assertEqual(values, {"a": [1, 2, 3], "b": [1, 2, 3]})
        self.assertEqual(failed, [])

    def test_the_order_changes(self):
        calls = []

        report.interleave({k: lambda k=k: calls.append(k) for k in "abc"}, 8)

        rounds = {"".join(calls[i:i + 3]) for i in range(0, len(calls), 3)}
        self.assertGreater(len(rounds), 1)
        self.assertEqual({"".join(sorted(r)) for r in rounds}, {"abc"})

    def test_one_that_fails_later_is_left_out_whole(self):
        steps = iter([1, 2])

        def fails_at_the_third():
            try:
                return next(steps)
            except StopIteration:
                raise terminal.DidNotRun("gone") from None

        text, (values, failed), _ = output_of(report.interleave, {"a": lambda: 7, "b": fails_at_the_third}, 3)

        self.assertEqual(values, {"a": [7, 7, 7]})
        self.assertEqual(failed, ["b"])
        self.assertIn("b did not run: gone", text)


class TableTest(unittest.TestCase):
    def test_columns_are_aligned(self):
        self.assertEqual(report.table("### T", ["", "ms"], [["floor", "1.5"], ["x", "10.25"]]),
                         "### T\n\n"
                         "|       |    ms |\n"
                         "|-------|------:|\n"
                         "| floor |   1.5 |\n"
                         "| x     | 10.25 |\n")

    def test_quartiles_of_one_value_are_that_value(self):
        self.assertEqual(report.quartiles([3]), (3, 3))

    def test_quartiles_of_five(self):
        self.assertEqual(report.quartiles([5, 1, 4, 2, 3]), (2, 4))


class SidesTest(unittest.TestCase):
    def test_vmm_is_called_with_its_own_flags(self):
        call = sides.Side("vmm", "/x/vmm").call("k.elf", sides.Machine(memory_mib=16384, cpus=32))

        self.assertEqual(call, ["/x/vmm", "run", "--kernel", "k.elf", "--memory", "16384M", "--num-cpu", "32"])

    def test_devices_are_asked_for_in_each_sides_words(self):
        machine = sides.Machine(disk="/d", tap="tap7", command_line="do=it", worker="mio")
        call = {name: " ".join(sides.Side(name, name).call("/k", machine)) for name in ("vmm", "alioth", "qemu")}

        self.assertIn("--cmd-line do=it --disk path=/d --net tap=tap7", call["vmm"])
        self.assertIn("--blk file,path=/d,api=mio", call["alioth"])
        self.assertIn("if=tap7,api=mio", call["alioth"])
        self.assertIn("microvm,pcie=on", call["qemu"])
        self.assertIn("file=/d,format=raw,aio=io_uring", call["qemu"])
        self.assertIn("ifname=tap7", call["qemu"])

    def test_a_floor_that_is_not_built_says_what_to_build(self):
        _, _, ended = output_of(sides.find, arguments())

        self.assertEqual(str(ended), "floor: /nowhere/floor is not a program; build the target vmm_bench")

    def test_a_named_program_that_is_missing_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink("/bin/sh", f"{folder}/floor")
            _, _, ended = output_of(sides.find, arguments(build=pathlib.Path(folder), vmm="/no/vmm"))

        self.assertEqual(str(ended), "vmm: /no/vmm is not a program")

    def test_a_peer_left_out_is_not_found(self):
        with tempfile.TemporaryDirectory() as folder:
            os.symlink("/bin/sh", f"{folder}/floor")
            text, found, _ = output_of(sides.find, arguments(build=pathlib.Path(folder), without=["qemu"]))

        self.assertEqual([side.name for side in found], ["floor", "alioth"])
        self.assertEqual(text, "vmm is not here and left out\n")

    def test_no_device_is_a_skip_with_a_reason(self):
        text, _, ended = output_of(sides.skip_without_kvm, "/no/kvm")

        self.assertEqual(ended.code, 77)
        self.assertEqual(text, "skipped: /no/kvm: No such file or directory\n")

    def test_a_device_that_is_not_kvm_is_a_skip_with_a_reason(self):
        text, _, ended = output_of(sides.skip_without_kvm, "/dev/null")

        self.assertEqual(ended.code, 77)
        self.assertEqual(text, "skipped: /dev/null is not KVM: Inappropriate ioctl for device\n")


if __name__ == "__main__":
    unittest.main()
