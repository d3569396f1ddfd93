# SPDX-License-Identifier: Apache-2.0
"""The judge of chaos convicts what it is there for; seen through programs that play the VMM, and through lives made up."""
import pathlib
import signal
import sys
import tempfile
import unittest
from unittest import mock

import chaos


def well(**but):
    return chaos.Life(**{"exit_code": 128 + signal.SIGTERM, "told": True, "generations": 3, "steps": 5000, **but})


class ComplaintsTest(unittest.TestCase):
    def of(self, *lives, seconds=5, **options):
        return list(chaos.complaints(lives, seconds=seconds, **options))

    def test_a_good_life(self):
        self.assertEqual(self.of(well()), [])

    def test_a_guest_that_ended_itself_before(self):
        self.assertEqual(self.of(well(told=False, exit_code=5), well()), [])

    def test_one_that_always_does(self):
        self.assertEqual(self.of(well(told=False, exit_code=5)), ["the guest ended itself 1 times"])

    def test_crash(self):
        self.assertIn("the exit code is -11, not 5", self.of(well(told=False, exit_code=-11)))
        self.assertEqual(self.of(well(exit_code=-6)), ["the exit code is -6, not 143"])

    def test_sanitizer(self):
        line = "==1==ERROR: AddressSanitizer: heap-use-after-free"
        self.assertEqual(self.of(well(log=[line])), [f"the log says: {line}"])
        line = "a.cpp:1:2: runtime error: shift exponent 64 is too large"
        self.assertEqual(self.of(well(log=[line])), [f"the log says: {line}"])

    def test_log_flood(self):
        self.assertEqual(self.of(well(log=["x"] * 61)), ["61 log lines in 3 generations"])
        self.assertEqual(self.of(well(log=["x"] * 60)), [])

    def test_memory_that_grows(self):
        self.assertEqual(self.of(well(grown_kib=40000)), ["memory grew by 40000 KiB"])
        self.assertEqual(self.of(well(grown_kib=40000), sanitized=True), [])

    def test_a_guest_that_does_nothing(self):
        self.assertEqual(self.of(well(steps=999)),
                         ["999 steps in 5 s, at least 1000 were promised: is anything done at all?"])

    def test_hang(self):
        self.assertEqual(self.of(well(hung=True)), ["it did not end within 20 s of the second SIGTERM"])


class LiveTest(unittest.TestCase):
    def live(self, *lines, generations):
        """Of a program that is told to end when it has asked for so many seeds."""
        program = "\n".join(["import os, signal, sys, time",
                             "def ask(): print('\\nchaos?', flush=True); return sys.stdin.readline().strip()",
                             "signal.signal(signal.SIGUSR1, signal.SIG_IGN)", *lines])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "program.py")
            path.write_text(program)
            return chaos.live([sys.executable, path], lambda life: life.generations >= generations, chaos.Seeds(7))

    def test_seeds_steps_and_generations(self):
        life = self.live("signal.signal(signal.SIGTERM, lambda *_: os._exit(143))",
                         "for _ in range(2): print('got', ask(), file=sys.stderr, flush=True); print('steps 5\\nsteps 12')",
                         "ask(); time.sleep(60)", generations=3)
        self.assertEqual((life.log, life.generations, life.steps, life.exit_code), (["got 7", "got 8"], 3, 24, 143))

    def test_a_program_that_ends_early(self):
        life = self.live("ask(); os._exit(5)", generations=2)
        self.assertEqual((life.exit_code, life.told), (5, False))

    def test_a_program_that_does_not_end(self):
        with mock.patch.object(chaos, "END_LIMIT", 0.5):
            life = self.live("signal.signal(signal.SIGTERM, signal.SIG_IGN)", "ask(); time.sleep(60)", generations=1)
        self.assertTrue(life.hung)


if __name__ == "__main__":
    unittest.main()
